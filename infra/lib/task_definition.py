"""Write the container definition of the worker's task.

ECS compares container definitions as one string, so they are written as canonical JSON with every field that
ECS would add by itself: anything less shows a difference, and so a new revision, on every `up`
(pulumi-aws#4576).
"""

import re
from collections.abc import Mapping, Sequence

from infra.lib.aws_limits import MAX_STOP_TIMEOUT_SECONDS
from infra.lib.canonical_json import canonical_json

VERSIONS_VARIABLE = "SECRET_VERSIONS"
"""The variable that makes a new value of a secret a new revision: ECS hands a task its secrets at its start only."""
USER = "10001:10001"
"""The user and group that run in the image, which has no others but root."""


def container_definitions(
    *,
    name: str,
    image: str,
    environment: Mapping[str, str],
    secrets: Mapping[str, str],
    log_group: str,
    region: str,
    health: Sequence[str],
    secret_versions: Mapping[str, int],
) -> str:
    """Return the container definitions of a Fargate task with one container, as the string that ECS keeps.

    `secrets` maps a variable's name to the ARN of the parameter that holds its value (`valueFrom`), `secret_versions`
    a secret's name to the version of its parameter. `image` must name a digest: a task that names a tag may run
    something else tomorrow. `health` is a command that ends with 0 in the container when it is well. Raises ValueError
    for an image without a digest, and a variable that is given twice.
    """
    if re.search(r"[^@]@sha256:[0-9a-f]{64}$", image) is None:
        raise ValueError(f'The container "{name}" must run an image by digest, but it was given "{image}".')
    versions = " ".join(f"{secret}:{version}" for secret, version in sorted(secret_versions.items()))
    if versions:
        environment = {**environment, VERSIONS_VARIABLE: versions}
    both = sorted(environment.keys() & secrets.keys())
    if both:
        raise ValueError(f'The container "{name}" is given {", ".join(both)} as a value and as a secret; choose one.')
    definition = {
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
        "stopTimeout": MAX_STOP_TIMEOUT_SECONDS,
        "user": USER,
        # In seconds.
        "healthCheck": {
            "command": ["CMD", *health],
            "interval": 30,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 30,
        },
    }
    return canonical_json([definition])
