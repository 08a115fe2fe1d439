"""Stand in for the SSM agent: take commands from the cloud on this machine, run them, report what they printed.

Runs on the rehearsed host, which has this one file of ours and Python's standard library. Like AWS's agent it holds a
request open until there is a command, runs up to five commands side by side, reports output only when a command has
ended, kills a command that takes too long or is cancelled, and begins a command again that a reboot interrupted.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/devcloud/machine.json")
WORK = Path("/var/lib/amazon/ssm")
WORKERS = 5
"""How many commands run side by side, as AWS's agent has it (CommandWorkersLimit)."""
STOPPED_CODE = 137
"""The exit code of a command that was killed, as AWS's agent reports it."""
RETRY_SECONDS = 2.0
COMMAND = "command.json"
"""The file that a command lies in until its end was reported."""
ANSWER_SECONDS = 40.0
"""A request for commands is answered within 20 s, with none if there is none."""
OUTPUT_BYTES = 1_000_000
"""So much is read of a command's output; the API keeps far less."""


class Api:
    """The cloud's endpoint for agents. Each request has a connection of its own, since the server closes it."""

    def __init__(self, endpoint: str, token: str) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = {"X-Devcloud-Token": token}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a request. Raise OSError if it is not answered or refused."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", f"/_devcloud/agent/{path}", json.dumps(body), self._headers)
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"{response.status} {text}")
        answer: dict[str, Any] = json.loads(text)
        return answer


class Running:
    """One command that runs."""

    def __init__(self, command: dict[str, Any]) -> None:
        self.command = command
        self.cancelled = threading.Event()

    def run(self) -> dict[str, Any]:
        """Run the script to its end, its timeout or its cancellation. Return what to report."""
        identity = self.command["commandId"]
        folder = WORK / identity
        folder.mkdir(parents=True, exist_ok=True)
        (folder / COMMAND).write_text(json.dumps(self.command))
        script = folder / "_script.sh"
        script.write_text("\n".join(self.command["script"]) + "\n")
        script.chmod(0o700)
        started = time.time()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            # A group of its own, so that what the script started ends with it.
            process = subprocess.Popen(
                ["/bin/sh", "-c", str(script)],
                cwd=self.command["workingDirectory"] or folder,
                env={**os.environ, **self.command["environment"]},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            state = self._wait(process, started + self.command["timeoutSeconds"])
            code = process.returncode if state in ("Success", "Failed") else STOPPED_CODE
            stderr = _text(err)
            if state == "Failed":
                stderr += f"failed to run commands: exit status {code}"
            return {
                **{"commandId": identity, "state": state, "code": code},
                **{"stdout": _text(out), "stderr": stderr, "started": started, "ended": time.time()},
            }

    def _wait(self, process: subprocess.Popen[bytes], deadline: float) -> str:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return "Success" if process.wait(timeout=0.1) == 0 else "Failed"
            if self.cancelled.is_set() or time.time() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return "Cancelled" if self.cancelled.is_set() else "TimedOut"


class Agent:
    """Takes commands, and reports each when it has ended."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._running: dict[str, Running] = {}
        self._free = threading.Semaphore(WORKERS)

    def serve(self) -> None:
        """Ask for commands for ever."""
        for left in sorted(WORK.glob(f"*/{COMMAND}"), key=lambda file: file.stat().st_mtime):
            self._begin(json.loads(left.read_text()))
        while True:
            self._free.acquire()
            self._free.release()  # only now is there room for one more
            answer = self._ask("poll", {})
            for identity in answer["cancel"]:
                if found := self._running.get(identity):
                    found.cancelled.set()
            for command in answer["commands"]:
                self._begin(command)

    def _begin(self, command: dict[str, Any]) -> None:
        if not self._ask("begin", {"commandId": command["commandId"]})["run"]:
            return
        self._free.acquire()
        running = self._running[command["commandId"]] = Running(command)
        threading.Thread(target=self._run, args=(running,)).start()

    def _run(self, running: Running) -> None:
        identity = running.command["commandId"]
        print(f"command {identity} of document {running.command['document']} begins", flush=True)
        try:
            try:
                report = running.run()
            except OSError as error:  # no disk space, no such folder
                ended = time.time()
                problem = f"failed to run commands: {error}"
                report = {"commandId": identity, "state": "Failed", "code": 1, "stdout": "", "stderr": problem}
                report |= {"started": ended, "ended": ended}
            print(f"command {identity} ended: {report['state']}, exit code {report['code']}", flush=True)
            self._ask("report", report)
            (WORK / identity / COMMAND).unlink(missing_ok=True)
        finally:
            del self._running[identity]
            self._free.release()

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a request until it is answered."""
        while True:
            try:
                return self.api.post(path, body)
            except OSError as error:
                print(f"no answer from the cloud ({error}); trying again", flush=True)
                time.sleep(RETRY_SECONDS)


def _text(file: Any) -> str:
    file.seek(0)
    content: bytes = file.read(OUTPUT_BYTES)
    return content.decode(errors="replace")


if __name__ == "__main__":
    print("devcloud's stand-in for the SSM agent starts", flush=True)
    settings = json.loads(SETTINGS.read_text())
    Agent(Api(settings["aws"], settings["token"])).serve()
