"""Make the containers what the emulator says of its instances, and report what is so."""

import http.client
import json
import subprocess
import time
import urllib.parse
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from devcloud.machines.containers import Wanted
from devcloud.machines.engine import Engine
from devcloud.machines.inbound import Members, chain
from devcloud.machines.volumes import Volume, Volumes
from devcloud.util.console import UserError

REGION = "us-east-1"
PAUSE_SECONDS = 0.5
DOCKER_SECONDS = 3.0
"""How often Docker is asked what runs if the emulator says nothing new."""
CONSOLE_BYTES = 64 * 1024
REBOOT_CODE = 129
"""The exit code of a container whose system asked for a reboot: its first process dies of SIGHUP (reboot(2))."""
POWER_OFF_CODES = (0, 130)
"""The same for a system that was shut down; 130 is SIGINT."""


class Emulator:
    """The emulator's endpoint for the data plane, which shows the operator's key."""

    def __init__(self, endpoint: str, key: Credentials) -> None:
        self._endpoint = endpoint
        self._address = urllib.parse.urlsplit(endpoint).netloc
        self._signer = SigV4Auth(key, "devcloud", REGION)

    def volumes(self) -> set[str]:
        """Return the ids of all volumes, attached or not."""
        return set(self._call("GET", "volumes", None)["volumes"])

    def instances(self) -> dict[str, Wanted]:
        """Return what should run, by instance id. Raise OSError if the emulator does not answer."""
        said = self._call("GET", "instances", None)["instances"]
        return {wanted.id: wanted for wanted in map(Wanted.parse, said)}

    def report(self, instance_id: str, **content: object) -> None:
        """Tell the emulator what is so."""
        self._call("POST", f"instances/{instance_id}", content)

    def _call(self, method: str, path: str, content: Mapping[str, object] | None) -> dict[str, Any]:
        path = f"/_devcloud/{path}"
        body = json.dumps(content).encode() if content is not None else b""
        request = AWSRequest(method, f"{self._endpoint}{path}", data=body)
        self._signer.add_auth(request)
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.request(method, path, body, dict(request.headers.items()))
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"the emulator answered {response.status}")
        answer: dict[str, Any] = json.loads(text)
        return answer


class DataPlane:
    """The instances of one cloud. One piece of work at a time for each, side by side for several."""

    def __init__(self, engine: Engine, emulator: Emulator, logs: Path, volumes: Volumes) -> None:
        self.engine = engine
        self.emulator = emulator
        self.volumes = volumes
        self._attached: dict[str, tuple[Volume, ...]] = {}
        self._guarded: dict[str, str] = {}
        """The rules of its security groups that each host holds."""
        self._members: Members = {}
        self.consoles = Consoles(engine, logs)
        self._pool = ThreadPoolExecutor(max_workers=8)
        self._work: dict[str, Future[None]] = {}

    def serve(self) -> None:
        """Reconcile for ever."""
        before: dict[str, Wanted] = {}
        states: dict[str, str] = {}
        asked = 0.0
        while True:
            try:
                wanted = self.emulator.instances()
                if not asked:
                    self.consoles.forget_all_but(wanted)
                if wanted != before or self._busy() or time.monotonic() - asked > DOCKER_SECONDS:
                    states = self.engine.states()
                    self._members = self.engine.members()
                    asked = time.monotonic()
                    self.volumes.forget_all_but(self.emulator.volumes())
                self.reconcile(wanted, states)
                before = wanted
            except (OSError, UserError) as problem:
                _say(str(problem))
                time.sleep(2)
            time.sleep(PAUSE_SECONDS)

    def reconcile(self, wanted: Mapping[str, Wanted], states: Mapping[str, str]) -> None:
        """Begin what has to be done for each instance that nothing is being done for."""
        for instance_id in wanted.keys() | states.keys():
            work = self._work.get(instance_id)
            if work and not work.done():
                continue
            if work and (problem := work.exception()):
                _say(f"{instance_id}: {type(problem).__name__}: {problem}")
            here, there = states.get(instance_id, ""), wanted.get(instance_id)
            if there is None or to_do(there, here):
                self._work[instance_id] = self._pool.submit(self._settle, instance_id, there)
            elif here == "running" and self._attached.get(instance_id) != there.volumes:
                self._work[instance_id] = self._pool.submit(self._attach, there)
            elif here == "running" and self._guarded.get(instance_id) != self._rules(there):
                self._work[instance_id] = self._pool.submit(self._guard, there)
        for instance_id in wanted:
            running = states.get(instance_id) == "running"
            if (text := self.consoles.news(instance_id, running=running)) is not None:
                self.emulator.report(instance_id, console=text)

    def _busy(self) -> bool:
        return any(not work.done() for work in self._work.values())

    def _settle(self, instance_id: str, wanted: Wanted | None) -> None:
        """Bring one instance to where it should be. The containers are asked anew: what was known may be old."""
        here = self.engine.states().get(instance_id, "")
        work = to_do(wanted, here) if wanted else "remove"
        if not work:
            return
        _say(f"{instance_id}: {work} (should be {wanted.state if wanted else 'gone'}, is {here or 'absent'})")
        if work == "remove":
            if here == "running" and wanted:
                self.engine.stop(instance_id)
            self.engine.remove(instance_id)
            if wanted:
                self.emulator.report(instance_id, state="terminated")
        elif work == "stop":
            if here == "running":
                self.engine.stop(instance_id)
            self.emulator.report(instance_id, state="stopped")
        elif work == "reboot" and wanted:
            self.engine.stop(instance_id)
            self._start(wanted)
            self.emulator.report(instance_id, rebooted=wanted.reboots)
        elif work == "recover" and wanted:
            self._recover(wanted)
        elif wanted:
            self._run(wanted, here)

    def _run(self, wanted: Wanted, here: str) -> None:
        try:
            if not here:
                self.engine.create(wanted)
            self._start(wanted)
        except UserError as problem:
            # Such as an address that something else listens on. EC2 says the same of a launch that fails.
            self.engine.remove(wanted.id)
            self.emulator.report(wanted.id, state="terminated", reason=str(problem))
            raise

    def _start(self, wanted: Wanted) -> None:
        address = self.engine.start(wanted)
        self._guard(wanted)
        # Before it is reported, which is when the host can be asked for anything.
        self._attach(wanted, booted=True)
        self.emulator.report(wanted.id, address=address, state="running")

    def _rules(self, wanted: Wanted) -> str:
        return chain(wanted.inbound, self._members, self.engine.place.gateway)

    def _guard(self, wanted: Wanted) -> None:
        """Let a host hold its security groups. A boot has taken the rules away."""
        rules = self._rules(wanted)
        self.engine.guard(wanted.id, rules)
        self._guarded[wanted.id] = rules

    def _attach(self, wanted: Wanted, *, booted: bool = False) -> None:
        """Let a host have its volumes and no other. A boot has taken all of them away."""
        before = () if booted else self._attached.get(wanted.id, ())
        for volume in before:
            if volume not in wanted.volumes:
                _say(f"{wanted.id}: detach {volume.id} from {volume.node}")
                self.engine.hide(wanted.id, volume.node)
                self.volumes.close(volume.id)
        for volume in wanted.volumes:
            if volume not in before:
                _say(f"{wanted.id}: attach {volume.id} as {volume.node}")
                self.engine.show(wanted.id, volume.node, *self.volumes.open(volume))
        self._attached[wanted.id] = wanted.volumes

    def _recover(self, wanted: Wanted) -> None:
        """Start a host that rebooted itself or lost its power; note one that shut itself down."""
        instance_id = wanted.id
        code = self.engine.exit_code(instance_id)
        if code in POWER_OFF_CODES:
            self.emulator.report(instance_id, state="stopped")
        else:
            _say(f"{instance_id}: {'rebooted itself' if code == REBOOT_CODE else f'lost its power (exit code {code})'}")
            self._start(wanted)


def to_do(wanted: Wanted, here: str) -> str:
    """Return what has to be done for an instance whose container is in the state `here`; empty if nothing has."""
    if wanted.state == "pending":
        return "run"
    if wanted.state == "running":
        if here == "running":
            return "reboot" if wanted.reboots else ""
        return "recover" if here in ("exited", "created") else ""
    if wanted.state == "stopping":
        return "stop"
    if wanted.state == "shutting-down":
        return "remove"
    return ""


class Consoles:
    """The instances' consoles: a file each, and its news for the emulator."""

    def __init__(self, engine: Engine, logs: Path) -> None:
        self.engine = engine
        self.logs = logs
        self._followers: dict[str, subprocess.Popen[bytes]] = {}
        self._told: dict[str, int] = {}

    def forget_all_but(self, wanted: Mapping[str, Wanted]) -> None:
        """Delete the files of instances that are no more."""
        for file in self.logs.glob("i-*.log"):
            if file.stem not in wanted:
                file.unlink()

    def news(self, instance_id: str, *, running: bool) -> str | None:
        """Return the end of a console if it has changed since the last call."""
        file = self.logs / f"{instance_id}.log"
        follower = self._followers.get(instance_id)
        if running and (follower is None or follower.poll() is not None):
            since = datetime.fromtimestamp(file.stat().st_mtime if file.exists() else 0, UTC)
            with file.open("ab") as log:
                self._followers[instance_id] = self.engine.follow(instance_id, since.isoformat(), log)
        size = file.stat().st_size if file.exists() else 0
        if size == self._told.get(instance_id, 0):
            return None
        self._told[instance_id] = size
        with file.open("rb") as log:
            log.seek(max(0, size - CONSOLE_BYTES))
            return log.read().decode(errors="replace").replace("\r\n", "\n")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
