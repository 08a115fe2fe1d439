"""The commands that ask a stack that is up, as a person reads them."""

import webbrowser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from devcloud.cli import live, main
from infra.releases.live import LiveError, LiveStack, Snapshots, Worker
from tests.outputs import outputs_of

NOW = 1_800_000_000.0
SERVICE = {
    "container": "slipway-local-0123456789ab-api",
    "digest": "sha256:0d9baf19fad6",
    "running": True,
    "restarts": 0,
    "memory": "140.2MiB",
    "memoryMib": 224,
}
REPORT = {
    "release": "0123456789ab",
    "since": NOW - 300,
    "underWay": None,
    "step": None,
    "kept": ["0123456789ab", "ba9876543210"],
    "freeMemoryMib": 812,
    "services": {"web": {**SERVICE, "memory": "12MiB", "memoryMib": 64}, "api": SERVICE},
}


class Stack(LiveStack):
    """A stack whose answers are given."""

    report: ClassVar[dict[str, Any]] = REPORT
    restarted: ClassVar[list[str]] = []
    restored: ClassVar[list[str]] = []

    def status(self) -> dict[str, Any]:
        return self.report

    def logs(self, service: str, lines: int) -> str:
        return f"{lines} lines of {service}\n"

    def restart(self, service: str) -> None:
        if service not in self.report["services"]:
            raise LiveError(f"no {service}")
        self.restarted.append(service)

    def backup(self) -> str:
        return "20270115T080000Z"

    def restore(self, dump: str) -> str:
        self.restored.append(dump)
        return dump or self.backup()

    def backups(self) -> dict[str, Any]:
        return {"dumps": {self.backup(): 2_500_000}, "now": NOW + 7200, "underWay": False, "last": None}

    def snapshots(self) -> Snapshots | None:
        return None

    def worker(self) -> Worker | None:
        return Worker(desired=1, running=1, waiting=3, taken=1, dead=0)


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stack:
    found = Stack("local", outputs_of(), lambda _: None)
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    monkeypatch.setattr(live, "live", lambda command, name: found)
    for name in live.DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    return found


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["devcloud", *arguments])
    return main.main()


def test_the_report_of_a_host_is_a_row_for_each_thing() -> None:
    assert list(live.described(REPORT, NOW)) == [
        ("release", "0123456789ab since 2027-01-15 07:55:00 UTC (for 5 min 00 s)"),
        ("kept", "ba9876543210, whose images are on the host"),
        ("host", "812 MiB of memory free"),
        ("api", "running, 140.2MiB of 224 MiB, 0 restarts, sha256:0d9baf19fad6"),
        ("web", "running, 12MiB of 64 MiB, 0 restarts, sha256:0d9baf19fad6"),
    ]


def test_a_release_under_way_and_a_container_that_is_down_are_told() -> None:
    down = {**SERVICE, "running": False, "restarts": 4, "memory": None}
    report = {**REPORT, "underWay": "ffffffffffff", "step": "pull", "services": {"api": down}}
    rows = dict(live.described(report, NOW + 86_400 * 3))
    assert rows["release"].endswith("(for 3 days)")
    assert rows["under way"] == "ffffffffffff, in the step `pull`: the next `up` waits for it"
    assert rows["api"] == "DOWN, 4 restarts, sha256:0d9baf19fad6"
    draining = dict(live.described({**REPORT, "underWay": REPORT["release"], "step": "drain"}, NOW))
    assert draining["ending"] == "what it replaced is being stopped: the next `up` waits for that"
    assert "under way" not in draining


def test_a_host_before_its_first_release_is_told() -> None:
    report = {**REPORT, "release": None, "since": None, "kept": [], "services": {}}
    assert list(live.described(report, NOW)) == [("release", "none serves yet"), ("host", "812 MiB of memory free")]


def test_status_ends_with_1_if_a_container_is_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stack: Stack
) -> None:
    assert run(monkeypatch, "status") == 0
    said = capsys.readouterr().err
    assert said.startswith("stack local at http://203.0.113.7:80\n")
    assert "  tasks       1 of 1 run\n" in said
    assert "  queue       3 messages wait, 1 are taken, 0 were given up\n" in said
    monkeypatch.setattr(Stack, "report", {**REPORT, "services": {"api": {**SERVICE, "running": False}}})
    assert run(monkeypatch, "status") == 1


def test_logs_are_of_one_service_or_of_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "logs", "api") == 0
    assert capsys.readouterr().out == "==> api\n100 lines of api\n"
    assert run(monkeypatch, "logs") == 0
    assert capsys.readouterr().out == "==> api\n10 lines of api\n==> web\n10 lines of web\n"


def test_words_of_a_host_are_no_commands_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "\x1b]0;posed\x07\x9b2J fine\rposed \u202e"
    shown = r"\x1b]0;posed\x07\x9b2J fine\rposed \u202e"
    monkeypatch.setattr(Stack, "logs", lambda *_: f"first\n\tthen {said}\n")
    assert run(monkeypatch, "logs", "api") == 0
    assert capsys.readouterr().out == f"==> api\nfirst\n\tthen {shown}\n"
    monkeypatch.setattr(Stack, "report", {**REPORT, "services": {"api": {**SERVICE, "memory": said}}})
    assert run(monkeypatch, "status") == 0
    assert f"running, {shown} of 224 MiB" in capsys.readouterr().err

    def refuse(*_: object) -> str:
        raise LiveError(f"The host said {said}.")

    monkeypatch.setattr(Stack, "restore", refuse)
    assert run(monkeypatch, "restore") == 1
    assert capsys.readouterr().err == f"\nThe host said {shown}.\n"


def test_a_service_is_restarted_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "restart", "api") == 0
    assert Stack.restarted == ["api"]
    assert run(monkeypatch, "restart", "cache") == 1
    assert capsys.readouterr().err.endswith("\nno cache\n")
    assert run(monkeypatch, "restart") == 2


def test_dumps_are_made_listed_and_restored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["backup"], ["backups"], ["restore"], ["restore", "--from", "20270114T080000Z"]):
        assert run(monkeypatch, *arguments) == 0
    said = capsys.readouterr().err
    assert "stack local has the dump 20270115T080000Z\n" in said
    assert "2.50 MB, 2.0 hours old\n" in said
    assert said.endswith("stack local has the data of the dump 20270114T080000Z\n")
    assert Stack.restored == ["", "20270114T080000Z"]


def test_what_failed_and_what_is_under_way_is_listed() -> None:
    last = {"work": "backup", "dump": "20270115T080000Z", "at": NOW, "error": "The volume is full."}
    assert list(live.dump_rows({"dumps": {}, "now": NOW, "underWay": True, "last": last})) == [
        ("dumps", "none yet"),
        ("under way", "a backup or a restore"),
        ("FAILED", "the last backup, of 20270115T080000Z: The volume is full."),
    ]


def test_snapshots_are_listed_with_what_aws_says_of_their_policy() -> None:
    now = datetime(2027, 1, 15, 8, tzinfo=UTC)
    made = [{"SnapshotId": "snap-1", "StartTime": now - timedelta(hours=5), "State": "completed"}]
    made[0] |= {"VolumeId": "vol-1", "VolumeSize": 20}
    assert list(live.snapshot_rows(Snapshots("", made), now)) == [
        ("snap-1", "of vol-1, 20 GiB, completed, 5.0 hours old")
    ]
    assert list(live.snapshot_rows(Snapshots("no rights", []), now)) == [
        ("snapshots", "none yet"),
        ("FAILED", "AWS makes no snapshots: no rights (docs/runbook.md, Snapshots)"),
    ]
    assert list(live.snapshot_rows(None, now)) == []


def test_the_page_is_opened_if_there_is_a_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert run(monkeypatch, "open") == 0
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert run(monkeypatch, "open") == 0
    assert opened == ["http://203.0.113.7:80"]
    assert capsys.readouterr().out == "http://203.0.113.7:80\n" * 2


def test_a_browser_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert run(monkeypatch, "open") == 0
    assert "open the address yourself" in capsys.readouterr().err
