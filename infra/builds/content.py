"""List the files that an image's build may see, and hash them.

The hash and the folder that the image is built from (infra/builds/staging.py) use the same list, so they cannot
differ. Only content and the owner's executable bit count, as for git: neither a umask nor the place of a checkout
changes a tag.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from infra.lib.canonical_json import canonical_json
from infra.lib.errors import InputError

TAG_LENGTH = 20
"""Hex digits of a content tag: 80 bits, far more than a repository's few thousand tags need to differ."""

SCHEMA = 1
"""Version of the hash's computation: a higher one gives every image a new tag."""

MODES = {False: 0o644, True: 0o755}
EXCLUDED_FOLDERS = frozenset({"__pycache__"})
EXCLUDED_SUFFIXES = (".pyc", ".md")
VISIBLE = r"(?!\.)[^/]+"
"""A name that a wildcard stands for. Like a shell's, it takes no hidden file: an editor's, or a `.env` with secrets."""
MIB = 1024 * 1024


class ContentError(InputError):
    """An image's files cannot be used; the message is a sentence that says which, and why."""


@dataclass(frozen=True)
class ContextFile:
    """One file that a build may see."""

    path: str
    """Its path in the build's context: relative, with forward slashes."""
    source: Path
    """Its path on this machine."""
    executable: bool
    """Whether its owner may execute it: the one bit of its mode that counts."""
    size: int
    """Size in bytes."""
    sha256: str
    """Hash of its content, in hex."""


def list_context(root: Path, allow: Sequence[str], extra: Mapping[str, Path] | None = None) -> tuple[ContextFile, ...]:
    """Return the files that a build may see, sorted by path.

    `allow` are patterns relative to `root`: `*` stands for any part of a name, and `**` for any number of
    folders (`app/api/**` is all that is below app/api). `extra` maps paths in the context to files from
    elsewhere. Left out are `__pycache__`, `*.pyc`, `*.md`, and hidden files that no pattern names. Raises
    ContentError for a pattern that matches nothing, a link that leads out of `root` or to a folder, and anything else
    that is no ordinary file.
    """
    root = root.resolve()
    found: dict[str, ContextFile] = {}
    for pattern in allow:
        matches = 0
        for path in _matches(root, pattern):
            relative = path.relative_to(root).as_posix()
            matches += 1
            if relative not in found:
                found[relative] = _context_file(relative, path, inside=root)
        if not matches:
            raise ContentError(
                f'No file matches "{pattern}" in {root}: correct the pattern, or add the file that it is for.'
            )
    for name, source in (extra or {}).items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or name in found:
            raise ContentError(f'The extra file "{name}" must have a relative path of its own in the context.')
        found[name] = _context_file(name, source, inside=None)
    return tuple(found[path] for path in sorted(found))


def _matches(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that a pattern matches, in no order.

    Unlike in Path.glob, a final `**` means files (there it does not before Python 3.13), and only the folders below the
    pattern's fixed part are read.
    """
    parts = PurePosixPath(pattern).parts
    if not parts or pattern.startswith("/") or ".." in parts:
        raise ContentError(f'The pattern "{pattern}" must be relative to the repository, without "..".')
    fixed = next((number for number, part in enumerate(parts) if "*" in part), len(parts))
    start = root.joinpath(*parts[:fixed])
    if fixed == len(parts):
        if start.is_symlink() or (start.exists() and not start.is_dir()):
            yield start
        return
    expression = re.compile(_expression(parts))
    for folder, folders, names in os.walk(start, onerror=_refuse_unreadable):
        folders[:] = sorted(set(folders) - EXCLUDED_FOLDERS)
        # A link to a folder is listed among the folders and not walked; it is a thing to refuse, not to
        # overlook.
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*names, *links):
            path = Path(folder, name)
            if not name.endswith(EXCLUDED_SUFFIXES) and expression.fullmatch(path.relative_to(root).as_posix()):
                yield path


def _refuse_unreadable(error: OSError) -> None:
    """Raise ContentError for a folder that cannot be read: os.walk would take it for an empty one."""
    if not isinstance(error, FileNotFoundError):
        raise ContentError(f"{error.filename} cannot be read ({error.strerror}): correct its permissions.")


def _expression(parts: Sequence[str]) -> str:
    """Return a pattern's parts as a regular expression for paths."""
    expression = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            expression += rf"(?:{VISIBLE}/)*{VISIBLE}" if last else f"(?:{VISIBLE}/)*"
        else:
            hidden = r"(?!\.)" if part.startswith("*") else ""
            expression += hidden + "[^/]*".join(re.escape(piece) for piece in part.split("*")) + ("" if last else "/")
    return expression


def _context_file(path: str, source: Path, *, inside: Path | None) -> ContextFile:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ContentError(f"The name of the file {path!r} is not UTF-8: rename it.") from None
    try:
        target = source.resolve(strict=True)
        status = target.stat()
    except (OSError, RuntimeError):
        raise ContentError(f'"{path}" cannot be read: {source} leads to no file.') from None
    if inside is not None and not target.is_relative_to(inside):
        raise ContentError(
            f'"{path}" is a link that leads out of the repository, to {target}: put the file in its place.'
        )
    if source.is_symlink() and target.is_dir():
        raise ContentError(f'"{path}" is a link to a folder, which a build cannot be given: list that folder instead.')
    if not stat.S_ISREG(status.st_mode):
        raise ContentError(f'"{path}" is not an ordinary file, so no build can be given it: remove it.')
    return ContextFile(
        path=path,
        source=target,
        executable=bool(status.st_mode & stat.S_IXUSR),
        size=status.st_size,
        sha256=sha256(target, status),
    )


def sha256(path: Path, status: os.stat_result) -> str:
    """Return the hash of a file's content. A file that is unchanged since its last hash in this run is not read."""
    return _sha256_of(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=4096)
def _sha256_of(path: Path, inode: int, size: int, modified_ns: int, changed_ns: int) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_size(image: str, files: Sequence[ContextFile], limit_bytes: int) -> None:
    """Raise ContentError if an image's files together are larger than the limit; it names the largest five."""
    total = sum(file.size for file in files)
    if total <= limit_bytes:
        return
    largest = sorted(files, key=lambda file: (-file.size, file.path))[:5]
    named = ", ".join(f"{file.path} ({_mib(file.size)})" for file in largest)
    raise ContentError(
        f'The image "{image}" would be given {_mib(total)}, over its limit of {_mib(limit_bytes)}; its '
        f"largest paths are {named}: remove what does not belong, or raise images.contextLimitMib.{image}."
    )


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"


def content_tag(
    *,
    image: str,
    files: Sequence[ContextFile],
    build_args: Mapping[str, str],
    platform: str,
    parents: Mapping[str, str],
    options: Mapping[str, str],
) -> str:
    """Return the tag of an image: a hash of all its inputs, the same on every machine with the same settings.

    `parents` are the images that it is built from: a reference from outside, or the content tag of one of ours.
    `options` are further settings that change the pushed bytes, such as the compression. Build secrets do not count.
    """
    ingredients = {
        "schema": SCHEMA,
        "image": image,
        "files": sorted([file.path, f"{MODES[file.executable]:o}", file.sha256] for file in files),
        "buildArgs": dict(build_args),
        "platform": platform,
        "parents": dict(parents),
        "options": dict(options),
    }
    return hashlib.sha256(canonical_json(ingredients).encode()).hexdigest()[:TAG_LENGTH]
