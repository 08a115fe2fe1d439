"""Make the SSM document that carries the host's program: its code and graph in one packed file, and a short script.

The document is a pure function of the source and the graph, so that an unchanged program is no new version.
"""

import base64
import bz2
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from infra.lib.canonical_json import canonical_json
from infra.lib.errors import InputError
from infra.releases.bare_source import bare
from infra.releases.release import MAX_PARAMETER_BYTES

SOURCE = Path(__file__).resolve().parents[1] / "host"
MAX_DOCUMENT_BYTES = 64 * 1024
"""SSM's limit, which also counts the parameters of each run (API reference, CreateDocument)."""
PARAMETER_BYTES = 4 * -(-MAX_PARAMETER_BYTES // 3) + 200
"""The largest release in base64, which a run adds to the document, with the names of the parameters."""
COMMANDS = ("backup", "backups", "follow", "logs", "restart", "restore", "status", "submit", "verify")
"""The program's commands for whoever may use the document; its others are for systemd's units on the host."""
LINE = 4096
"""Characters of the pack on one line of the script."""
BRACE, STAND_IN = "{", ","
"""A character of base85 that SSM would read as a parameter's beginning if it came twice, and one in its place."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date of a ZIP file: the date of every file in the pack."""
UNPACK = (
    "import base64, bz2, sys; "
    f'text = "".join(sys.stdin.read().split()).replace("{STAND_IN}", "{BRACE}"); '
    "sys.stdout.buffer.write(bz2.decompress(base64.b85decode(text)))"
)
MAIN = b"from infra.host.cli import main\n\nmain()\n"

SCRIPT = """#!/bin/sh
set -eu
umask 077
folder=/var/lib/slipway/programs
program="$folder/{name}.pyz"
if [ ! -f "$program" ]; then
    mkdir -p "$folder"
    python3 -c '{unpack}' > "$program.$$" <<'END'
{pack}
END
    sync "$program.$$"
    mv "$program.$$" "$program"
fi
# An agent may set no variable for an empty argument.
set +u
"""
PARAMETER = 'if [ -z "${{SSM_{name}+set}}" ]; then SSM_{name}="{{{{{name}}}}}"; fi\n'
"""AWS's own fallback for agents that do not know `interpolationType`; the patterns keep out what a shell reads."""
NO_ARGUMENT = 'case "$SSM_Argument" in *[!A-Za-z0-9+/=]*) SSM_Argument="" ;; esac\n'
"""An agent that has no variable for an empty argument may leave the fallback's own text, which is no base64."""
RUN = 'exec python3 "$program" "$SSM_Command" "$SSM_Argument"\n'


class HostDocumentError(InputError):
    """The document cannot be used; the message is a sentence that says why and what to do."""


def pack(graph: Mapping[str, object]) -> bytes:
    """Return the host's program and its graph as a file that Python runs.

    Without comments and docstrings, which would take 14 KB of the document. Another word in one changes nothing; one
    line more or less makes a new version, since each statement keeps its line for tracebacks.
    Its files are not compressed one by one: together they become smaller, and the document is what counts.
    """
    files = {f"infra/host/{path.name}": bare(path.read_text("utf-8")).encode() for path in sorted(SOURCE.glob("*.py"))}
    files["infra/host/graph.json"] = canonical_json(graph).encode()
    # Of infra itself nothing is packed but its name.
    files["infra/__init__.py"] = b""
    files["__main__.py"] = MAIN
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
    return packed.getvalue()


def program_name(graph: Mapping[str, object]) -> str:
    """Return the name of the host's program, which a release names too: the start of the pack's hash."""
    return _name(pack(graph))


def _name(packed: bytes) -> str:
    return hashlib.sha256(packed).hexdigest()[:16]


def render(graph: Mapping[str, object]) -> str:
    """Return the document as canonical JSON. Raises HostDocumentError if SSM would refuse it."""
    packed = pack(graph)
    # bzip2: the smallest for source code, and its output never changed between versions of the library.
    # And base85, a twentieth smaller than base64; it has no character that a quoted shell text or JSON has to escape.
    text = base64.b85encode(bz2.compress(packed)).decode().replace(BRACE, STAND_IN)
    lines = "\n".join(text[start : start + LINE] for start in range(0, len(text), LINE))
    script = SCRIPT.format(name=_name(packed), unpack=UNPACK, pack=lines)
    script += "".join(PARAMETER.format(name=name) for name in ("Command", "Argument")) + NO_ARGUMENT + RUN
    document = canonical_json(
        {
            "schemaVersion": "2.2",
            "description": f"Runs the program of the API host {graph['name']}: releases, status, logs.",
            "parameters": {
                "Command": {
                    "type": "String",
                    "description": "What to do.",
                    "allowedPattern": f"^({'|'.join(COMMANDS)})$",
                    "interpolationType": "ENV_VAR",
                },
                "Argument": {
                    "type": "String",
                    "description": "JSON in base64.",
                    "default": "",
                    "allowedPattern": "^[A-Za-z0-9+/=]*$",
                    "interpolationType": "ENV_VAR",
                },
            },
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": "run",
                    "inputs": {"timeoutSeconds": "60", "runCommand": script.splitlines()},
                }
            ],
        }
    )
    size = len(document.encode()) + PARAMETER_BYTES
    if size > MAX_DOCUMENT_BYTES:
        raise HostDocumentError(
            f"The host's program, its graph and the largest release have {size:,} bytes together, more than the "
            f"{MAX_DOCUMENT_BYTES:,} of an SSM document: describe fewer services, or make infra/host smaller."
        )
    return document
