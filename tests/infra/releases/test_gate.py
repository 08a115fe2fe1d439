"""The way of a release to its host: submitted, followed, verified; or refused in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.releases.gate import Gate, GateError, Patience
from infra.releases.release import Release, release_id, render
from infra.releases.run_command import HostAwayError

DIGEST = "sha256:" + "a" * 64
ACCOUNT = "123456789012"
Answer = Mapping[str, Any] | Exception


def text_of(version: str = "3") -> str:
    return render(Release("slipway-test-host", version, "a" * 16, {"api": f"127.0.0.1:5000/slipway/api@{DIGEST}"}))


TEXT = text_of()
ID = release_id(TEXT)


@dataclass
class ScriptedHost:
    """A host whose program answers as written, in this order, and nothing else."""

    answers: list[tuple[str, Answer]]
    online_after: float = 0
    instance_id: str = "i-1"
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    now: float = 0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def is_online(self) -> bool:
        return self.now >= self.online_after

    def ask(self, version: str, command: str, argument: str = "") -> Mapping[str, Any]:
        self.asked.append((version, command, argument))
        expected, answer = self.answers.pop(0)
        assert command == expected
        self.now += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


class Sts:
    def __init__(self, account: str = ACCOUNT) -> None:
        self.account = account

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": self.account}


class Ec2:
    """EC2 with an instance type that has no `Latest`, as t2."""

    def get_console_output(self, InstanceId: str, Latest: bool = False) -> dict[str, str]:  # noqa: N803  boto3's names
        if Latest:
            raise ClientError({"Error": {"Code": "UnsupportedOperation"}}, "GetConsoleOutput")
        return {"Output": "cloud-init started\n\ndnf: cannot reach the repository\n"}


def gate(host: ScriptedHost, said: list[str] | None = None, account: str = ACCOUNT) -> Gate:
    heard = [] if said is None else said
    return Gate(host, Ec2(), Sts(account), ACCOUNT, Patience(agent=600, release=900), heard.append)  # type: ignore[arg-type]


def follow(state: str, lines: list[str], seen: int, verdict: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    return {"state": state, "lines": lines, "next": seen, "verdict": verdict}


VERDICT = {
    "step": "ready",
    "cause": "api was not ready within 90 s.",
    "outOfMemory": False,
    "log": "starting\nKeyError: 'DATABASE_URL'",
}

SERVES = {
    "step": "watch",
    "cause": "",
    "seconds": {"pull": 2.0, "migrate": 1.5, "api": 6.0, "steady": 6.1, "watch": 5.0},
}
"""The verdict about a release that serves."""
TOOK = "release: took pull 2.0 s, start 7.5 s, verify 6.1 s, switch 5.0 s: 20.6 s in all"


def test_a_release_is_submitted_and_each_of_its_lines_is_told_once() -> None:
    said: list[str] = []
    host = ScriptedHost(
        [
            ("submit", {"state": "accepted"}),
            ("follow", follow("running", ["pulled in 2 s"], 1)),
            ("follow", follow("running", [], 1)),
            ("follow", follow("succeeded", ["turned"], 2, SERVES)),
        ]
    )
    gate(host, said).release(TEXT)
    assert said == ["release: pulled in 2 s", "release: turned", TOOK]
    assert host.asked[0] == ("3", "submit", TEXT)
    assert host.asked[2] == ("3", "follow", f'{{"from":1,"release":"{ID}"}}')
    assert not host.answers


def test_the_time_of_a_service_that_runs_once_is_told_by_its_name() -> None:
    said: list[str] = []
    host = ScriptedHost([("submit", {"state": "accepted"}), ("follow", follow("succeeded", [], 0, SERVES))])
    replace(gate(host, said), once=["migrate"]).release(TEXT)
    assert said == ["release: took pull 2.0 s, migrate 1.5 s, start 6.0 s, verify 6.1 s, switch 5.0 s: 20.6 s in all"]


def test_a_release_that_serves_already_is_left_alone() -> None:
    host = ScriptedHost([("submit", {"state": "serving"})])
    gate(host).release(TEXT)
    assert len(host.asked) == 1


def test_a_bad_verdict_is_the_error_with_cause_and_log() -> None:
    host = ScriptedHost([("submit", {"state": "accepted"}), ("follow", follow("failed", [], 0, VERDICT))])
    with pytest.raises(GateError) as caught:
        gate(host).release(TEXT)
    message = str(caught.value)
    assert message.startswith(f"The release {ID} failed at `ready`: api was not ready within 90 s.")
    assert "If a release served before, it still does." in message
    assert message.endswith("  | starting\n  | KeyError: 'DATABASE_URL'")


def test_text_of_a_container_cannot_pass_for_ours_or_steer_a_terminal() -> None:
    verdict = {**VERDICT, "cause": "api said \x1b[2J", "log": "::error::forged\n\x1b]52;c;eA==\x07"}
    host = ScriptedHost([("submit", {"state": "accepted"}), ("follow", follow("failed", [], 0, verdict))])
    with pytest.raises(GateError) as caught:
        gate(host).release(TEXT)
    assert "\x1b" not in str(caught.value)
    assert "\n  | ::error::forged\n" in str(caught.value)


def test_a_release_that_is_under_way_comes_to_its_end_before_ours() -> None:
    said: list[str] = []
    host = ScriptedHost(
        [
            ("submit", {"state": "busy", "busyWith": "0ther"}),
            ("follow", follow("failed", [], 0, VERDICT)),
            ("submit", {"state": "accepted"}),
            ("follow", follow("succeeded", [], 0, SERVES)),
        ]
    )
    gate(host, said).release(TEXT)
    assert said[0] == "release: waiting for 0ther, which is under way"
    assert not host.answers


def test_the_drain_of_a_release_that_serves_is_waited_for_and_told_once() -> None:
    said: list[str] = []
    drains = [("submit", {"state": "busy", "busyWith": "0ther"})] * 30
    host = ScriptedHost(
        [
            *drains[:1],
            ("follow", follow("succeeded", ["check", "serves after 9.0 s"], 2, SERVES)),
            *drains,
            ("submit", {"state": "accepted"}),
            ("follow", follow("succeeded", [], 0, SERVES)),
        ]
    )
    gate(host, said).release(TEXT)
    assert said[:4] == [
        "release: waiting for 0ther, which is under way",
        "release: check",
        "release: serves after 9.0 s",
        "release: waiting until 0ther has stopped what it replaced ... 0 s",
    ]
    assert len(said) < 12
    assert said[-1] == TOOK
    assert said.count(TOOK) == 1
    assert not host.answers


def test_a_host_that_restarts_is_asked_again() -> None:
    host = ScriptedHost(
        [
            ("submit", {"state": "accepted"}),
            ("follow", HostAwayError("The agent on i-1 takes no commands.")),
            ("follow", follow("succeeded", [], 0, SERVES)),
        ]
    )
    gate(host).release(TEXT)
    assert not host.answers


def test_a_host_that_never_answers_ends_the_wait() -> None:
    host = ScriptedHost([("submit", HostAwayError("The agent on i-1 takes no commands."))] * 400)
    with pytest.raises(GateError, match=r"no verdict within 900 s\. It goes on by itself"):
        gate(host).release(TEXT)
    assert 900 <= host.now < 910


def test_a_first_boot_is_waited_for_and_told() -> None:
    said: list[str] = []
    host = ScriptedHost([("submit", {"state": "serving"})], online_after=40)
    gate(host, said).release(TEXT)
    assert said[:2] == [
        "release: waiting for the host's agent ... 15 s",
        "release: waiting for the host's agent ... 30 s",
    ]


def test_a_host_that_never_comes_up_ends_with_its_console() -> None:
    host = ScriptedHost([], online_after=10_000)
    with pytest.raises(GateError, match="did not come up within 600 s") as caught:
        gate(host).release(TEXT)
    assert str(caught.value).endswith("  | cloud-init started\n  | dnf: cannot reach the repository")


def test_another_account_is_refused_before_anything_is_sent() -> None:
    host = ScriptedHost([])
    with pytest.raises(GateError, match="credentials are of the account 210987654321, the stack is in 123456789012"):
        gate(host, account="210987654321").release(TEXT)
    assert not host.asked


def test_a_console_that_may_not_be_read_hides_nothing_else() -> None:
    class NoRight:
        def get_console_output(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "GetConsoleOutput")

    host = ScriptedHost([], online_after=10_000)
    closed = Gate(host, NoRight(), Sts(), ACCOUNT, Patience(agent=600, release=900), lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(GateError, match=r"did not come up within 600 s(.|\n)*cannot be read.*UnauthorizedOperation"):
        closed.release(TEXT)


def test_expired_credentials_are_one_sentence() -> None:
    class Expired:
        def get_caller_identity(self) -> None:
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "GetCallerIdentity")

    host = ScriptedHost([])
    late = Gate(host, Ec2(), Expired(), ACCOUNT, Patience(agent=600, release=900), lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(GateError, match=r"does not say whose credentials these are.*ExpiredToken"):
        late.verify(TEXT)


def test_a_replaced_host_is_waited_for_before_it_is_asked() -> None:
    host = ScriptedHost([("verify", {"state": "serving", "serves": {"api": DIGEST}})], online_after=60)
    gate(host).verify(TEXT)
    assert host.now >= 60
    assert not host.answers


def test_a_missing_certificate_is_said_at_every_up() -> None:
    report = {"state": "serving", "serves": {"api": DIGEST}, "certificate": "labs.example.com has no certificate: ..."}
    said: list[str] = []
    gate(ScriptedHost([("verify", report)]), said).verify(TEXT)
    assert said == ["release: labs.example.com has no certificate: ..."]


def test_a_host_that_serves_another_release_is_handed_ours_again() -> None:
    host = ScriptedHost(
        [
            ("verify", {"state": "other", "problem": "api serves sha256:b"}),
            ("submit", {"state": "accepted"}),
            ("follow", follow("succeeded", [], 0, SERVES)),
            ("verify", {"state": "serving", "serves": {"api": DIGEST}}),
        ]
    )
    gate(host).verify(TEXT)
    assert not host.answers


def test_a_host_that_still_serves_another_release_is_an_error() -> None:
    other = {"state": "other", "problem": "api serves sha256:b"}
    host = ScriptedHost([("verify", other), ("submit", {"state": "serving"}), ("verify", other)])
    with pytest.raises(GateError, match=f"does not serve the release {ID}: api serves sha256:b"):
        gate(host).verify(TEXT)


def test_what_a_service_answered_is_no_command_to_the_terminal() -> None:
    other = {"state": "other", "problem": "api: GET /health answered 500: \x1b]0;owned\x07"}
    host = ScriptedHost([("verify", other), ("submit", {"state": "serving"}), ("verify", other)])
    said: list[str] = []
    with pytest.raises(GateError) as refused:
        gate(host, said).verify(TEXT)
    assert all(text.isprintable() for text in (*said, str(refused.value)))
