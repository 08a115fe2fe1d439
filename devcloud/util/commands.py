"""Run a click command with the exit codes of this project: 2 for a wrong call, 3 for an unfit machine, 1 for a failure.

Not by click's own main(): it hides a broken pipe, which may be a service's.
"""

import sys

import click

from devcloud.util.console import say
from infra.lib.errors import InputError

INTERRUPTED = 130


def invoke(command: click.Command, name: str, context_object: object = None) -> int:
    """Run a command with the arguments of this process. Return its exit code."""
    try:
        with command.make_context(name, sys.argv[1:], obj=context_object) as context:
            code: int | None = command.invoke(context)
            return code or 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as wrong_call:
        wrong_call.show()
        return wrong_call.exit_code
    except InputError as problem:
        say(f"\n{problem}")
        return problem.exit_code
    except KeyboardInterrupt:
        say("\nstopped; the next run goes on from here")
        return INTERRUPTED
