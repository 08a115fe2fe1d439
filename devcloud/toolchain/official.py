"""The official distributions: tried first, once in a run and not for long, since a machine may reach none of them."""

import contextlib
import functools
import platform
import socket
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from devcloud.toolchain import versions
from devcloud.util.files import made_whole

CONNECT_SECONDS = 5
READ_SECONDS = 60
"""Without a byte for so long, a download is given up."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PULUMI = "https://get.pulumi.com/releases"
_GITHUB = "https://github.com"


def architecture() -> str:
    """This machine's processor in Go's words."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def pulumi() -> list[str]:
    """Where the engine with its language hosts is."""
    version, machine = versions.PULUMI, {"amd64": "x64"}.get(architecture(), architecture())
    archive = f"pulumi-v{version}-linux-{machine}.tar.gz"
    return [f"{_PULUMI}/sdk/{archive}", f"{_GITHUB}/pulumi/pulumi/releases/download/v{version}/{archive}"]


def pulumi_plugin(name: str, version: str) -> list[str]:
    """Where a resource plugin is."""
    archive = f"pulumi-resource-{name}-v{version}-linux-{architecture()}.tar.gz"
    return [f"{_PULUMI}/plugins/{archive}", f"{_GITHUB}/pulumi/pulumi-{name}/releases/download/v{version}/{archive}"]


def buildkit() -> list[str]:
    """Where BuildKit is, with a runc of its own."""
    archive = f"buildkit-v{versions.BUILDKIT}.linux-{architecture()}.tar.gz"
    return [f"{_GITHUB}/moby/buildkit/releases/download/v{versions.BUILDKIT}/{archive}"]


def go() -> list[str]:
    """Where Go itself is."""
    return [f"https://go.dev/dl/go{versions.GO_TO_GET}.linux-{architecture()}.tar.gz"]


@functools.cache
def reachable(host: str) -> bool:
    """Whether a host answers. Asked once in a run."""
    proxy = urllib.request.getproxies().get("https")
    if proxy and not urllib.request.proxy_bypass(host):
        address = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        target = (address.hostname or host, address.port or 3128)
    else:
        target = (host, 443)
    try:
        socket.create_connection(target, timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def unpack(urls: Sequence[str], target: Path) -> bool:
    """Have what the archive at the first address that answers holds in `target`; whether there was one."""
    for url in urls:
        if not reachable(urllib.parse.urlsplit(url).hostname or ""):
            continue
        with (
            contextlib.suppress(OSError, tarfile.TarError),
            made_whole(target) as draft,
            urllib.request.urlopen(url, timeout=READ_SECONDS) as response,  # noqa: S310  the addresses above
            tarfile.open(fileobj=response, mode="r|gz") as archive,
        ):
            archive.extractall(draft, filter="data")
            return True
    return False
