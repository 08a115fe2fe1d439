"""Write the files that are made from product.yaml and the settings: `make generate`; `--check` compares them."""

import sys
from collections.abc import Callable, Mapping

from infra import ROOT, product
from infra.builds import routes
from infra.lib import alarm_reference
from infra.settings import reference


def files() -> Mapping[str, Callable[[], str]]:
    """Return how each generated file is made, by its path in the checkout."""
    described = product.product_of()
    made: dict[str, Callable[[], str]] = {
        "docs/alarms.md": alarm_reference.document,
        "docs/settings.md": reference.document,
        product.SCHEMA: product.schema,
    }
    if path := routes.routes_file(described):
        made[path] = lambda: routes.render(described)
    return made


def stale() -> list[str]:
    """Return the generated files that are not current."""
    return [
        path
        for path, make in files().items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text("utf-8") != make()
    ]


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` return 1 if one is not current."""
    if arguments == ["--check"]:
        for path in (found := stale()):
            sys.stderr.write(f"{path} is not what its source says: run `make generate`.\n")
        return 1 if found else 0
    if arguments:
        sys.stderr.write("usage: python -m infra.generate [--check]\n")
        return 2
    for path, make in files().items():
        (ROOT / path).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
