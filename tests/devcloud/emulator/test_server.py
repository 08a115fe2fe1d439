"""The server: its addresses, its log, how it starts and how it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from devcloud.emulator import moto_overrides
from devcloud.emulator.operator_key import OperatorKey

from .conftest import ROOT, Emulator, free_ports

pytestmark = pytest.mark.cloud


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the emulator with these arguments, where it is not to start."""
    return subprocess.run(
        [sys.executable, "-m", "devcloud.emulator", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_address_shows_the_same_account(emulator: Emulator, name: str) -> None:
    emulator.client("sns").create_topic(Name=name)
    topics = emulator.client("sns", emulator.other_aws).list_topics()["Topics"]
    assert name in {topic["TopicArn"].split(":")[-1] for topic in topics}


def test_the_operators_key_is_of_one_account(emulator: Emulator) -> None:
    assert emulator.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_aws_managed_policies_are_there(iam: Any) -> None:
    arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PolicyName"] == "AmazonECSTaskExecutionRolePolicy"


def test_the_log_names_each_call_and_how_it_ended_and_no_value(
    emulator: Emulator, ssm: Any, ec2: Any, name: str
) -> None:
    secret = f"secret-{name}"
    ssm.put_parameter(Name=f"/{name}", Type="SecureString", Value=secret)
    ec2.describe_vpcs()
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name=f"/{secret}")
    log = emulator.aws_log.read_text()
    assert " ssm PutParameter 200 " in log
    assert " ec2 DescribeVpcs 200 " in log
    assert " ssm GetParameter 400 ParameterNotFound " in log
    assert secret not in log


def test_what_was_created_is_not_created_again_where_the_answer_was_lost(
    emulator: Emulator, ec2: Any, name: str
) -> None:
    def as_a_second_attempt(request: Any, **_: Any) -> None:
        request.headers["amz-sdk-invocation-id"] = name
        request.headers["amz-sdk-request"] = f"attempt={len(made) + 1}; max=2"

    made: list[str] = []
    ec2.meta.events.register("before-send.ec2.CreateSecurityGroup", as_a_second_attempt)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for _ in range(2):
        made.append(ec2.create_security_group(GroupName=name, Description="of a test", VpcId=vpc)["GroupId"])
    assert made[0] == made[1]
    assert " ec2 CreateSecurityGroup (attempt 2) 200 " in emulator.aws_log.read_text()


def test_the_log_never_shows_the_registrys_token(emulator: Emulator, token: str) -> None:
    assert token not in emulator.aws_log.read_text()
    assert token not in emulator.front_log.read_text()


def test_another_moto_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "5.3.0")
    with pytest.raises(SystemExit) as caught:
        moto_overrides.require_moto()
    assert "is written against moto 5.2.5, and moto 5.3.0 is installed" in str(caught.value)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Return arguments that an emulator needs beside its address."""
    file = tmp_path / "operator.json"
    file.write_text(json.dumps(OperatorKey.new().variables()))
    registry = ["--registry", "http://127.0.0.1:1", "--registry-address", "127.0.0.1:1"]
    return [*registry, "--operator", str(file)]


def test_an_address_that_is_taken_is_named(arguments: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        tried = run("--listen", address, *arguments)
    assert tried.returncode != 0
    assert f"cannot listen on {address}" in tried.stderr
    assert "Traceback" not in tried.stderr


def test_an_address_that_is_none_is_refused(arguments: list[str]) -> None:
    tried = run("--listen", "4566", *arguments)
    assert tried.returncode == 2
    assert "'4566' is not HOST:PORT" in tried.stderr


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "operator.json"
    for text in ("", "{}"):
        file.write_text(text)
        tried = run("--listen", "127.0.0.1:1", "--operator", str(file))
        assert tried.returncode == 2
        assert f"'{file}' is no file with an access key" in tried.stderr


def test_it_stops_when_it_is_told_to(arguments: list[str]) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "devcloud.emulator", "--listen", address, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    assert f"listening on {address}" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
