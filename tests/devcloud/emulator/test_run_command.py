"""RunCommand: scripts from documents, refusals, limits, and the states of an invocation."""

import datetime
from typing import Any

import pytest

from devcloud.emulator import run_command
from devcloud.emulator.moto_overrides import AwsError
from devcloud.emulator.run_command import Invocation

NOW = datetime.datetime(2026, 11, 28, 12, 0, tzinfo=datetime.UTC)


def document(*lines: str, **parameters: Any) -> dict[str, Any]:
    """Return a document with these lines and parameters."""
    step = {"action": "aws:runShellScript", "name": "run", "inputs": {"timeoutSeconds": "60", "runCommand": lines}}
    return {"schemaVersion": "2.2", "parameters": parameters, "mainSteps": [step]}


def invocation() -> Invocation:
    """Return an invocation that was just sent."""
    return Invocation("i-1", "run", NOW, delivery_seconds=600, execution_seconds=60)


def after(seconds: float) -> datetime.datetime:
    """Return the time so many seconds later."""
    return NOW + datetime.timedelta(seconds=seconds)


def test_a_parameter_of_kind_env_var_is_a_variable_and_never_text() -> None:
    named = {"type": "String", "interpolationType": "ENV_VAR"}
    made = run_command.script(document("echo {{ Name }}", Name=named), {"Name": ["$(reboot)"]})
    assert made.environment == {"SSM_Name": "$(reboot)"}
    assert made.lines == ("echo {{ Name }}",)


def test_any_other_parameter_is_put_into_the_text() -> None:
    made = run_command.script(document("echo {{Name}} {{ Other }}", Name={"type": "String"}), {"Name": ["a b"]})
    assert made.lines == ("echo a b {{ Other }}",)
    assert made.environment == {}
    assert made.timeout_seconds == 60


def test_a_list_that_stands_alone_is_its_lines() -> None:
    made = run_command.script(run_command.BUILT_IN["AWS-RunShellScript"], {"commands": ["one", "two"]})
    assert made.lines == ("one", "two")
    assert made.timeout_seconds == 3600


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"Command": ["rm -rf"]}, 'has value "rm -rf" not matching'),
        ({"Command": ["ok"], "Other": ["x"]}, "['Other'] are not defined"),
        ({}, "Parameter Command is required"),
        ({"Command": ["a", "b"]}, "takes one value"),
    ],
)
def test_what_a_document_does_not_allow_is_refused(given: dict[str, list[str]], part: str) -> None:
    wanted = document("echo", Command={"type": "String", "allowedPattern": "^[a-z]{1,20}$"})
    with pytest.raises(AwsError) as caught:
        run_command.script(wanted, given)
    assert caught.value.code == "InvalidParameters"
    assert part in str(caught.value.message)


def test_the_parameters_count_against_the_documents_64_kb() -> None:
    run_command.check_size("x" * 60_000, {"Argument": ["y" * 5_536]})
    with pytest.raises(AwsError, match="64 KB"):
        run_command.check_size("x" * 60_000, {"Argument": ["y" * 5_537]})


def test_an_output_keeps_its_first_characters_and_says_that_it_was_cut() -> None:
    assert run_command.truncated("x" * 24_000, 24_000) == "x" * 24_000
    cut = run_command.truncated("x" * 24_001, 24_000)
    assert len(cut) == 24_000
    assert cut.endswith("\n--output truncated--")


def test_a_command_goes_from_pending_to_its_end() -> None:
    sent = invocation()
    assert (sent.status, sent.code) == ("Pending", -1)
    sent.deliver(NOW)
    assert sent.status == "InProgress"
    sent.report("Failed", 3, "out", "x" * 9_000, after(2))
    assert (sent.status, sent.details, sent.code, sent.stdout) == ("Failed", "Failed", 3, "out")
    assert len(sent.stderr) == 8_000


def test_a_command_that_no_agent_takes_is_not_delivered() -> None:
    sent = invocation()
    sent.look_at_clock(after(599))
    assert sent.status == "Pending"
    sent.look_at_clock(after(601))
    assert (sent.status, sent.details) == ("TimedOut", "DeliveryTimedOut")


def test_a_command_whose_agent_fell_silent_has_timed_out() -> None:
    sent = invocation()
    sent.deliver(NOW)
    sent.look_at_clock(after(70))
    assert sent.status == "InProgress"
    sent.look_at_clock(after(76))
    assert (sent.status, sent.details) == ("TimedOut", "ExecutionTimedOut")


def test_cancelling_ends_a_command_that_waits_and_asks_the_agent_about_one_that_runs() -> None:
    waiting, running = invocation(), invocation()
    waiting.ask_to_cancel(NOW)
    assert waiting.status == "Cancelled"
    running.deliver(NOW)
    running.ask_to_cancel(NOW)
    assert (running.status, running.cancel) == ("Cancelling", True)
    running.report("Success", 0, "done", "", after(1))  # there is no guarantee that it stops
    assert running.status == "Success"
