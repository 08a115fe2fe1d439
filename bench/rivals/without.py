"""A lock without some packages, each its own line and the indented ones after: without.py LOCK NAME ... > LOCK."""

import sys
from pathlib import Path


def without(lock: str, names: set[str]) -> str:
    """The lock's text, less the packages of these names."""
    kept, dropping = [], False
    for line in lock.splitlines(keepends=True):
        if line[:1].isalnum():
            dropping = line.partition("==")[0].partition("[")[0].strip() in names
        if not dropping or line.startswith("#"):
            kept.append(line)
    return "".join(kept)


if __name__ == "__main__":
    sys.stdout.write(without(Path(sys.argv[1]).read_text(), set(sys.argv[2:])))
