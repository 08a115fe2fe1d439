"""Start the next version of the base image, or check the one there is: `make base-version`, `make check`.

python -m images.base_version VERSION CHANGE
python -m images.base_version --check
"""

import sys

from images.lock import ROOT
from infra.builds import base_version


def main(arguments: list[str]) -> int:
    """Start a version, or check; 1 where that fails, with the reason in a sentence."""
    if arguments == ["--check"]:
        problem = base_version.problem(ROOT)
        if problem:
            sys.stderr.write(f"{problem}\n")
        return 1 if problem else 0
    if len(arguments) != 2:
        sys.stderr.write('usage: make base-version VERSION=1.2.0 CHANGE="what changed"\n')
        return 2
    version, change = arguments
    try:
        base_version.start(ROOT, version, change)
    except base_version.VersionError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"The base is {version}: see {base_version.changelog(ROOT)}, and commit it with the change.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
