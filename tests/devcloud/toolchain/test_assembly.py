"""The source of each tool, their order, and a second run that has nothing to do."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from devcloud.toolchain import assembly, debian, golang, official, terraform
from devcloud.toolchain.assembly import ensure, is_ready, missing_packages, running_engine
from devcloud.toolchain.work import Work
from devcloud.util.console import UserError


class Machine:
    """A machine that has what a test puts there: programs on PATH, archives to download, builds that succeed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.path = folder / "path"
        self.path.mkdir()
        self.downloads: dict[str, list[str]] = {}
        self.built: list[str] = []
        self.lines: list[str] = []
        self.provider: Path | None = self.program("terraform-provider-aws_v5.100.0_x5", "")
        for part in assembly.PACKAGED:
            for program in part.programs:
                self.program(program, "")
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.delenv("PULUMI_HOME", raising=False)
        monkeypatch.setattr(assembly, "executable", self._executable)
        monkeypatch.setattr(assembly, "running_engine", lambda _cache: False)
        monkeypatch.setattr(official, "unpack", self._unpack)
        monkeypatch.setattr(golang, "find", lambda _cache: Path("/usr/bin/go"))
        monkeypatch.setattr(golang, "build", self._build)
        monkeypatch.setattr(terraform, "provider", lambda: self.provider)
        monkeypatch.setattr(debian, "owner", lambda _program: "")

    def program(self, name: str, says: str) -> Path:
        file = self.path / name
        file.write_text(f"#!/bin/sh\necho {says}\n")
        file.chmod(0o755)
        return file

    def ensure(self) -> assembly.Toolchain:
        self.lines.clear()
        return ensure(self.cache, self.lines.append)

    def origin(self, part: str) -> str:
        return next(line.removeprefix(part).strip() for line in self.lines if line.startswith(part))

    def _executable(self, name: str, *, outside: Path) -> Path | None:
        return self.path / name if (self.path / name).exists() else None

    def _unpack(self, urls: list[str], target: Path) -> bool:
        for part, files in self.downloads.items():
            if part in urls[0]:
                for file in files:
                    (target / file).parent.mkdir(parents=True, exist_ok=True)
                    (target / file).touch(mode=0o755)
                return True
        return False

    def _build(self, program: golang.Program, cache: Path, _go: Path, _work: Work) -> tuple[Path, str]:
        self.built.append(program.module)
        folder = cache / "toolchain" / "parts" / program.module
        folder.mkdir(parents=True)
        names = (
            "pulumi",
            "buildkitd",
            "buildctl",
            "pulumi-resource-docker-build",
            "pulumi-resource-terraform-provider",
        )
        for name in names:
            (folder / name).touch(mode=0o755)
        return folder, "built from its Go module in 4 min 10 s"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_where_nothing_can_be_had_everything_is_built(machine: Machine) -> None:
    toolchain = machine.ensure()
    assert sorted(machine.built) == ["aws-bridge", "buildkit", "docker-build", "pulumi"]
    assert machine.origin("pulumi 3.259.0") == "built from its Go module in 4 min 10 s"
    assert (toolchain.bin / "pulumi-language-python").stat().st_mode & 0o111
    assert (toolchain.pulumi_home / "plugins" / "resource-aws-v7.51.1" / "pulumi-resource-aws").exists()
    assert (toolchain.pulumi_home / "plugins" / "resource-docker-build-v0.0.22").is_dir()


def test_official_distributions_come_before_builds(machine: Machine) -> None:
    machine.downloads = {
        "/sdk/pulumi-": ["pulumi/pulumi", "pulumi/pulumi-language-python"],
        "buildkit-v": ["bin/buildkitd", "bin/buildctl", "bin/buildkit-runc"],
        "pulumi-resource-aws": ["pulumi-resource-aws"],
        "pulumi-resource-docker-build": ["pulumi-resource-docker-build"],
    }
    toolchain = machine.ensure()
    assert machine.built == []
    assert machine.origin("aws plugin 7.51.1") == "the official distribution"
    assert (toolchain.bin / "pulumi-language-python").read_text() == "", "the official host, not ours"
    assert not (toolchain.bin / "buildkit-runc").exists(), "the machine's runc is used"


def test_what_is_on_the_machine_comes_before_a_download(machine: Machine) -> None:
    machine.downloads = {"/sdk/pulumi-": ["pulumi/pulumi", "pulumi/pulumi-language-python"]}
    pulumi = machine.program("pulumi", "v3.260.1")
    machine.program("pulumi-language-python", "")
    toolchain = machine.ensure()
    assert machine.origin("pulumi 3.259.0") == f"on this machine: {pulumi}"
    assert toolchain.pulumi.resolve() == pulumi


def test_a_pulumi_that_is_too_old_is_left_alone(machine: Machine) -> None:
    machine.program("pulumi", "v3.100.0")
    machine.program("pulumi-language-python", "")
    machine.ensure()
    assert "pulumi" in machine.built


def test_a_plugin_of_the_users_is_taken(machine: Machine) -> None:
    installed = machine.folder / "home" / ".pulumi" / "plugins" / "resource-aws-v7.51.1" / "pulumi-resource-aws"
    installed.parent.mkdir(parents=True)
    installed.touch(mode=0o755)
    toolchain = machine.ensure()
    assert "aws-bridge" not in machine.built
    plugin = toolchain.pulumi_home / "plugins" / "resource-aws-v7.51.1" / "pulumi-resource-aws"
    assert plugin.resolve() == installed


def test_a_download_without_what_it_should_hold_is_not_taken(machine: Machine) -> None:
    machine.downloads = {"buildkit-v": ["README"]}
    machine.ensure()
    assert "buildkit" in machine.built


def test_without_any_aws_provider_a_sentence_says_what_to_do(machine: Machine) -> None:
    machine.provider = None
    with pytest.raises(UserError, match=r"There is no AWS provider for Pulumi here: .*Put one there .*5\.100\.0"):
        machine.ensure()
    assert not is_ready(machine.cache)


def test_a_second_run_has_nothing_to_do_and_says_the_same(machine: Machine) -> None:
    first = machine.ensure()
    assert is_ready(machine.cache)
    machine.built.clear()
    second = machine.ensure()
    assert second == first
    assert machine.built == []
    assert machine.origin("pulumi 3.259.0") == "built from its Go module"


def test_a_part_that_has_gone_is_made_again(machine: Machine) -> None:
    toolchain = machine.ensure()
    toolchain.buildkitd.unlink()
    assert not is_ready(machine.cache)


def test_another_interpreter_is_another_assembly(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.ensure()
    monkeypatch.setattr("sys.executable", "/another/python")
    assert not is_ready(machine.cache)


def test_the_assembly_of_a_checkout_that_is_no_more_is_forgotten(machine: Machine) -> None:
    old = machine.cache / "toolchain" / "0123456789ab"
    old.mkdir(parents=True)
    (old / "checkout").write_text(str(machine.folder / "gone"))
    machine.ensure()
    assert not old.exists()


def test_two_at_once_make_it_once(machine: Machine) -> None:
    threads = [threading.Thread(target=ensure, args=(machine.cache, lambda _line: None)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(machine.built) == ["aws-bridge", "buildkit", "docker-build", "pulumi"]


def test_a_launcher_starts_our_module_whatever_the_shell_is_like(machine: Machine) -> None:
    toolchain = machine.ensure()
    launcher = (toolchain.bin / "pulumi-language-python").read_text()
    assert launcher.startswith("#!/bin/sh\nexec ")
    assert launcher.rstrip().endswith('"$@"')
    assert "from devcloud.plugins.language_host import main" in launcher


def test_packages_are_only_those_that_are_missing(machine: Machine) -> None:
    assert missing_packages(machine.cache) == []
    (machine.path / "redis-server").unlink()
    (machine.path / "dockerd").unlink()
    assert missing_packages(machine.cache) == ["docker.io", "redis-server"]


def test_the_stamp_names_every_place(machine: Machine) -> None:
    toolchain = machine.ensure()
    stamp = json.loads((toolchain.bin.parent / "toolchain.json").read_text())
    assert stamp["pulumi"] == str(toolchain.pulumi)
    assert stamp["postgres_bin"] == str(machine.path)


@pytest.fixture
def answering(tmp_path: Path) -> Callable[[Path], None]:
    def listen(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")
            connection.close()
            server.close()

        threading.Thread(target=answer, daemon=True).start()

    return listen


def test_an_engine_that_answers_is_used(
    tmp_path: Path, answering: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert running_engine(tmp_path / "cache")


def test_devclouds_own_engine_is_not_the_machines(
    tmp_path: Path, answering: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(tmp_path / "cache" / "docker.sock")
    monkeypatch.setattr(assembly, "DOCKER_SOCKET", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/cache/docker.sock")
    assert not running_engine(tmp_path / "cache")
