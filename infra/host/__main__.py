"""Run a command of the host: `python -m infra.host COMMAND ARGUMENT`."""

from infra.host.cli import main

main()
