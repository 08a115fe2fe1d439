"""Stand in for Amazon Linux's dnf: `install` from what the rehearsed host has in store, and `upgrade`.

Under /usr/lib/devcloud/store is a folder for each package, whose files appear at their places when the package is
installed. Security updates are the packages named in /usr/lib/devcloud/updates, which a test or a person writes. Any
other command or option is refused in dnf's words.
"""

import subprocess
import sys
from pathlib import Path

STORE = Path("/usr/lib/devcloud/store")
PRESENT = frozenset({"python3", "iptables-nft", "iptables", "awscli", "awscli-2", "amazon-ssm-agent", "e2fsprogs"})
"""Packages that every host has from the start."""
UPDATES = Path("/usr/lib/devcloud/updates")
"""Names of packages with a security update in the repository's latest release, a line each."""
UPDATED = Path("/run/devcloud/updated")
"""Names of packages that were updated since the boot: /run is empty at the next."""
OPTIONS = {
    "install": {"--assumeyes", "-y"},
    "upgrade": {"--assumeyes", "-y", "--security", "--releasever=latest"},
    "makecache": set[str](),
    "needs-restarting": {"--reboothint", "-r"},
}
"""The commands, each with the options that it takes."""


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


def upgrade(options: set[str]) -> int:
    """Take the updates, if the options lead to any. Return dnf's exit code.

    Amazon Linux 2023 is locked to its image's release: without `--releasever` there is never an update.
    """
    waiting = UPDATES.read_text().split() if UPDATES.is_file() and "--releasever=latest" in options else []
    if waiting and not options & {"--assumeyes", "-y"}:
        print("Is this ok [y/N]: \nOperation aborted.")
        return 1
    for name in waiting:
        print(f"Upgrading        : {name} (devcloud's stand-in)")
    if waiting:
        UPDATES.unlink()
        UPDATED.parent.mkdir(exist_ok=True)
        UPDATED.write_text("".join(f"{name}\n" for name in waiting))
    print("Complete!" if waiting else "Nothing to do.\nComplete!")
    return 0


def needs_restarting(options: set[str]) -> int:
    """Say whether the machine needs a restart. Return dnf's exit code."""
    if not options:
        print("needs-restarting (devcloud's stand-in): only --reboothint is known here.", file=sys.stderr)
        return 1
    core = [name for name in UPDATED.read_text().split() if name == "kernel"] if UPDATED.is_file() else []
    if not core:
        print("No core libraries or services have been updated since boot-up.\nReboot should not be necessary.")
        return 0
    print("Core libraries or services have been updated since boot-up:")
    print("".join(f"  * {name}\n" for name in core))
    print("Reboot is required to fully utilize these updates.")
    return 1


def main(arguments: list[str]) -> int:
    """Run one command of dnf's. Return its exit code."""
    words = [word for word in arguments if not word.startswith("-")]
    options = {word for word in arguments if word.startswith("-")}
    command, packages = (words[0], words[1:]) if words else ("", [])
    if command not in OPTIONS:
        print(f"No such command: {command}. devcloud's stand-in knows {', '.join(OPTIONS)}.", file=sys.stderr)
        return 1
    if unknown := sorted(options - OPTIONS[command]) + (packages if command != "install" else []):
        print(f"Command line error: argument: unrecognized arguments: {' '.join(unknown)}", file=sys.stderr)
        return 2
    match command:
        case "install":
            return install(packages)
        case "upgrade":
            return upgrade(options)
        case "needs-restarting":
            return needs_restarting(options)
    print("Metadata cache created.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
