"""BuildKit, and the registry that it pulls from and pushes to: their settings and their processes."""

from collections.abc import Sequence
from pathlib import Path

from devcloud.cloud.supervisor import Program


def write_registry_settings(folder: Path, port: int) -> None:
    """Have the registry's settings in a cloud's folder; it keeps what it holds there too."""
    (folder / "registry").mkdir(parents=True, exist_ok=True)
    (folder / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', relativeurls: true, secret: {folder.name}}}\n"
    )


def write_buildkit_settings(folder: Path, runc: Path, address: str, registry: int, others: Sequence[str] = ()) -> None:
    """Have BuildKit's settings in a cloud's folder.

    `registry` is the port of the registry that stands for Docker Hub; `others` (`host:port`) speak plain HTTP as well.
    """
    (folder / "buildkit").mkdir(parents=True, exist_ok=True)
    (folder / "buildkitd.toml").write_text(
        f'root = "{folder / "buildkit"}"\n'
        f'[grpc]\naddress = ["{address}"]\n'
        # Host networking: what the machine's package clients reach, a RUN reaches.
        f'[worker.oci]\nenabled = true\nnetworkMode = "host"\nbinary = "{runc}"\n'
        "[worker.containerd]\nenabled = false\n"
        f'[registry."docker.io"]\nmirrors = ["127.0.0.1:{registry}"]\n'
        + "".join(f'[registry."{name}"]\nhttp = true\n' for name in (f"127.0.0.1:{registry}", *others))
    )


def registry(folder: Path, server: Path, port: int) -> Program:
    return Program("registry", [str(server), "serve", str(folder / "registry.yml")], 1, listens=("127.0.0.1", port))


def buildkit(folder: Path, daemon: Path, path: str, address: str) -> Program:
    """Return BuildKit's process; `path` is the PATH that it finds its helpers on."""
    return Program(
        *("buildkit", [str(daemon), "--config", str(folder / "buildkitd.toml")], 2),
        environment={"PATH": path},
        title="BuildKit",
        listens=Path(address.removeprefix("unix://")),
    )
