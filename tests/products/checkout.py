"""Another product in a copy of this repository."""

import shutil
from pathlib import Path

OURS = ("app", "images", "product.yaml", "releases", "Pulumi.dev.yaml", "Pulumi.prod.yaml", "Pulumi.local.yaml")
"""Files of the product; the rest is Slipway's."""


def replace_product(root: Path, product: Path) -> None:
    """Replace our product in the copy at `root` by the one in the folder `product`."""
    for name in OURS:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.copytree(product, root, dirs_exist_ok=True)
