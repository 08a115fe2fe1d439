"""Stand in for Amazon Linux's dnf: `install` what the rehearsed host has in store, as if it came from a repository.

What is in store lies under /usr/lib/devcloud/store: a folder a package, whose files appear at their places when the
package is installed. Anything else is refused in dnf's words.
"""

import subprocess
import sys
from pathlib import Path

STORE = Path("/usr/lib/devcloud/store")
PRESENT = frozenset({"python3", "iptables-nft", "iptables", "awscli", "awscli-2", "amazon-ssm-agent", "e2fsprogs"})
"""Packages that every host has from the start."""


def install(packages: list[str]) -> int:
    """Install packages. Return dnf's exit code."""
    missing = [name for name in packages if name not in PRESENT and not (STORE / name).is_dir()]
    for name in missing:
        print(f"No match for argument: {name}")
    if missing:
        print(f"Error: Unable to find a match: {' '.join(missing)}", file=sys.stderr)
        return 1
    new = [name for name in packages if name not in PRESENT and not (STORE / name / ".installed").exists()]
    if not new:
        print("Nothing to do.\nComplete!")
        return 0
    for name in new:
        folder = STORE / name
        for source in sorted(path for path in folder.rglob("*") if not path.is_dir() and path.name != ".installed"):
            target = Path("/") / source.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            # A link: copies of the programs would take their size again on each host's disk.
            target.unlink(missing_ok=True)
            if target.suffix in (".service", ".socket"):
                target.write_text(source.read_text())  # systemd takes a unit that is a link for an alias
            else:
                target.symlink_to(source)
        (folder / ".installed").touch()
        print(f"Installing       : {name} (devcloud's stand-in)")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    print("Complete!")
    return 0


def main(arguments: list[str]) -> int:
    """Run one command of dnf's. Return its exit code."""
    words = [word for word in arguments if not word.startswith("-")]
    command, packages = (words[0], words[1:]) if words else ("", [])
    if command == "install" and packages:
        return install(packages)
    if command in ("update", "upgrade", "makecache", "clean"):
        print("Nothing to do.\nComplete!")
        return 0
    print(
        f"dnf (devcloud's stand-in): {' '.join(arguments)!r} is not known here; it knows install, upgrade, makecache."
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
