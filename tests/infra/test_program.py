"""The program as a whole: what it asks of the cloud, with digests unknown (a preview) and known (an `up`)."""

import json

from tests.infra.conftest import DIGESTS, REGISTRY, UNKNOWN, Run

TASK = "aws:ecs/taskDefinition:TaskDefinition"


def test_the_workers_task_runs_the_digest_that_was_built(run: Run) -> None:
    cloud, _ = run()
    (container,) = json.loads(cloud.one(TASK).inputs["containerDefinitions"])
    assert container["image"] == f"{REGISTRY}/slipway/worker@{DIGESTS['worker']}"
