"""A cloud on this machine: its folder, its ports, and the environment that aims a program at it.

Several clouds live side by side: `default` is the one of `make up`; tests have one of their own.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from devcloud.bootstrap import cache_folder
from devcloud.cloud.aws import REGION, AwsClients
from devcloud.emulator.operator_key import OperatorKey
from devcloud.util.console import MachineError, WrongCallError
from devcloud.util.files import replace_text
from devcloud.util.locks import locked
from devcloud.util.sockets import is_free

PREFERRED_PORTS = {"aws": 4566, "ecr": 5000, "registry": 5001}
"""What each service listens on where nobody else does; the emulator's is the field's customary port."""
STRIPPED_ENV_PREFIXES = ("AWS_", "PULUMI_")
"""Beginnings of the variables of a person's shell that would aim a program at a real account or state."""


@dataclass(frozen=True)
class Ports:
    """TCP ports on 127.0.0.1, and a loopback address of the cloud's own for the databases.

    The databases keep their customary ports, on that address and on the bridge's gateway, in every cloud:
    so what a stack's settings say of them holds for each.
    """

    aws: int
    ecr: int
    registry: int
    databases: str


@dataclass(frozen=True)
class Cloud:
    """One cloud of this machine, by its name."""

    name: str
    cache: Path

    @classmethod
    def named(cls, name: str) -> "Cloud":
        """The cloud of that name. Raise WrongCallError for a name that could not be a folder's and a network's."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise WrongCallError(
                f"CLOUD={name!r} is not a name for a cloud: use 1 to 31 lower-case letters, digits and hyphens, "
                "beginning with a letter, for example CLOUD=default."
            )
        return cls(name, cache_folder())

    @property
    def folder(self) -> Path:
        """Everything that is this cloud's alone."""
        return self.cache / "clouds" / self.name

    @property
    def logs(self) -> Path:
        """The logs of its services, one file each."""
        return self.folder / "logs"

    @property
    def state(self) -> Path:
        """The Pulumi backend of its stacks."""
        return self.folder / "pulumi"

    @property
    def network(self) -> str:
        return f"slipway-{self.name}"

    @property
    def docker_socket(self) -> Path:
        """The socket of the engine that devcloud starts, shared by all clouds of the machine."""
        return self.cache / "engine" / "docker.sock"

    @property
    def buildkit_address(self) -> str:
        """Where this cloud's BuildKit listens."""
        return f"unix://{self.folder / 'buildkit' / 'buildkitd.sock'}"

    @property
    def was_started(self) -> bool:
        """Whether it has chosen its ports, and so may have data."""
        return self._ports_file.exists()

    @property
    def _ports_file(self) -> Path:
        return self.folder / "ports.json"

    @cached_property
    def ports(self) -> Ports:
        """Its ports: chosen at its first start, the same ever after."""
        # Two clouds that start at once must not take the same.
        with locked(self.folder.parent / "ports.lock"):
            return self._ports()

    def _ports(self) -> Ports:
        file = self._ports_file
        if file.exists():
            return Ports(**json.loads(file.read_text()))
        others = [Ports(**json.loads(file.read_text())) for file in self.folder.parent.glob("*/ports.json")]
        taken = {port for other in others for port in (other.aws, other.ecr, other.registry)}
        addresses = {other.databases for other in others}
        address = next(a for n in range(1, 255) if (a := f"127.83.{n}.1") not in addresses)
        ports = Ports(databases=address, **{name: _free_port(port, taken) for name, port in PREFERRED_PORTS.items()})
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(file, json.dumps(asdict(ports), indent=1) + "\n")
        return ports

    @property
    def endpoint(self) -> str:
        """The emulator's address on this machine."""
        return f"http://127.0.0.1:{self.ports.aws}"

    @property
    def registry_address(self) -> str:
        return f"127.0.0.1:{self.ports.ecr}"

    @property
    def emulator_run_id_file(self) -> Path:
        """Names the emulator's present life: its state is gone when it stops, and a stack's state with it."""
        return self.folder / "incarnation"

    @cached_property
    def aws(self) -> AwsClients:
        """Clients of the emulator's services."""
        return AwsClients(self.endpoint, self.credentials)

    @cached_property
    def operator_file(self) -> Path:
        """The file with the key of this machine's operator: made when it is first asked for, the same ever after."""
        file = self.folder / "operator.json"
        with locked(self.folder.parent / "operator.lock"):
            if not file.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                replace_text(file, json.dumps(OperatorKey.new().variables()) + "\n", 0o600)
        return file

    @cached_property
    def credentials(self) -> dict[str, str]:
        """The operator's key as AWS's clients take it from their environment."""
        return dict(OperatorKey.read(self.operator_file).variables())

    def inside(self) -> dict[str, str]:
        """Return what a container needs to find the emulator where on AWS it would find AWS."""
        return {"AWS_ENDPOINT_URL": f"http://host.docker.internal:{self.ports.aws}"}

    def docker_host(self) -> str:
        """The address of the Docker engine: the machine's own where it has one, else devcloud's."""
        recorded = self.cache / "engine" / "host"
        return recorded.read_text().strip() if recorded.exists() else f"unix://{self.docker_socket}"

    def variables(self, bin_folder: Path, pulumi_home: Path) -> dict[str, str]:
        """What aims Pulumi, boto3, the AWS command line and Docker at this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **self.credentials,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PULUMI_HOME": str(pulumi_home),
            "PULUMI_BACKEND_URL": self.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "slipway-local",  # guards nothing: a rehearsal holds no real secret
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "BUILDX_CONFIG": str(self.folder / "buildx"),
            "DOCKER_CONFIG": str(self.folder / "docker"),
            "DOCKER_HOST": self.docker_host(),
            "SLIPWAY_BRIDGE_FOLDER": str(self.folder / "bridge"),
            "PATH": _path_with(bin_folder),
        }

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """This process's environment, aimed at this cloud and at nothing else."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(STRIPPED_ENV_PREFIXES)}
        return {**kept, **variables}


def _path_with(folder: Path) -> str:
    """PATH with our folders first, once."""
    venv = os.environ.get("VIRTUAL_ENV")
    ours = [str(Path(venv) / "bin")] if venv else []
    ours.append(str(folder))
    rest = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry not in ours]
    return os.pathsep.join(ours + rest)


def _free_port(preferred: int, taken: set[int]) -> int:
    """A port that nothing listens on: the preferred one, else one below the range that outgoing calls use."""
    candidates: tuple[int, ...] = (preferred, *range(20000, 32000))
    for port in candidates:
        if port not in taken and is_free("0.0.0.0", port):  # noqa: S104  every address, the bridge's gateway too
            taken.add(port)
            return port
    raise MachineError(
        "No TCP port between 20000 and 32000 is free on this machine: end what holds them and try again."
    )
