"""A release of the API either serves and was verified, or what served before never stopped and `up` says why.

One story under constant load: good releases, releases that must be refused, and an `up` that is ended. A part of what
docs/reliability.md says; test_release_soak.py has the cases that take long.
"""

import json
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from devcloud.pulumi.stack import state_folder
from devcloud.util.waiting import wait_until
from tests.cloud import isolation
from tests.cloud.bad_releases import BAD_CODE, QUICK_IMAGES, SERVICE, SLOW_IMAGES, absent, bad_images, large
from tests.cloud.releases import (
    READY_SECONDS,
    Release,
    begin,
    interrupt_at,
    kill_at,
    lines,
    wait_for_line,
    wait_for_the_drain,
)

pytestmark = pytest.mark.cloud

MARGIN_SECONDS = 30
CODE_TO_SERVING_SECONDS = 3 * 45
UNCHANGED_SECONDS = 3 * 10
"""Both are three times the bar, as all limits here: the machine may do other work beside."""
BUSY = 3
SLOW_CODE = ("never ready", "other port", "dies 5 s after it was ready", "500 on a probe")
BACK_SECONDS = 10
TRY = """
import socket
for target in {targets}:
    try:
        socket.create_connection(target, 1).close()
        print("open")
    except OSError:
        print("refused")
"""


def soak(name: str, slow: tuple[str, ...]) -> object:
    """Return a test's parameter that only `make soak` takes if it is a slow one."""
    return pytest.param(name, marks=pytest.mark.soak) if name in slow else name


def test_a_change_of_the_api_and_a_rotated_secret_serve_after_one_up_and_were_verified(
    release: Release, note: Callable[[str], None]
) -> None:
    before, worker, versions = release.serves, release.worker, json.loads(release.parameter)["secrets"]
    release.change()
    key = f"sk-{secrets.token_hex(16)}"
    release.checkout.set_secret("slipway:openaiApiKey", key)
    said, seconds = release.up_well()
    wait_for_the_drain(release)
    assert key in release.checkout.on_host("api", "inspect", "--format", "{{json .Config.Env}}", "{}").said
    changed = {name for name, version in json.loads(release.parameter)["secrets"].items() if version != versions[name]}
    assert changed == {"openai-api-key"}
    assert key not in said
    assert list(isolation.leaks(release.checkout, key, "/slipway/local/openai-api-key")) == []
    note(f"release: {seconds:.1f} s from code to serving")
    release.report.add(1, "a line of the API, by `up`", "serves", seconds)
    assert release.serves != before
    assert release.worker == worker
    assert release.failed() == []
    assert seconds < CODE_TO_SERVING_SECONDS


@pytest.mark.parametrize("name", [soak(name, SLOW_CODE) for name in BAD_CODE])
def test_a_bad_release_is_refused_by_up(release: Release, name: str, note: Callable[[str], None]) -> None:
    bad, file = BAD_CODE[name], release.checkout.root / SERVICE
    wait_for_the_drain(release)
    before, kept = release.untouched, file.read_text()
    file.write_text(kept + bad.code)
    try:
        done, seconds = release.up()
    finally:
        file.write_text(kept)
    note(f"release: {name}: refused after {seconds.all:.1f} s, {seconds.of_host:.1f} s of them at the host")
    assert done.code == 1, done.said
    found = re.search(bad.cause, done.said)
    assert found, done.said
    release.report.add(2, f"{name}, by `up`", "refused", seconds.all, found[0])
    assert "If a release served before, it still does." in done.said
    end = done.said.rpartition("The end of the log:")[2]
    assert bad.log in end
    assert "Traceback" not in done.said.replace(end, "")
    assert seconds.of_host < BUSY * (READY_SECONDS + MARGIN_SECONDS)
    assert release.untouched == before
    assert release.failed() == []


@pytest.mark.parametrize("name", [soak(name, SLOW_IMAGES) for name in (*QUICK_IMAGES, *SLOW_IMAGES)])
def test_a_bad_image_is_refused_by_the_gate(release: Release, name: str) -> None:
    bad = bad_images(release.checkout.root)[name]
    reference = release.variant(bad.service, bad.variant) if bad.variant else absent(release.image_of(bad.service))
    wait_for_the_drain(release)
    before = release.untouched
    refusal, seconds = release.hand_over(release.text(**{bad.service: reference}))
    found = re.search(bad.cause, refusal)
    assert found, refusal
    release.report.add(bad.bar, f"{name}, by the gate", "refused", seconds, found[0])
    assert bad.log in refusal.rpartition("The end of the log:")[2]
    assert seconds < bad.seconds + BUSY * MARGIN_SECONDS
    assert release.untouched == before
    assert release.failed() == []


def test_an_image_that_the_disk_has_no_room_for_is_refused(release: Release) -> None:
    before, text = release.untouched, release.text(api=release.variant("api", large()))
    release.on_host("mount", "-t", "tmpfs", "-o", "size=1m", "none", "/var/lib/docker/tmp")
    try:
        refusal, seconds = release.hand_over(text)
    finally:
        release.on_host("umount", "/var/lib/docker/tmp")
    release.report.add(4, "disk full", "refused", seconds, refusal)
    assert re.search(r"failed at `pull`: The host's disk is full: .*/api@sha256:\w+ cannot be unpacked", refusal), (
        refusal
    )
    assert release.untouched == before
    assert release.failed() == []


def test_a_good_release_goes_through_after_those_that_were_refused(
    release: Release, note: Callable[[str], None]
) -> None:
    before = release.serves
    release.change()
    _, seconds = release.up_well()
    note(f"release: {seconds:.1f} s after those that were refused")
    assert release.serves != before
    assert release.failed() == []


@pytest.mark.soak
def test_up_of_another_target_leaves_the_release_and_says_so(release: Release) -> None:
    wait_for_the_drain(release)
    before = release.untouched
    state = json.loads((state_folder(release.checkout.cloud) / "local.json").read_text())
    resources = state["checkpoint"]["latest"]["resources"]
    other = next(each["urn"] for each in resources if each["type"] == "aws:cloudwatch/logGroup:LogGroup")
    release.change()
    done = release.checkout.up("local", "--target", other)
    assert "released nothing, though api changed" in done.said
    assert release.untouched == before
    assert release.checkout.outputs()["digests"]["api"] == release.serves
    release.report.add(5, "`up --target` of another resource", "the old release, in the state too")


@pytest.mark.soak
def test_two_ups_at_once_end_one_after_the_other(release: Release) -> None:
    before = release.serves
    release.change()
    started = time.monotonic()
    with begin(release.checkout) as first:
        wait_for_line(first, r"host +check")
        with begin(release.checkout) as second:
            first_said = "".join(lines(first))
            said = "".join(lines(second))
    seconds = time.monotonic() - started
    assert first.returncode == 0, first_said
    assert second.returncode == 0, said
    waits = re.search(r"`pulumi up` of stack local is under way .*; waiting for it", said)
    assert waits, said
    release.report.add(5, "two `up`s at once", "both end well", seconds, waits[0])
    assert release.checkout.outputs()["digests"]["api"] == release.serves != before
    assert release.failed() == []


def test_nothing_changed_is_asked_of_the_host_and_quick(release: Release, note: Callable[[str], None]) -> None:
    wait_for_the_drain(release)
    before, asked = release.containers, release.commands
    _, seconds = release.up_well()
    note(f"release: {seconds:.1f} s with nothing changed")
    release.report.add(13, "nothing changed, by `up`", "serves", seconds)
    assert release.containers == before
    assert release.commands - asked == Counter({"slipway verify": 1})
    assert seconds < UNCHANGED_SECONDS


def test_an_up_killed_in_a_release_is_waited_for_and_the_next_release_serves(release: Release) -> None:
    release.change()
    kill_at(release.checkout, r"host +migrate")
    release.change()
    said, seconds = release.up_well()
    waits = re.search(r"waiting for [0-9a-f]{12}, which is under way", said)
    assert waits, said
    fault = "`up` killed -9 while the host migrates, then other code"
    release.report.add(5, fault, "the other code serves", seconds, waits[0])
    assert release.failed() == []


@pytest.mark.soak
def test_an_up_ended_by_ctrl_c_goes_on_at_the_host_and_the_next_release_serves(release: Release) -> None:
    release.change()
    interrupt_at(release.checkout, r"host +migrate")
    release.change()
    said, seconds = release.up_well()
    # It may have ended by itself meanwhile.
    waits = re.search(r"waiting for [0-9a-f]{12}, which is under way", said)
    says = waits[0] if waits else ""
    release.report.add(5, "Ctrl-C in a release, then other code", "the other code serves", seconds, says)
    assert release.failed() == []


def test_an_up_killed_after_the_turn_and_reverted_code_end_with_what_the_code_says(release: Release) -> None:
    wait_for_the_drain(release)
    before, file = release.serves, release.checkout.root / "app/api/routes.py"
    code = file.read_text()
    release.change()
    kill_at(release.checkout, r"host +watch")
    file.write_text(code)
    _, seconds = release.up_well()
    release.report.add(5, "`up` killed -9 after the turn, the code reverted", "the old digest serves", seconds)
    assert release.serves == before
    assert release.failed() == []


def test_a_container_reaches_nothing_of_the_host(release: Release) -> None:
    own = [each for each in release.on_host("hostname", "--all-ip-addresses").split() if ":" not in each]
    listening = ["python3", "-m", "http.server", "9999"]
    release.checkout.docker("exec", "--detach", release.host, "timeout", "20", *listening)
    try_all = TRY.format(
        targets=[*((address, 9999) for address in own), ("169.254.169.254", 80), ("169.254.169.253", 53)]
    )
    deadline = time.monotonic() + 10
    while "refused" in (seen := release.on_host("python3", "-c", TRY.format(targets=[(own[0], 9999)]))):
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
    for service in ("api", "auth", "dashboard"):
        inside = ["docker", "exec", release.container_of(service), "/opt/venv/bin/python", "-c", try_all]
        assert release.on_host(*inside).split() == [*["refused"] * (len(own) + 1), "open"]


def test_run_command_refuses_what_only_systemd_runs(release: Release) -> None:
    with pytest.raises(ClientError, match="not matching"):
        release.checkout.client("ssm").send_command(
            InstanceIds=[release.outputs["apiInstanceId"]],
            DocumentName=json.loads(release.parameter)["host"],
            Parameters={"Command": ["resume"], "Argument": [""]},
        )


@pytest.mark.parametrize("turn", [soak(str(number), ("2", "3", "4", "5")) for number in range(1, 6)])
@pytest.mark.parametrize(("service", "path"), [("caddy", "/health"), ("api", "/api/health"), ("auth", "/auth/health")])
def test_a_service_killed_is_back_within_10_s(release: Release, service: str, path: str, turn: str) -> None:
    wait_for_the_drain(release)
    container = release.container_of(service)
    look = ("docker", "inspect", "--format", "{{.State.Pid}}", container)
    process = release.on_host(*look).strip()
    with release.outage():
        killed = time.monotonic()
        release.on_host("kill", "-9", process)
        # 0 while it does not run.
        assert wait_until(lambda: release.on_host(*look).strip() not in (process, "0"), BUSY * BACK_SECONDS)
        release.seconds_until(path)
        seconds = time.monotonic() - killed
        time.sleep(1)
    sys.stdout.write(f"{service} is back after {seconds:.1f} s\n")
    release.report.add(6, f"{service} killed -9, time {turn}", "back", seconds)
    assert release.container_of(service) == container
    assert seconds < BUSY * BACK_SECONDS
    assert release.failed() == []
