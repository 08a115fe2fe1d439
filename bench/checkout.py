"""Keep a copy of this repository for the bench to change: the developer's own tree stays as it is."""

import os
import shutil
from pathlib import Path

from bench import changes
from bench.plan import PLAN
from devcloud.util.processes import output
from devcloud.util.repository import copy_repository

DOCKERIGNORE = """# What the rivals are given: whole folders, as is usual.
*
!app
!images
!wheels
!bench/rivals
**/__pycache__
**/*.pyc
**/node_modules
"""
WHEELS = "wheels"


class Checkout:
    """The copy, a repository of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def copy(self, model: str) -> None:
        """Bring it to the state of this repository, uncommitted changes included, with one of the plan's models."""
        copy_repository(self.root)
        (self.root / ".dockerignore").write_text(DOCKERIGNORE)
        self._take_wheels()
        if used := PLAN.model(model).use:
            changes.use_model(self.root, used)
        self._git("init", "--quiet")
        (self.root / ".git" / "info" / "exclude").write_text(f"/{WHEELS}/\n")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "as it is")

    def restore(self) -> None:
        """Undo what was changed since."""
        self._git("reset", "--hard", "--quiet")
        self._git("clean", "--force", "-d", "--quiet")

    def _take_wheels(self) -> None:
        """Make the folder that the base's Dockerfile binds for torch's wheel, which the rivals' context needs too."""
        folder = self.root / WHEELS
        folder.mkdir()
        for wheel in (self.root.parent / "shared" / "wheels").glob("torch-*.whl"):
            try:
                os.link(wheel.resolve(), folder / wheel.name)
            except OSError:  # another disk
                shutil.copyfile(wheel, folder / wheel.name)

    def _git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.invalid"]
        output(["git", *identity, *arguments], cwd=self.root)
