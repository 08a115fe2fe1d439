"""The end: nothing is left. Its name keeps it last, for it ends the session's cloud."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from devcloud.cloud.cloud import Cloud
from devcloud.cloud.services import Services
from devcloud.cloud.supervisor import Supervisor
from tests.cloud.conftest import CLOUD, Checkout, Done, left_of

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def neighbour(checkout: Checkout, first_up: Done) -> Iterator[Checkout]:
    """Another cloud that runs beside the session's, as the one that `make up` left running would."""
    found = Checkout(checkout.root, "test-neighbour")
    checkout.restore()
    Services(found.cloud, found.tools).start(builds=True)
    yield found
    found.run("clean")


def life(cloud: Cloud) -> tuple[str, dict[str, int]]:
    """What a cloud that went on untouched has kept: the emulator's life, and each service's process."""
    services = Supervisor(cloud.folder).states()
    assert services
    return cloud.emulator_run_id_file.read_text(), {name: info["pid"] for name, info in services.items()}


def containers(checkout: Checkout, cloud: str) -> str:
    """The containers and networks of a cloud in the engine that runs."""
    label = f"label=slipway.cloud={cloud}"
    calls = (["ps", "--all", "--quiet"], ["network", "ls", "--quiet"])
    docker = ["docker", "--host", checkout.cloud.docker_host()]
    return "".join(
        subprocess.run([*docker, *call, "--filter", label], capture_output=True, text=True, check=True).stdout
        for call in calls
    )


def test_down_leaves_no_resource_no_process_no_container_and_no_mount(
    checkout: Checkout, first_up: Done, neighbour: Checkout
) -> None:
    checkout.restore()
    before = life(neighbour.cloud)
    with ThreadPoolExecutor() as side_by_side:
        ended = list(side_by_side.map(lambda stack: checkout.run("down", stack=stack), ("prod", "dev")))
    for done in ended:
        assert done.code == 0, done.said
    done = checkout.run("down")
    assert done.code == 0, done.said
    assert "empty but for" in done.said
    assert left_of(checkout.cloud) == []
    assert containers(checkout, CLOUD) == ""
    assert life(neighbour.cloud) == before


def test_clean_leaves_nothing_of_a_cloud(neighbour: Checkout) -> None:
    assert containers(neighbour, neighbour.cloud.name) != ""
    done = neighbour.run("clean")
    assert done.code == 0, done.said
    assert left_of(neighbour.cloud) == []
    assert not neighbour.cloud.folder.exists()
