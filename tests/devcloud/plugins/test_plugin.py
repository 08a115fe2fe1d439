"""Our engine plugins as processes: they answer, and they end with the engine."""

import os
import signal
import subprocess
import sys
import time

import grpc
import pytest
from google.protobuf import empty_pb2

from devcloud.bootstrap import ROOT
from devcloud.plugins import plugin
from devcloud.plugins.protocol import language_pb2_grpc, provider_pb2_grpc
from devcloud.toolchain.versions import AWS, PULUMI
from devcloud.util.processes import alive

pytestmark = pytest.mark.services

HOST = [sys.executable, "-m", "devcloud.plugins.language_host"]
FORWARDER = [sys.executable, "-m", "devcloud.plugins.aws_forwarder", "/no/bridge", "/no/provider"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def _start(command: list[str]) -> tuple[subprocess.Popen[str], grpc.Channel]:
    process = subprocess.Popen([*command, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    return process, grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_language_host_tells_its_version_and_leaves_when_asked(number: signal.Signals) -> None:
    process, channel = _start(HOST)
    stub = language_pb2_grpc.LanguageRuntimeStub(channel)
    assert stub.GetPluginInfo(empty_pb2.Empty()).version == PULUMI
    process.send_signal(number)
    assert process.wait(timeout=5) == 0


def test_the_forwarder_tells_pulumi_aws_its_version() -> None:
    process, channel = _start(FORWARDER)
    assert provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty()).version == AWS
    process.terminate()
    assert process.wait(timeout=5) == 0


def test_a_plugin_does_not_outlive_a_killed_engine() -> None:
    engine_script = (
        "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); time.sleep(60)"
    )
    engine = subprocess.Popen(
        [sys.executable, "-c", engine_script, *HOST, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert engine.stdout is not None
    lines = {engine.stdout.readline().strip(), engine.stdout.readline().strip()}  # its pid; the port, when it serves
    plugin = next(int(line) for line in lines if alive(int(line)))
    engine.kill()
    engine.wait()
    deadline = time.monotonic() + 20
    while alive(plugin) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(plugin)


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["127.0.0.1:1"], "127.0.0.1:1"),
        (["--logtostderr", "-v=9", "127.0.0.1:1"], "127.0.0.1:1"),
        (["--logtostderr"], ""),
        ([], ""),
    ],
)
def test_the_engines_address_comes_after_the_flags_of_its_log(arguments: list[str], address: str) -> None:
    assert plugin.engine_address(arguments) == address
