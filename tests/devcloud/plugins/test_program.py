"""How a program that our language host runs ends, and what the engine hears of it."""

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from devcloud.bootstrap import ROOT
from devcloud.plugins.language_host import LanguageHost

pytestmark = pytest.mark.services


class Engine(engine_pb2_grpc.EngineServicer, resource_pb2_grpc.ResourceMonitorServicer):
    """As much of the engine as a program without resources speaks to."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.outputs: list[resource_pb2.RegisterResourceOutputsRequest] = []

    def Log(self, request: engine_pb2.LogRequest, _context: object) -> empty_pb2.Empty:  # noqa: N802
        if request.severity == engine_pb2.ERROR:
            self.errors.append(request.message)
        return empty_pb2.Empty()

    def SupportsFeature(  # noqa: N802
        self, request: resource_pb2.SupportsFeatureRequest, _context: object
    ) -> resource_pb2.SupportsFeatureResponse:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id == "secrets")

    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest, _context: object
    ) -> resource_pb2.RegisterResourceResponse:
        return resource_pb2.RegisterResourceResponse(urn=f"urn:pulumi:s::p::{request.type}::{request.name}")

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest, _context: object
    ) -> empty_pb2.Empty:
        self.outputs.append(request)
        return empty_pb2.Empty()


@pytest.fixture
def engine() -> Iterator[Engine]:
    served = Engine()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(served, server)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(served, server)
    served.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"  # type: ignore[attr-defined]
    server.start()
    yield served
    server.stop(None)


def _run(engine: Engine, folder: Path, program: str, **options: object) -> language_pb2.RunResponse:
    (folder / "__main__.py").write_text(program)
    address = engine.address  # type: ignore[attr-defined]
    request = language_pb2.RunRequest(
        project="p",
        stack="s",
        monitor_address=address,
        info=language_pb2.ProgramInfo(root_directory=str(folder), program_directory=str(folder), entry_point="."),
        **options,  # type: ignore[arg-type]
    )
    return LanguageHost(address).Run(request, None)  # type: ignore[arg-type]


def test_a_program_runs_from_its_folder_and_a_secret_setting_stays_one(engine: Engine, tmp_path: Path) -> None:
    program = (
        "import os, sys, pulumi\n"
        "pulumi.export('password', pulumi.Config().require_secret('password'))\n"
        "pulumi.export('plain', pulumi.Config().require('plain'))\n"
        "pulumi.export('first', sys.path[0])\n"
        "pulumi.export('folder', os.getcwd())\n"
        f"pulumi.export('checkout', {str(ROOT)!r} in sys.path)\n"
    )
    settings = {"config": {"p:password": "hunter2", "p:plain": "x"}, "configSecretKeys": ["p:password"]}
    assert _run(engine, tmp_path, program, **settings) == language_pb2.RunResponse()
    outputs = engine.outputs[0].outputs
    assert outputs["password"]["value"] == "hunter2"
    assert len(outputs["password"]) == 2, "a secret is wrapped: its value, and the mark of a secret"
    assert outputs["plain"] == "x"
    assert (outputs["first"], outputs["folder"]) == (str(tmp_path), str(tmp_path))
    assert engine.errors == []


def test_a_run_error_shows_its_message_alone(engine: Engine, tmp_path: Path) -> None:
    answer = _run(engine, tmp_path, "import pulumi\nraise pulumi.RunError('workers: 9 is too many; use 0 to 3')")
    assert answer == language_pb2.RunResponse(bail=True)
    assert engine.errors == ["workers: 9 is too many; use 0 to 3"]


def test_a_bug_shows_its_traceback(engine: Engine, tmp_path: Path) -> None:
    assert _run(engine, tmp_path, "{}['nothing']") == language_pb2.RunResponse(bail=True)
    (error,) = engine.errors
    assert error.startswith("Program failed with an unhandled exception:\nTraceback")
    assert error.rstrip().endswith("KeyError: 'nothing'")


def test_what_a_program_logs_reaches_the_engine(engine: Engine, tmp_path: Path) -> None:
    assert _run(engine, tmp_path, "import pulumi\npulumi.log.error('no such tag')") == language_pb2.RunResponse()
    assert engine.errors == ["no such tag"]


def test_an_exit_code_is_told(engine: Engine, tmp_path: Path) -> None:
    answer = _run(engine, tmp_path, "raise SystemExit(3)")
    assert answer == language_pb2.RunResponse(error="Program exited with non-zero exit code: 3")
