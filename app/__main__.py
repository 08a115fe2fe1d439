"""`python -m app`: run the service that SERVICE_TYPE names. A service imports only what it needs."""

import importlib
import os
import sys
from collections.abc import Mapping

from app.common import logs
from app.common.environment import SettingError, log_level, required
from app.common.services import SERVICES


def service_module(environment: Mapping[str, str]) -> str:
    """The module whose `run(environment)` is the service; SettingError, with the list, for any other name."""
    known = ", ".join(SERVICES)
    name = required("SERVICE_TYPE", f"one of {known}", environment)
    if name not in SERVICES:
        raise SettingError(f"SERVICE_TYPE is {name!r}, which is no service of this image: give it one of {known}.")
    return SERVICES[name].module


def main() -> int:
    """The exit status: 2 where a setting is missing or wrong, otherwise the service's own."""
    try:
        module = service_module(os.environ)
        logs.configure(log_level(os.environ))
        return int(importlib.import_module(module).run(os.environ))
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
