"""moto's server with the additions: one process, one state, as many addresses as it is asked to listen on."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from devcloud.emulator import application_autoscaling, budgets, cloudwatch, ec2, ecr, ecs, sqs, ssm
from devcloud.emulator.authorization import Authorization
from devcloud.emulator.callers import Callers
from devcloud.emulator.constraints import Constraints, signed_for
from devcloud.emulator.dlm import Dlm
from devcloud.emulator.idempotency import Retries, attempt
from devcloud.emulator.machine_api import MachineApi, data_plane
from devcloud.emulator.machines import MACHINES
from devcloud.emulator.metadata_api import MetadataApi
from devcloud.emulator.operator_key import OperatorKey
from devcloud.emulator.registry_api import RegistryApi
from devcloud.emulator.task_api import TaskApi


def install(registry_url: str | None, registry_address: str | None, *, machines: bool = False) -> None:
    """Put every addition in moto's place. To be called once, before the first request.

    Without a registry, ECR is left as moto has it. With `machines`, a data plane runs EC2's instances.
    """
    MACHINES.managed = machines
    # Roles of the program refer to managed policies; read when IAM is first used.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    for service in (application_autoscaling, budgets, cloudwatch, ec2, ecs, sqs, ssm):
        service.install()
    if registry_url and registry_address:
        ecr.install(registry_url, registry_address)


class Log:
    """One line a request on standard error: when, which call, how it ended, milliseconds. Never a body.

    A call that an SDK sent again is told as such: `ec2 CreateVpc (attempt 2) 200 0 ms`.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request and write its line."""
        started = time.monotonic()
        call = self.call(environ)
        outcome = "500"  # unless the application gets as far as to say otherwise

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal outcome
            error = {name.lower(): value for name, value in headers}.get("x-amzn-errortype")
            outcome = f"{status.split()[0]} {error}" if error else status.split()[0]
            return start_response(status, headers, *rest)

        try:
            return self.application(environ, start)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            # One write, so that the lines of threads do not run into each other.
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {call} {outcome} {milliseconds:.0f} ms\n")

    @staticmethod
    def call(environ: WSGIEnvironment) -> str:
        """What is asked for: `ecs DescribeServices`, or method and path where AWS names no action."""
        service = signed_for(environ) or "-"
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if not action and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            # The old query protocol has the action in the body; moto reads it there too and puts it back.
            body = DomainDispatcherApplication._get_body(None, environ)  # type: ignore[arg-type]
            action = parse_qs(body or "").get("Action", [""])[0]
        again = f" (attempt {number})" if (number := attempt(environ)) > 1 else ""
        return f"{service} {action or environ['REQUEST_METHOD'] + ' ' + environ['PATH_INFO']}{again}"


class Handler(MotoRequestHandler):
    """moto's, without werkzeug's own log line."""

    def log_request(self, *_: Any) -> None:
        """Nothing: `Log` writes the line."""


def application(operator: OperatorKey) -> WSGIApplication:
    """Return AWS as it answers at the emulator's addresses."""
    service = TaskApi(RegistryApi(Retries(Dlm(Constraints(DomainDispatcherApplication(create_backend_app))))))
    # Machines ask all the time: what they ask is not logged.
    return Callers(MachineApi(Log(Authorization(service, operator)), Authorization(data_plane, operator)))


def metadata() -> WSGIApplication:
    """Return the metadata service as it answers at its own port."""
    return Callers(MetadataApi())


def serve(addresses: list[tuple[str, int]], operator: OperatorKey, machines: str | None) -> None:
    """Serve on each address, from one state, until SIGTERM or SIGINT: SystemExit then.

    `machines` is this machine's address as the instances see it: their metadata service is there, at a free port.
    Raise SystemExit with a sentence if an address cannot be bound.
    """
    served = application(operator)
    servers = [listener(host, port, served) for host, port in addresses]
    if machines:
        servers.append(listener(machines, 0, metadata()))
        MACHINES.metadata_port = servers[-1].port
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=cloudwatch.evaluate_for_ever, daemon=True).start()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave)
        print(
            f"{time.strftime('%H:%M:%S')} listening on {', '.join(f'{each.host}:{each.port}' for each in servers)}",
            file=sys.stderr,
            flush=True,
        )
        while True:
            time.sleep(1)
    finally:
        for server in servers:
            server.shutdown()


def _leave(*_: object) -> None:
    """End by an exception: to wake a thread that waits on a lock, a signal would need that lock."""
    raise SystemExit


def listener(host: str, port: int, application: WSGIApplication) -> BaseWSGIServer:
    """A threaded server that is bound already."""
    try:
        return make_server(host, port, application, threaded=True, request_handler=Handler)
    except (OSError, SystemExit) as error:
        raise SystemExit(
            f"devcloud's AWS emulator cannot listen on {host}:{port} ({error}): "
            "stop what listens there, or give it another address with --listen."
        ) from None
