"""The task definition that ECS gets."""

import json
from typing import Any

import pytest

from infra.lib.aws_limits import FARGATE_MEMORY_MIB
from infra.lib.canonical_json import canonical_json
from infra.lib.task_definition import container_definitions

IMAGE = "127.0.0.1:5000/slipway/worker@sha256:" + "a" * 64


def definitions(**changes: Any) -> str:
    given: dict[str, Any] = {
        "name": "worker",
        "image": IMAGE,
        "environment": {"JOBS_QUEUE_URL": "https://queue", "AWS_REGION": "us-east-1"},
        "secrets": {"DATABASE_URL": "arn:aws:ssm:us-east-1:123456789012:parameter/slipway/dev/database-url"},
        "log_group": "/slipway/dev/worker",
        "region": "us-east-1",
        "health": ["python", "-m", "app.worker.health"],
        "secret_versions": {},
    }
    return container_definitions(**(given | changes))


def container(**changes: Any) -> dict[str, Any]:
    (only,) = json.loads(definitions(**changes))
    return dict(only)


def test_the_order_in_which_things_are_given_makes_no_new_revision() -> None:
    other = {"AWS_REGION": "us-east-1", "JOBS_QUEUE_URL": "https://queue"}
    assert definitions(environment=other) == definitions()


def test_the_string_is_canonical() -> None:
    assert definitions() == canonical_json(json.loads(definitions()))
    assert " " not in definitions()


def test_every_field_that_ecs_would_add_is_there() -> None:
    assert {
        "essential",
        "mountPoints",
        "portMappings",
        "volumesFrom",
        "cpu",
        "systemControls",
    } <= container().keys()


def test_secrets_are_handed_over_by_reference() -> None:
    arn = "arn:aws:ssm:us-east-1:123456789012:parameter/slipway/dev/database-url"
    assert container()["secrets"] == [{"name": "DATABASE_URL", "valueFrom": arn}]


def test_the_versions_of_secrets_are_in_the_environment_sorted() -> None:
    given = {"redis-url": 1, "database-url": 12}
    environment = {entry["name"]: entry["value"] for entry in container(secret_versions=given)["environment"]}
    assert environment["SECRET_VERSIONS"] == "database-url:12 redis-url:1"
    assert "SECRET_VERSIONS" not in definitions()


def test_the_container_is_held_tight() -> None:
    assert container()["readonlyRootFilesystem"] is True
    assert container()["user"] == "10001:10001"
    assert container()["stopTimeout"] == 120


def test_logs_go_to_the_group_in_the_stacks_region() -> None:
    assert container()["logConfiguration"] == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": "/slipway/dev/worker",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "worker",
        },
    }


def test_its_health_is_checked_by_a_command_without_a_shell() -> None:
    assert container()["healthCheck"] == {
        "command": ["CMD", "python", "-m", "app.worker.health"],
        "interval": 30,
        "timeout": 5,
        "retries": 3,
        "startPeriod": 30,
    }


@pytest.mark.parametrize("image", ["slipway/worker:latest", "slipway/worker@", "slipway/worker@sha256:", ""])
def test_an_image_that_no_digest_names_is_refused(image: str) -> None:
    with pytest.raises(ValueError, match="must run an image by digest"):
        definitions(image=image)


def test_a_variable_cannot_be_a_value_and_a_secret() -> None:
    with pytest.raises(ValueError, match="DATABASE_URL as a value and as a secret"):
        definitions(environment={"DATABASE_URL": "x"})


def test_fargates_table_is_as_ecs_documents_it() -> None:
    # Number of memories for each cpu, and the first and last: the documentation's table, row by row.
    rows = {cpu: (len(sizes), sizes[0] // 1024, sizes[-1] // 1024) for cpu, sizes in FARGATE_MEMORY_MIB.items()}
    assert rows == {
        256: (3, 0, 2),
        512: (4, 1, 4),
        1024: (7, 2, 8),
        2048: (13, 4, 16),
        4096: (23, 8, 30),
        8192: (12, 16, 60),
        16384: (12, 32, 120),
    }
