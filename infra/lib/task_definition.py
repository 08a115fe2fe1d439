"""What ECS is told to run: the worker's container definition, and the sizes that Fargate sells.

ECS compares container definitions as one string, so they are written as canonical JSON with every field that
ECS would add by itself: anything less shows a difference, and so a new revision, on every `up`
(pulumi-aws#4576).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.lib.aws_limits import MAX_STOP_TIMEOUT_SECONDS
from infra.lib.canonical_json import canonical_json

VERSIONS_VARIABLE = "SECRET_VERSIONS"
"""The variable that makes a new value of a secret a new revision: ECS hands a task its secrets at its start only."""


@dataclass(frozen=True)
class HealthCheck:
    """A command that ECS runs inside the container; times in seconds."""

    command: Sequence[str]
    interval_seconds: int = 30
    timeout_seconds: int = 5
    retries: int = 3
    start_period_seconds: int = 30


def container_definitions(
    *,
    name: str,
    image: str,
    environment: Mapping[str, str],
    secrets: Mapping[str, str],
    log_group: str,
    region: str,
    stop_timeout_seconds: int = MAX_STOP_TIMEOUT_SECONDS,
    user: str = "10001:10001",
    command: Sequence[str] | None = None,
    health_check: HealthCheck | None = None,
    secret_versions: Mapping[str, int] | None = None,
) -> str:
    """The container definitions of a Fargate task with one container, as the string that ECS keeps.

    `secrets` maps a variable's name to the ARN of the parameter that holds its value (`valueFrom`), `secret_versions`
    a secret's name to the version of its parameter. `image` must name a digest: a task that names a tag may run
    something else tomorrow. Raises ValueError where ECS or we would refuse.
    """
    if re.search(r"[^@]@sha256:[0-9a-f]{64}$", image) is None:
        raise ValueError(f'The container "{name}" must run an image by digest, but it was given "{image}".')
    if not 2 <= stop_timeout_seconds <= MAX_STOP_TIMEOUT_SECONDS:
        raise ValueError(
            f'The container "{name}" has a stop timeout of {stop_timeout_seconds} s; '
            f"Fargate takes 2 to {MAX_STOP_TIMEOUT_SECONDS} s."
        )
    if secret_versions:
        versions = " ".join(f"{name}:{version}" for name, version in sorted(secret_versions.items()))
        environment = {**environment, VERSIONS_VARIABLE: versions}
    both = sorted(environment.keys() & secrets.keys())
    if both:
        raise ValueError(f'The container "{name}" is given {", ".join(both)} as a value and as a secret; choose one.')
    definition: dict[str, Any] = {
        "name": name,
        "image": image,
        "essential": True,
        # ECS adds these three by itself where they are missing, even empty, and would then show a difference.
        "mountPoints": [],
        "portMappings": [],
        "volumesFrom": [],
        "cpu": 0,
        "systemControls": [],
        # ECS keeps both lists sorted as it likes; sorted by name they at least never differ by our doing.
        "environment": [{"name": key, "value": value} for key, value in sorted(environment.items())],
        "secrets": [{"name": key, "valueFrom": source} for key, source in sorted(secrets.items())],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group,
                "awslogs-region": region,
                "awslogs-stream-prefix": name,
            },
        },
        "readonlyRootFilesystem": True,
        "stopTimeout": stop_timeout_seconds,
        "user": user,
    }
    if command is not None:
        definition["command"] = list(command)
    if health_check is not None:
        definition["healthCheck"] = {
            "command": ["CMD", *health_check.command],
            "interval": health_check.interval_seconds,
            "timeout": health_check.timeout_seconds,
            "retries": health_check.retries,
            "startPeriod": health_check.start_period_seconds,
        }
    return canonical_json([definition])
