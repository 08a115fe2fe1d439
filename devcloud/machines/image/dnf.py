"""Stand in for Amazon Linux's dnf: `install` from what the rehearsed host has in store, and `upgrade`.

Under /usr/lib/devcloud/store is a folder for each package, whose files appear at their places when the package is
installed. Security updates are the packages named in /usr/lib/devcloud/updates, which a test or a person writes. Any
other command or option is refused in dnf's words. It knows core packages as dnf does on Amazon Linux 2023, by their
exact names: the kernel of a package `kernel6.18` needs no restart for it, and only grubby knows better.
"""

import platform
import re
import subprocess
import sys
from pathlib import Path

STORE = Path("/usr/lib/devcloud/store")
PRESENT = frozenset({"python3", "iptables-nft", "iptables", "awscli", "awscli-2", "amazon-ssm-agent", "e2fsprogs"})
"""Packages that every host has from the start."""
PARTS = {"docker": ("containerd", "runc")}
"""Packages that come with one in store."""
CORE = frozenset(
    {"kernel", "kernel-rt", "glibc", "linux-firmware", "systemd", "dbus", "dbus-broker", "dbus-daemon", "microcode_ctl"}
)
"""dnf-plugins-core 4.3.0's: https://github.com/amazonlinux/amazon-linux-2023/issues/1125."""
UPDATES = Path("/usr/lib/devcloud/updates")
"""Names of packages with a security update in the repository's latest release, a line each."""
UPDATED = Path("/run/devcloud/updated")
"""Names of packages that were updated since the boot: /run is empty at the next."""
DOWNLOADED = Path("/run/devcloud/downloaded")
"""Names of packages that were downloaded and not installed."""
KERNEL = re.compile(r"kernel(\d+\.\d+)?")
"""Packages with a kernel: `kernel` has 6.1, and each later one is called by its version."""
BOOT = Path("/boot")
UPDATES_WAIT = 100
"""Exit code of `check-update` if there are some."""
EXCLUDE = "--exclude="
OPTIONS = {
    "install": {"--assumeyes", "-y"},
    "upgrade": {"--assumeyes", "-y", "--security", "--releasever=latest", "--downloadonly", "--cacheonly", EXCLUDE},
    "check-update": {"--security", "--releasever=latest"},
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


def installed() -> set[str]:
    """Return the packages that are installed or that a test has an update for."""
    stored = {folder.parent.name for folder in STORE.glob("*/.installed")}
    parts = {part for name in stored for part in PARTS.get(name, ())}
    return {*PRESENT, *stored, *parts, *names_in(UPDATES), *names_in(UPDATED)}


def names_in(file: Path) -> list[str]:
    """Return the packages that a file names, none without it."""
    return file.read_text().split() if file.is_file() else []


def write(file: Path, names: list[str]) -> None:
    """Write the packages that a file names, a line each."""
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{name}\n" for name in names))


def waiting(options: set[str], packages: list[str]) -> list[str]:
    """Return the updates, of all packages or of some.

    Amazon Linux 2023 is locked to its image's release: without `--releasever` there is never an update.
    """
    if "--releasever=latest" not in options:
        return []
    excluded = {name for option in options if option.startswith(EXCLUDE) for name in option[len(EXCLUDE) :].split(",")}
    return [name for name in names_in(UPDATES) if name not in excluded and (not packages or name in packages)]


def upgrade(options: set[str], packages: list[str]) -> int:
    """Take the updates, if the options lead to any. Return dnf's exit code."""
    for name in (unknown := [name for name in packages if name not in installed()]):
        print(f"No match for argument: {name}")
    if packages and len(unknown) == len(packages):
        print("Error: No packages marked for upgrade.", file=sys.stderr)
        return 1
    taken = waiting(options, packages)
    if taken and not options & {"--assumeyes", "-y"}:
        print("Is this ok [y/N]: \nOperation aborted.")
        return 1
    if "--downloadonly" in options:
        write(DOWNLOADED, taken)
        print("Complete!\nThe downloaded packages were saved in cache until the next successful transaction.")
        return 0
    if "--cacheonly" in options and (absent := set(taken) - set(names_in(DOWNLOADED))):
        print(f"Error: Cache-only enabled but no cache for {', '.join(sorted(absent))}", file=sys.stderr)
        return 1
    for name in taken:
        print(f"Upgrading        : {name} (devcloud's stand-in)")
        if KERNEL.fullmatch(name):
            write(BOOT / f"initramfs-{platform.release()}.{name}.img", [name])
    if taken:
        write(UPDATES, [name for name in names_in(UPDATES) if name not in taken])
        write(UPDATED, [*names_in(UPDATED), *taken])
        DOWNLOADED.unlink(missing_ok=True)
    if {"docker", *PARTS["docker"]} & set(taken):
        # Packages of a service may restart it.
        subprocess.run(["systemctl", "try-restart", "docker.service"], check=True)
    print("Complete!" if taken else "Nothing to do.\nComplete!")
    return 0


def check_update(options: set[str], packages: list[str]) -> int:
    """List the updates. Return dnf's exit code."""
    found = waiting(options, packages)
    print("".join(f"{name} (devcloud's stand-in)\n" for name in found), end="")
    return UPDATES_WAIT if found else 0


def needs_restarting(options: set[str]) -> int:
    """Say whether the machine needs a restart. Return dnf's exit code."""
    if not options:
        print("needs-restarting (devcloud's stand-in): only --reboothint is known here.", file=sys.stderr)
        return 1
    core = [name for name in names_in(UPDATED) if name in CORE]
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
    plain = {EXCLUDE if option.startswith(EXCLUDE) else option for option in options}
    takes_packages = command in ("install", "upgrade", "check-update")
    if unknown := sorted(plain - OPTIONS[command]) + ([] if takes_packages else packages):
        print(f"Command line error: argument: unrecognized arguments: {' '.join(unknown)}", file=sys.stderr)
        return 2
    match command:
        case "install":
            return install(packages)
        case "upgrade":
            return upgrade(options, packages)
        case "check-update":
            return check_update(options, packages)
        case "needs-restarting":
            return needs_restarting(options)
    print("Metadata cache created.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
