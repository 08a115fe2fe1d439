"""Look for a secret where it does not belong, and for rights that a container's role should not have."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from devcloud.cloud.aws import AwsClients
from tests.cloud.conftest import Checkout

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
FILES = "grep --recursive --files-with-matches --fixed-strings --file=/dev/stdin --no-messages --devices=skip"
"""Lists the files that hold a text of the standard input: on a command line the search would find itself."""
DOCKERS_OWN = ("config.v2.json", "config.json")
"""Docker's files of a container's environment, which only root reads."""
FOLDERS = ("/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/var")
SHOW = """
journalctl --no-pager --quiet
cat /proc/[0-9]*/cmdline | tr '\\0' ' '
for name in $(docker ps --all --quiet); do docker logs $name 2>&1; done
for image in $(docker images --quiet | sort --unique); do docker history --no-trunc $image; done
"""
"""Prints the host's journal and process list, each container's log, and the steps that its images were made by."""


def leaks(checkout: Checkout, secret: str, parameter: str, stack: str = "local") -> Iterator[str]:
    """Yield each place that shows a secret, but for its own parameter and the environment of its containers."""
    instance = f"{checkout.cloud.network}-{checkout.outputs(stack)['apiInstanceId']}"
    shown = checkout.docker("exec", instance, "sh", "-c", SHOW)
    assert shown.code == 0, shown.said[-2000:]
    if secret in shown.said:
        yield f"the host shows: {_around(shown.said, secret)}"
    excluded = [word for name in DOCKERS_OWN for word in ("--exclude", name)]
    command = [*FILES.split(), *excluded, *FOLDERS]
    yield from checkout.docker("exec", "--interactive", instance, *command, stdin=secret + "\n").said.splitlines()
    yield from (str(file) for file in _files_with(checkout.cloud.state, secret))
    yield from (str(file) for file in _files_with(checkout.cloud.logs, secret))
    for name, value in parameters(checkout, stack).items():
        if secret in value and name != parameter:
            yield f"parameter {name}"
    yield from _commands_with(checkout.client("ssm"), secret)


def parameters(checkout: Checkout, stack: str = "local") -> dict[str, str]:
    """Return the values of a stack's parameters by their names."""
    pages = checkout.client("ssm").get_paginator("get_parameters_by_path")
    found = pages.paginate(Path=f"/slipway/{stack}", Recursive=True, WithDecryption=True)
    return {each["Name"]: each["Value"] for page in found for each in page["Parameters"]}


def _files_with(folder: Path, secret: str) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and secret.encode() in file.read_bytes():
            yield file


def _commands_with(ssm: Any, secret: str) -> Iterator[str]:
    """Yield the commands whose parameters or output show a secret."""
    for page in ssm.get_paginator("list_commands").paginate():
        for command in page["Commands"]:
            identity = command["CommandId"]
            for instance in command["InstanceIds"]:
                found = ssm.get_command_invocation(CommandId=identity, InstanceId=instance)
                shown = f"{command['Parameters']}{found['StandardOutputContent']}{found['StandardErrorContent']}"
                if secret in shown:
                    yield f"command {identity} ({command['Comment']})"


def _around(text: str, secret: str) -> str:
    """Return the line that shows a secret, without it."""
    return next(line for line in text.splitlines() if secret in line).replace(secret, "<secret>")[:300]


def allowed(clients: AwsClients, attempts: Mapping[str, Callable[[AwsClients], object]]) -> set[str]:
    """Return the attempts that IAM lets through, whatever comes of them."""
    return {name for name, attempt in attempts.items() if _is_let_through(clients, attempt)}


def _is_let_through(clients: AwsClients, attempt: Callable[[AwsClients], object]) -> bool:
    try:
        attempt(clients)
    except ClientError as error:
        return error.response["Error"]["Code"] not in DENIED
    return True
