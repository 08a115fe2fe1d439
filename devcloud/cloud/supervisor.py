"""A group of background processes under one supervisord: started, restarted, logged, stopped as one.

https://supervisord.org: logs are rotated, a process that dies is restarted unless its state dies with it, and
stopping ends whole process groups.
"""

import configparser
import contextlib
import shlex
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from devcloud.util.console import UserError
from devcloud.util.processes import command_line, traced, wait_for_end
from devcloud.util.sockets import Address, wait_for
from devcloud.util.waiting import wait_until

ORPHAN_SECONDS = 5
"""How long a process without its supervisord may take to end before it is killed."""


@dataclass(frozen=True)
class Program:
    name: str
    command: Sequence[str]
    priority: int
    """Lower starts first and stops last."""
    restart: bool = True
    """Whether one that dies is started again; not where what it held in memory is lost with it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    title: str = ""
    """Its name for the user, if that is another."""
    listens: Address | None = None
    """Where it accepts connections once it is ready."""
    patience: float = 30
    """How many seconds it may take to be ready."""


class Supervisor:
    """The supervisord of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "supervisor.sock"
        self.pid_file = folder / "supervisord.pid"
        self.logs = folder / "logs"

    def running(self) -> bool:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return "supervisord" in command_line(int(self.pid_file.read_text()))
        return False

    def start(self, programs: Sequence[Program], check: Callable[[], None] | None = None) -> None:
        """Start supervisord with these programs, none of them started yet.

        `check` is called once nothing of an earlier life runs any more, and before anything starts; it may raise.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        self.end_orphans()
        if check is not None:
            check()
        for stale in (self.socket, self.pid_file):
            stale.unlink(missing_ok=True)
        config = self.folder / "supervisord.conf"
        with config.open("w") as file:
            self._configuration(programs).write(file)
        # A session of its own: neither Ctrl-C in the terminal nor the end of `make` reaches it.
        subprocess.run(
            traced([sys.executable, "-m", "supervisor.supervisord", "-c", str(config)]),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        if not wait_until(lambda: self.socket.exists() and self.running(), 10, pause=0.02):
            raise UserError(f"supervisord did not start; its log is {self.logs / 'supervisord.log'}.")

    def bring_up(self, programs: Sequence[Program]) -> None:
        """Start the programs that do not run, then wait until all of them are ready. Raise UserError if one is not."""
        for program in programs:
            self.start_program(program.name)
        for program in programs:
            if program.listens:
                log = self.logs / f"{program.name}.log"
                wait_for(program.listens, program.patience, program.title or program.name, log)

    def start_program(self, name: str) -> None:
        """Start one program where it is not running."""
        if self.states().get(name, {}).get("statename") not in ("RUNNING", "STARTING"):
            self._call("startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """Stop one program where it is running, and wait until it is gone."""
        if self.states().get(name, {}).get("statename") in ("RUNNING", "STARTING"):
            self._call("stopProcess", name, True)

    def states(self) -> dict[str, dict[str, Any]]:
        """What supervisord knows of each program: `statename`, `pid`, `start`, `now`; none where it does not run."""
        if not self.running():
            return {}
        return {info["name"]: info for info in self._call("getAllProcessInfo")}

    def end_orphans(self) -> None:
        """End what a supervisord of this folder that was killed left running: it holds the ports of what comes next."""
        url = f"unix://{self.socket}"
        for stop in (psutil.Process.terminate, psutil.Process.kill):
            found = psutil.process_iter(["environ"])
            orphans = [each for each in found if (each.info["environ"] or {}).get("SUPERVISOR_SERVER_URL") == url]
            for orphan in orphans:
                with contextlib.suppress(psutil.NoSuchProcess):
                    stop(orphan)
            wait_for_end([orphan.pid for orphan in orphans], ORPHAN_SECONDS)

    def stop(self) -> None:
        """Stop every program, last started first, then supervisord; waits until all are gone."""
        if not self.running():
            self.end_orphans()
            return
        pid = int(self.pid_file.read_text())
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            self._call("stopAllProcesses", True)
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            self._call("shutdown")
        if not wait_for_end([pid], 30):
            raise UserError(f"supervisord (process {pid}) did not end within 30 s; see {self.logs}.")

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        server = xmlrpc.client.ServerProxy("http://supervisor", transport=transport)
        return getattr(server.supervisor, method)(*arguments)

    def _configuration(self, programs: Sequence[Program]) -> configparser.RawConfigParser:
        sections: dict[str, dict[str, object]] = {
            "supervisord": {
                "pidfile": self.pid_file,
                "logfile": self.logs / "supervisord.log",
                "childlogdir": self.logs,
                "directory": self.folder,
                "loglevel": "info",
            },
            "unix_http_server": {"file": self.socket, "chmod": "0700"},
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
        }
        for program in programs:
            sections[f"program:{program.name}"] = {
                "command": shlex.join(program.command),
                "environment": ",".join(f'{key}="{value}"' for key, value in program.environment.items()),
                "priority": program.priority,
                "autostart": "false",
                "autorestart": str(program.restart).lower(),
                "startsecs": 0,
                "startretries": 5,
                "stopwaitsecs": 15,
                "stopsignal": program.stop_signal,
                "stopasgroup": "true",
                "killasgroup": "true",
                # Expanded twice: https://github.com/Supervisor/supervisor/blob/4.3.0/supervisor/options.py#L970-L977
                "stdout_logfile": str(self.logs / f"{program.name}.log").replace("%", "%%"),
                "stdout_logfile_maxbytes": "20MB",
                "stdout_logfile_backups": 2,
                "redirect_stderr": "true",
            }
        config = configparser.RawConfigParser()
        for section, values in sections.items():
            # supervisord replaces %(name)s in every value.
            config[section] = {key: str(value).replace("%", "%%") for key, value in values.items()}
        return config
