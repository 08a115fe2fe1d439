"""`python -m app`: run the service that SERVICE_TYPE names. A service imports only what it needs.

The service `lab-reports` is `run(environment)` of app/lab_reports/service.py; it returns the exit status.
"""

import importlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from app.common import logs
from app.common.environment import SettingError, log_level, required

FOLDER = Path(__file__).parent


def services() -> list[str]:
    """Return the services that this image has."""
    return sorted(path.parent.name.replace("_", "-") for path in FOLDER.glob("*/service.py"))


def service_module(environment: Mapping[str, str]) -> str:
    """Return the module of the service. Raises SettingError, with the list, for a name that is none."""
    known = ", ".join(services())
    name = required("SERVICE_TYPE", f"one of {known}", environment)
    if re.fullmatch("[a-z][a-z0-9-]*", name) is None or name not in services():
        raise SettingError(f"SERVICE_TYPE is {name!r}, which is no service of this image: give it one of {known}.")
    return f"app.{name.replace('-', '_')}.service"


def stop_at_once(*_: object) -> None:
    """End the process, which has not begun any work yet."""
    # Not by an exception: the imports that it would interrupt may catch it.
    os.write(sys.stderr.fileno(), b"Stopped by SIGTERM before the service had started.\n")
    os._exit(128 + signal.SIGTERM)


def main() -> int:
    """Return the exit status: 2 if a setting is missing or wrong, otherwise the service's own."""
    # The first process of a container ignores SIGTERM unless it says otherwise, and the imports take seconds. Each
    # service replaces this once it runs.
    signal.signal(signal.SIGTERM, stop_at_once)
    try:
        module = service_module(os.environ)
        logs.configure(log_level(os.environ))
        return int(importlib.import_module(module).run(os.environ))
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
