"""The release document that the API host gets, and the release file that promotes digests from stack to stack.

The document is a pure function of its inputs (SSM's history has the time and the person), so the same release is the
same string. The file is small and sorted, for a reviewer's diff.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.lib.canonical_json import canonical_json
from infra.lib.errors import InputError
from infra.lib.lifecycle import promoted_prefix

SCHEMA = 2
"""Schema of the release document."""
FILE_SCHEMA = 1
"""Schema of release files."""
MAX_PARAMETER_BYTES = 4096
"""Size limit of a standard SSM parameter (API reference, PutParameter)."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REFERENCE = re.compile(r"[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}")
TAG = re.compile(r"[0-9a-f]{20}")
IMAGE = re.compile(r"[a-z][a-z0-9-]{0,39}")
"""Name of an image, as product.yaml has it: what others write may end in a terminal."""
PROGRAM = re.compile(r"[0-9a-f]{16}")
NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


class ReleaseError(InputError):
    """A release document or file cannot be used; the message is a sentence that says where, what and what to do."""


@dataclass(frozen=True)
class Release:
    """The release that the API host should run."""

    host: str
    """Name of the SSM document with the host's program and its graph of services."""
    host_version: str
    """Version of that document, as SSM counts: "1" and up."""
    program: str
    """Name of the host's program in that version. The host compares it: the version may hold another one."""
    services: Mapping[str, str]
    """Each service's image, as `repository@digest`."""
    secrets: Mapping[str, int] = field(default_factory=dict)
    """The version of each secret's parameter: a new value is a new release."""


def render(release: Release) -> str:
    """Return the document as canonical JSON. Raises ReleaseError if it is not valid or has more than 4,096 bytes."""
    text = canonical_json(
        {
            "schema": SCHEMA,
            "host": release.host,
            "hostVersion": release.host_version,
            "program": release.program,
            "services": dict(release.services),
            "secrets": dict(release.secrets),
        }
    )
    parse(text)
    return text


def check_size(text: str, where: str) -> None:
    """Raise ReleaseError if a document does not fit into a standard parameter."""
    size = len(text.encode())
    if size > MAX_PARAMETER_BYTES:
        raise ReleaseError(
            f"{where} has {size:,} bytes, more than the {MAX_PARAMETER_BYTES:,} of a standard parameter: "
            "name fewer services, or shorter repositories."
        )


def release_id(text: str) -> str:
    """Return the name of a release: the beginning of its document's hash, as its containers carry it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse(text: str, where: str = "The release document") -> Release:
    """Return the release that a document names. The message of a ReleaseError begins with `where`."""
    check_size(text, where)
    document = _object(text, where, SCHEMA, ("schema", "host", "hostVersion", "program", "services", "secrets"))
    services = document["services"]
    if not isinstance(services, dict) or not services:
        raise ReleaseError(f"{where} names no services: it must map at least one to repository@digest.")
    for service, reference in services.items():
        _check_name(where, "the service", service)
        if not isinstance(reference, str) or REFERENCE.fullmatch(reference) is None:
            raise ReleaseError(
                f'{where} has {json.dumps(reference)} for the service "{service}": '
                "it must be repository@sha256: and 64 hex digits."
            )
    _check_name(where, "the host document", document["host"])
    version = document["hostVersion"]
    if not isinstance(version, str) or re.fullmatch("[1-9][0-9]{0,9}", version) is None:
        raise ReleaseError(f'{where} has the host version {json.dumps(version)}: it must be digits, such as "7".')
    program = document["program"]
    if not isinstance(program, str) or PROGRAM.fullmatch(program) is None:
        raise ReleaseError(f"{where} has the program {json.dumps(program)}: it must be 16 hex digits.")
    secrets = document["secrets"]
    if not isinstance(secrets, dict) or not all(_is_version(number) for number in secrets.values()):
        raise ReleaseError(f"{where} has secrets that are not whole numbers by name: they are versions of parameters.")
    for secret in secrets:
        _check_name(where, "the secret", secret)
    return Release(document["host"], version, program, dict(services), dict(secrets))


def _is_version(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0


@dataclass(frozen=True)
class ReleasedImage:
    """One image of a release file."""

    digest: str
    """`sha256:` and 64 hex digits."""
    content_tag: str
    """The tag under which it was built."""


@dataclass(frozen=True)
class ReleaseFile:
    """The content of `releases/<stack>.json`: a stack's images, and the stack that they ran in before."""

    source: str
    """The stack that they were promoted from; `from` in the file."""
    images: Mapping[str, ReleasedImage]


def format_release_file(release: ReleaseFile) -> str:
    """Return the file's text: sorted, one fact a line."""
    document = {
        "schema": FILE_SCHEMA,
        "from": release.source,
        "images": {
            name: {"digest": image.digest, "content_tag": image.content_tag} for name, image in release.images.items()
        },
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def parse_release_file(text: str, where: str, images: Collection[str]) -> ReleaseFile:
    """Return a parsed release file, which must name exactly `images`; errors name the file as `where`."""
    document = _object(text, where, FILE_SCHEMA, ("schema", "from", "images"))
    _check_name(where, "the stack", document["from"])
    entries = document["images"]
    if not isinstance(entries, dict) or set(entries) != set(images):
        named = ", ".join(sorted(map(str, entries))) if isinstance(entries, dict) and entries else "none"
        raise ReleaseError(
            f"{where} names the images {named}, but the stack runs {', '.join(sorted(images))}: promote again."
        )
    return ReleaseFile(document["from"], {name: _image(where, name, entry) for name, entry in sorted(entries.items())})


def read_release_file(path: Path, images: Collection[str]) -> ReleaseFile:
    """Read the release file at `path`. Raises ReleaseError if it does not name exactly `images`."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ReleaseError(
            f"{path} is not there: `make promote FROM=<stack> TO={path.stem}` writes it from what that stack runs."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{path} cannot be read ({error}): restore it from git, or promote again.") from None
    return parse_release_file(text, str(path), images)


def write_release_file(path: Path, release: ReleaseFile) -> bool:
    """Write a valid file, whole or not at all. Return False if the content is the same already."""
    text = format_release_file(release)
    parse_release_file(text, str(path), release.images.keys())
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
    return True


def next_promoted_tag(stack: str, tags: Iterable[str]) -> str:
    """Return the tag of the next promotion to `stack`, `release-<stack>.<n>`, given the repositories' tags."""
    pattern = re.compile(rf"{re.escape(promoted_prefix(stack))}([1-9][0-9]*)")
    numbers = [int(match[1]) for match in map(pattern.fullmatch, tags) if match]
    return f"{promoted_prefix(stack)}{max(numbers, default=0) + 1}"


def _image(where: str, name: str, entry: object) -> ReleasedImage:
    if not isinstance(entry, dict) or set(entry) != {"digest", "content_tag"}:
        raise ReleaseError(f'{where} must give the image "{name}" a digest and a content_tag, and nothing else.')
    digest, tag = entry["digest"], entry["content_tag"]
    if not isinstance(digest, str) or DIGEST.fullmatch(digest) is None:
        raise ReleaseError(
            f'{where} has the digest {json.dumps(digest)} for the image "{name}": it must be sha256: and 64 hex digits.'
        )
    if not isinstance(tag, str) or TAG.fullmatch(tag) is None:
        raise ReleaseError(
            f'{where} has the content tag {json.dumps(tag)} for the image "{name}": it must be 20 hex digits.'
        )
    return ReleasedImage(digest, tag)


def _object(text: str, where: str, schema: int, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON object in `text`, of a schema and with exactly these keys."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ReleaseError(f"{where} is not JSON: restore it from git, or promote again.") from None
    if not isinstance(document, dict):
        raise ReleaseError(f"{where} must be a JSON object with {', '.join(keys)}.")
    missing = [key for key in keys if key not in document]
    if missing:
        raise ReleaseError(f'{where} has no "{missing[0]}": it must have {", ".join(keys)}.')
    unknown = sorted(document.keys() - set(keys))
    if unknown:
        close = difflib.get_close_matches(unknown[0], keys, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"it must have {', '.join(keys)}, and nothing else."
        raise ReleaseError(f'{where} has "{unknown[0]}", which is unknown: {hint}')
    if document["schema"] != schema or isinstance(document["schema"], bool):
        raise ReleaseError(
            f"{where} is of schema {json.dumps(document['schema'])}, but this program knows {schema}: "
            "use the version of Slipway that wrote it."
        )
    return document


def _check_name(where: str, what: str, name: object) -> None:
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise ReleaseError(
            f"{where} calls {what} {json.dumps(name)}: "
            "it must be 1 to 64 lower-case letters, digits and hyphens, a letter first."
        )
