"""`python -m bench.up CLOUD`: one `pulumi up` of the stack `local`, and how long it took, as JSON.

Run in the bench's copy of the repository, whose program it is. Without the smoke test, which is no part of `pulumi up`.
"""

import json
import sys

import click

from devcloud.cli.context import Command
from devcloud.cloud.cloud import Cloud
from devcloud.pulumi.stack_config import LOCAL
from devcloud.util.commands import invoke


@click.command()
@click.argument("cloud")
def up(cloud: str) -> None:
    """Bring the stack up and print `seconds` and, by image, `builds` in seconds."""
    command = Command(Cloud.named(cloud), LOCAL)
    command.start()
    stack = command.stack()
    stack.prepare()
    result = stack.up()
    builds = {image: build.seconds for image, build in result.builds.items()}
    print(json.dumps({"seconds": result.seconds, "builds": builds}))


if __name__ == "__main__":
    sys.exit(invoke(up, "bench.up"))
