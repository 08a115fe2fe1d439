"""A copy of this repository to change: the developer's own tree stays as it is."""

import shutil
from pathlib import Path

from devcloud.bootstrap import ROOT
from devcloud.util.processes import output


def copy_repository(target: Path) -> None:
    """Have the repository's files at `target` as they stand, uncommitted ones too, and `shared` beside it if we do."""
    listed = output(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT)
    shutil.rmtree(target, ignore_errors=True)
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    shared = target.parent / "shared"
    shared.unlink(missing_ok=True)
    if (ROOT.parent / "shared").is_dir():
        shared.symlink_to(ROOT.parent / "shared")
