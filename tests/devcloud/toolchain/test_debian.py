"""Packages: one call for all that is missing, services off, an update only where it helps."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from devcloud.toolchain import debian
from devcloud.toolchain.work import Work
from devcloud.util.console import UserError


class Apt(Work):
    """Notes the commands instead of running them, and whether services were off then."""

    def __init__(self, *exits: int) -> None:
        super().__init__(lambda _text: None)
        self.commands: list[list[str]] = []
        self.policies: list[str] = []
        self.exits = list(exits)

    def run(self, command: Sequence[str], **_options: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(command))
        self.policies.append(debian.POLICY.read_text() if debian.POLICY.exists() else "")
        may_fail = {"install", "download"} & set(command)
        return subprocess.CompletedProcess(command, self.exits.pop(0) if may_fail else 0, "E: no such version")

    @property
    def verbs(self) -> list[str]:
        known = ("install", "update", "--configure", "download")
        return [next(word for word in command[1:] if word in known) for command in self.commands]


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(debian, "version", lambda package: "1.0" if package == "installed" else "")
    monkeypatch.setattr(debian, "_known", lambda *_: True)


def test_all_that_is_missing_is_one_call(tmp_path: Path) -> None:
    apt = Apt(0)
    debian.install(["redis-server", "installed", "runc"], tmp_path, apt)
    assert apt.verbs == ["install"]
    assert apt.commands[0][-2:] == ["redis-server", "runc"]
    assert "--no-install-recommends" in apt.commands[0]


def test_nothing_missing_is_no_call(tmp_path: Path) -> None:
    apt = Apt()
    debian.install(["installed"], tmp_path, apt)
    assert apt.commands == []


def test_services_stay_off_while_packages_go_in_and_the_policy_is_gone_afterwards(tmp_path: Path) -> None:
    apt = Apt(0)
    debian.install(["runc"], tmp_path, apt)
    assert apt.policies[0].endswith("exit 101\n")
    assert not debian.POLICY.exists()


def test_a_machines_own_policy_is_left_alone(tmp_path: Path) -> None:
    debian.POLICY.write_text("#!/bin/sh\nexit 104\n")
    apt = Apt(0)
    debian.install(["runc"], tmp_path, apt)
    assert apt.policies == ["#!/bin/sh\nexit 104\n"]
    assert debian.POLICY.read_text() == "#!/bin/sh\nexit 104\n"


def test_an_unknown_package_asks_for_an_update_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "_known", lambda *_: False)
    apt = Apt(0)
    debian.install(["runc"], tmp_path, apt)
    assert apt.verbs == ["update", "install"]


def test_a_failure_is_mended_and_tried_once_more(tmp_path: Path) -> None:
    apt = Apt(100, 0)
    debian.install(["runc"], tmp_path, apt)
    assert apt.verbs == ["install", "--configure", "update", "install"]


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    debian.POLICY.write_text(debian._POLICY_TEXT)
    debian.settle(tmp_path, Apt())
    assert not debian.POLICY.exists()


def test_what_apt_says_is_in_the_refusal(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not install runc \(exit 100\): E: no such version\. Check /etc/apt"):
        debian.install(["runc"], tmp_path, Apt(100, 100))
    assert not debian.POLICY.exists()


def test_a_package_that_the_lists_do_not_have_is_downloaded_after_an_update(tmp_path: Path) -> None:
    apt = Apt(100, 0)
    assert debian._download("runc", tmp_path, apt).returncode == 0
    assert apt.verbs == ["download", "update", "download"]


def test_what_keeps_apt_from_a_download_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "Work", lambda _: Apt(100, 100))
    assert debian.cannot_download(["runc"]) == "E: no such version"
    monkeypatch.setattr(debian, "Work", lambda _: Apt(0))
    assert debian.cannot_download(["runc"]) == ""
