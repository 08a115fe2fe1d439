"""`python -m bench.up CLOUD`: one `pulumi up` of the stack `local`, and how long it took, as JSON.

Run in the bench's copy of the repository, whose program it is. Without the proof, which is no part of `pulumi up`.
"""

import json
import sys

from devcloud.cli.context import Command
from devcloud.cloud.cloud import Cloud
from devcloud.pulumi.stack_config import LOCAL
from devcloud.util.console import say
from infra.lib.errors import InputError


def main() -> int:
    """Bring the stack up and print `seconds` and, by image, `builds` in seconds."""
    try:
        command = Command(Cloud.named(sys.argv[1]), LOCAL)
        command.start()
        stack = command.stack()
        stack.prepare()
        result = stack.up()
    except InputError as problem:
        say(str(problem))
        return problem.exit_code
    builds = {image: build.seconds for image, build in result.builds.items()}
    print(json.dumps({"seconds": result.seconds, "builds": builds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
