"""Stand in for grubby, which knows the kernel that the next boot starts.

The rehearsed host has the kernel of the machine that it runs on. A package with a kernel that dnf's stand-in installed
is the next boot's until that boot, and the running one's after it.
"""

import platform
import re
import sys
from pathlib import Path

UPDATED = Path("/run/devcloud/updated")
"""Names of packages that dnf's stand-in updated since the boot: /run is empty at the next."""
KERNEL = re.compile(r"kernel(\d+\.\d+)?")
"""Packages with a kernel: `kernel` has 6.1, and each later one is called by its version."""


def main(arguments: list[str]) -> int:
    """Print the path of the kernel that the next boot starts. Return grubby's exit code."""
    if arguments != ["--default-kernel"]:
        print("grubby (devcloud's stand-in): only --default-kernel is known here.", file=sys.stderr)
        return 1
    updated = UPDATED.read_text().split() if UPDATED.is_file() else []
    kernels = [name for name in updated if KERNEL.fullmatch(name)]
    print(f"/boot/vmlinuz-{platform.release()}{f'.{kernels[-1]}' if kernels else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
