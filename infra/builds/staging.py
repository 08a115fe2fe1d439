"""The folder that an image is built from: what was listed and hashed, and nothing else."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from infra.builds.content import MIB, MODES, ContentError, ContextFile, sha256

FOLDER_MODE = 0o755


def stage(files: Sequence[ContextFile], folder: Path) -> None:
    """Make `folder` hold exactly these files, with modes 644 and 755 whatever the umask is.

    What is right already stays untouched. Every file is put in place whole, and what is left of a run that was killed
    goes with the next. Raises ContentError where a file is no longer what was listed, since it would be built under a
    tag that is not its own; and where `staged` keeps the folder as it is.
    """
    with staged(files, folder):
        pass


@contextlib.contextmanager
def staged(files: Sequence[ContextFile], folder: Path) -> Iterator[None]:
    """`stage`, and keep the folder so until the block ends, or the process.

    Others may stage the same files meanwhile. Other files would be built under these ones' tag: ContentError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _open(folder, "users") as users:
        # Whoever looks at the users' lock holds this one, so nobody comes between two steps.
        with _open(folder, "lock") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not _holds(folder, files):
                    raise ContentError(
                        f"Another run (an `up` or a preview) works from {folder} with other files: wait until it has "
                        "ended."
                    ) from None
            else:
                _fill(folder, files)
            fcntl.flock(users, fcntl.LOCK_SH)
        yield


def clear(contexts: Path) -> None:
    """Remove every context below a folder that nobody works from. The locks stay, for whoever waits for one."""
    for users_file in contexts.glob("*/*.users"):
        folder = users_file.with_name(users_file.name.removesuffix(".users"))
        with _open(folder, "lock") as turn, _open(folder, "users") as users:
            fcntl.flock(turn, fcntl.LOCK_EX)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def _open(folder: Path, what: str) -> IO[str]:
    return folder.with_name(f"{folder.name}.{what}").open("a")


def _holds(folder: Path, files: Sequence[ContextFile]) -> bool:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    return found == {file.path for file in files} and all(
        _has_content(folder / file.path, file)
        and stat.S_IMODE((folder / file.path).stat().st_mode) == MODES[file.executable]
        for file in files
    )


def _fill(folder: Path, files: Sequence[ContextFile]) -> None:
    _make_folder(folder)
    _remove_others(folder, {file.path: file for file in files})
    for file in files:
        target = folder / file.path
        for parent in reversed(PurePosixPath(file.path).parents[:-1] if "/" in file.path else ()):
            _make_folder(folder / parent)
        if _has_content(target, file):
            _set_mode(target, MODES[file.executable])
        else:
            _copy(file, target, folder)


def _make_folder(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    _set_mode(folder, FOLDER_MODE)


def _set_mode(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _remove_others(folder: Path, wanted: Mapping[str, ContextFile]) -> None:
    folders = {parent.as_posix() for path in wanted for parent in PurePosixPath(path).parents}
    for current, names, files in os.walk(folder, topdown=True):
        for name in list(names):
            path = Path(current, name)
            if path.is_symlink():
                path.unlink()
            elif path.relative_to(folder).as_posix() not in folders:
                shutil.rmtree(path)
                names.remove(name)
        for name in files:
            path = Path(current, name)
            if path.relative_to(folder).as_posix() not in wanted:
                path.unlink()


def _has_content(target: Path, file: ContextFile) -> bool:
    try:
        status = target.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == file.size and sha256(target, status) == file.sha256


def _copy(file: ContextFile, target: Path, folder: Path) -> None:
    """Copy through a file of another name: whoever is killed on the way leaves nothing half written under
    `target`."""
    handle, name = tempfile.mkstemp(prefix=".staging-", dir=folder)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as output, file.source.open("rb") as content:
            shutil.copyfileobj(content, output, MIB)
        with partial.open("rb") as copied:
            digest = hashlib.file_digest(copied, "sha256").hexdigest()
        if digest != file.sha256:
            raise ContentError(f'"{file.path}" changed while its image was being prepared: run the command again.')
        partial.chmod(MODES[file.executable])
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        raise
