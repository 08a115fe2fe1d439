"""`python -m devcloud.machines`: run the instances of one cloud's emulator as containers, until SIGTERM."""

import argparse
import contextlib
import json
import signal
from pathlib import Path

from botocore.credentials import Credentials

from devcloud.machines.containers import Place
from devcloud.machines.engine import Engine, cgroup_version
from devcloud.machines.reconcile import DataPlane, Emulator
from devcloud.machines.volumes import Volumes


def main() -> None:
    """Serve. Docker's address comes by DOCKER_HOST, as for its client."""
    parser = argparse.ArgumentParser(prog="python -m devcloud.machines", description=__doc__)
    parser.add_argument("--cloud", required=True, metavar="NAME")
    parser.add_argument("--docker", required=True, type=Path, metavar="FILE", help="Docker's client")
    parser.add_argument("--image", required=True, metavar="NAME", help="the host image")
    parser.add_argument("--network", required=True, metavar="NAME", help="the cloud's network in Docker")
    parser.add_argument("--gateway", required=True, metavar="ADDRESS", help="this machine's address in that network")
    parser.add_argument("--aws-port", required=True, type=int, metavar="PORT", help="the emulator's port")
    parser.add_argument("--operator", required=True, type=Path, metavar="FILE", help="the operator's access key")
    parser.add_argument("--registry-port", required=True, type=int, metavar="PORT", help="the port of ECR's registry")
    parser.add_argument("--logs", required=True, type=Path, metavar="FOLDER", help="where the consoles are kept")
    parser.add_argument("--volumes", required=True, type=Path, metavar="FOLDER", help="where EBS volumes are kept")
    given = parser.parse_args()
    place = Place(
        cloud=given.cloud,
        network=given.network,
        gateway=given.gateway,
        image=given.image,
        aws_port=given.aws_port,
        registry_port=given.registry_port,
        cgroup_version=cgroup_version(given.docker),
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    key = json.loads(given.operator.read_text())
    operator = Credentials(key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"])
    emulator = Emulator(f"http://127.0.0.1:{given.aws_port}", operator)
    plane = DataPlane(Engine(given.docker, place), emulator, given.logs, Volumes(given.volumes))
    with contextlib.suppress(KeyboardInterrupt):
        plane.serve()


if __name__ == "__main__":
    main()
