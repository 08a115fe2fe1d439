"""Pull a release's images by digest, and remove those that no kept release uses."""

from __future__ import annotations

from collections.abc import Collection

from infra.host import docker
from infra.host.host import PATIENCE_SECONDS, PAUSE_SECONDS, Host
from infra.host.machine import TIMED_OUT
from infra.host.outcome import HostError
from infra.host.release import digest_of
from infra.host.secrets import docker_login
from infra.host.store import write

PULL_DISK_MIB = 600
"""Free disk that a pull needs: the largest image has some 300 MiB unpacked, besides its packed layers."""
RUN_DISK_MIB = 100
ABSENT = ("manifest unknown", "not found", "does not exist")
NO_SPACE = ("no space left on device",)
REFUSED = ("unauthorized", "denied", "no basic auth credentials", "forbidden")
OTHER_ARCHITECTURE = ("no matching manifest", "does not match the specified platform")


def fetch(host: Host, images: Collection[str]) -> None:
    """Have the images on the host. Raises HostError with the reason."""
    absent = [image for image in sorted(set(images)) if host.run_docker(docker.inspect_image(image)).code != 0]
    _check_disk(host, pulling=bool(absent))
    if absent:
        _log_in(host)
    end = host.machine.now() + host.graph.seconds.pull
    for image in absent:
        _pull(host, image, end)
    wanted = host.machine.architecture()
    for image in sorted(set(images)):
        found = host.must(docker.inspect_image(image), f"Looking at {short(image)}").strip()
        if found != wanted:
            raise HostError(
                f"{short(image)} is built for {found}, but the host is {wanted}: set `images.platform` to "
                f"linux/{wanted} and build again."
            )


def prune(host: Host, kept: Collection[str]) -> None:
    """Remove the images of our repositories that are not among the kept ones."""
    repositories = {image.partition("@")[0] for image in kept}
    for image in host.must(docker.images(), "Listing the images").split():
        if image.partition("@")[0] in repositories and image not in kept and not image.endswith("<none>"):
            # Docker itself refuses to remove an image that a container uses.
            host.run_docker(docker.remove_image(image))


def short(image: str) -> str:
    """Return an image's name for people: its repository without the registry, and the start of the digest."""
    repository = image.partition("@")[0]
    return f"{repository.partition('/')[2] or repository}@{digest_of(image)[:19]}"


def _check_disk(host: Host, *, pulling: bool) -> None:
    folder = host.must(docker.root_folder(), "Asking Docker for its folder").strip()
    free, needed = host.machine.free_disk_mib(folder), PULL_DISK_MIB if pulling else RUN_DISK_MIB
    if free < needed:
        raise HostError(
            f"The host's disk has {free} MiB free in {folder}, but a release needs {needed} MiB: "
            "remove files there, or set a larger host.rootVolumeGib."
        )


def _log_in(host: Host) -> None:
    login = host.ask_aws(host.aws.login, "The login to the registry")
    host.login_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(host.login_folder / "config.json", docker_login(login.registry, login.token))


def _pull(host: Host, image: str, end: float) -> None:
    """Pull one image; a registry that is away, or denies it, is asked again for some time.

    IAM is eventually consistent, so that a new permission is denied for some seconds.
    """
    patience = min(end, host.machine.now() + PATIENCE_SECONDS)
    while True:
        left = end - host.machine.now()
        done = host.run_docker(docker.pull(image, str(host.login_folder)), seconds=max(left, 1))
        if done.code == 0:
            return
        text, name, reason = done.stderr.lower(), short(image), docker.last_line(done.stderr)
        # Docker says "does not exist" of an image that is denied, too.
        denied = any(part in text for part in REFUSED)
        if any(part in text for part in NO_SPACE):
            raise HostError(f"The host's disk is full: {name} cannot be unpacked; set a larger host.rootVolumeGib.")
        if any(part in text for part in OTHER_ARCHITECTURE):
            wanted = host.machine.architecture()
            raise HostError(f"{name} is not built for the host's processor ({wanted}): build it for linux/{wanted}.")
        if not denied and any(part in text for part in ABSENT):
            raise HostError(f"{name} is not in the registry: build and push it again ({reason}).")
        if host.machine.now() >= patience or done.code == TIMED_OUT:
            if denied:
                raise HostError(f"The registry refused {name}: look at the host's role ({reason}).")
            raise HostError(f"{name} cannot be pulled: {reason}; is the registry up and reachable from the host?")
        host.machine.sleep(PAUSE_SECONDS)
