"""Files and folders that are written completely or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def replace_text(file: Path, text: str, mode: int = 0o666) -> None:
    """Write a file atomically: a reader beside us sees the old text or the new one. The umask applies to `mode`."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode)
    draft.write_text(text)
    draft.replace(file)


@contextlib.contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` if all goes well, and is removed otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a run that was interrupted: we hold the lock
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    draft.chmod(0o755)
    try:
        yield draft
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
