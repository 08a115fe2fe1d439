"""A change rebuilds what it changes, and nothing else.

The tests are one story, in this order: what is only previewed, two changes that go up one upon the other, and back.
"""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
import yaml

from bench import changes
from bench.plan import PLAN
from tests.cloud.conftest import Checkout

pytestmark = pytest.mark.cloud

CODE_CHANGE_BYTES = 300_000
"""What a change of code may push, in bytes of compressed layers."""


def layers(checkout: Checkout, image: str) -> dict[str, int]:
    """The layers of the image that runs: bytes by digest."""
    manifest = checkout.registry.image(f"slipway-local/{image}", checkout.outputs()["digests"][image])
    return {layer["digest"]: layer["size"] for layer in manifest["layers"]}


def stages_run(checkout: Checkout) -> set[str]:
    """The stages of which the last `up` ran a command, as BuildKit said: it had none of those in its cache."""
    said = (checkout.cloud.logs / "pulumi-up-local.log").read_text()
    cached = set(re.findall(r"#(\d+) CACHED", said))
    return {stage for number, stage in re.findall(r"#(\d+) \[(\S+) \d+/\d+\] RUN", said) if number not in cached}


@pytest.mark.usefixtures("committed")
def test_a_requirement_of_the_base_changes_the_base_the_worker_and_not_the_api(up: Checkout) -> None:
    # The same lock but for a comment: what the change means is known before anything is built.
    up.append("images/base/requirements-cpu.lock", "# a line")
    up.append("images/base/requirements-pypi.lock", "# a line")
    planned = up.planned().keys()
    assert {"base-image", "worker-image", "worker-task", "worker-service"} <= planned
    assert not {"api-image", "release"} & planned


@pytest.mark.usefixtures("committed")
def test_a_line_elsewhere_changes_nothing(up: Checkout) -> None:
    for path in ("README.md", "docs/settings.md", "infra/lib/cost.py", "tests/__init__.py"):
        up.append(path, "# a line")
    assert up.planned() == {}


def test_a_security_group_in_use_is_replaced_without_the_host_or_the_worker_being_without_one(
    checkout: Checkout, committed: dict[str, Any]
) -> None:
    ec2 = checkout.client("ec2")
    of_the_stack = [{"Name": "tag:Name", "Values": ["slipway-local-host", "slipway-local-worker"]}]
    before = {group["GroupId"] for group in ec2.describe_security_groups(Filters=of_the_stack)["SecurityGroups"]}
    network = checkout.root / "infra" / "components" / "network.py"
    code = network.read_text()
    network.write_text(code.replace('"The API host"', '"The host"').replace('"Tasks of the worker"', '"The tasks"'))
    checkout.up()
    after = {
        group["GroupId"]: group["Description"]
        for group in ec2.describe_security_groups(Filters=of_the_stack)["SecurityGroups"]
    }
    assert sorted(after.values()) == ["The host", "The tasks"]
    assert len(before) == 2
    assert not before & after.keys()
    host, tasks = sorted(after, key=lambda group: after[group])
    (instance,) = ec2.describe_instances(InstanceIds=[committed["apiInstanceId"]])["Reservations"][0]["Instances"]
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [host]
    (service,) = checkout.client("ecs").describe_services(
        cluster=committed["worker"]["cluster"], services=[committed["worker"]["service"]]
    )["services"]
    assert service["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] == [tasks]
    assert checkout.outputs()["apiInstanceId"] == committed["apiInstanceId"]


def test_a_line_of_the_api_changes_the_api_and_the_release(checkout: Checkout, committed: dict[str, Any]) -> None:
    before, old = committed["digests"], layers(checkout, "api")
    checkout.append("app/api/routes.py", "# a line")
    assert checkout.planned() == {"api-image": "update", "release": "update", "verified": "update"}
    checkout.up()
    after = checkout.outputs()["digests"]
    assert {image for image in after if after[image] != before[image]} == {"api"}
    pushed = sum(size for digest, size in layers(checkout, "api").items() if digest not in old)
    assert 0 < pushed < CODE_CHANGE_BYTES
    release = checkout.client("ssm").get_parameter(Name="/slipway/local/release")["Parameter"]["Value"]
    assert after["api"] in release


def test_a_line_of_the_worker_changes_the_worker_its_task_and_its_service(
    checkout: Checkout, committed: dict[str, Any]
) -> None:
    checkout.append("app/worker/work.py", "# a line")
    assert checkout.planned().keys() == {"worker-image", "worker-task", "worker-service", "verified"}
    checkout.up()
    after = checkout.outputs()
    definition = after["worker"]["taskDefinition"]
    assert definition != committed["worker"]["taskDefinition"]
    task = checkout.client("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
    assert task["containerDefinitions"][0]["image"].endswith(after["digests"]["worker"])


def test_another_lifecycle_policy_takes_the_place_of_the_old_one(checkout: Checkout) -> None:
    # A repository has one policy: whoever deletes the old one after making the new one deletes the new one.
    settings = yaml.safe_load((checkout.root / "Pulumi.local.yaml").read_text())["config"]["slipway:registry"]
    checkout.configure({"slipway:registry": {**settings, "keepImages": 7}})
    checkout.up()
    policy = checkout.client("ecr").get_lifecycle_policy(repositoryName="slipway-local/api")["lifecyclePolicyText"]
    assert 7 in [rule["selection"].get("countNumber") for rule in json.loads(policy)["rules"]]


def test_a_requirement_of_the_worker_neither_fetches_nor_exports_a_model_again(
    checkout: Checkout, committed: dict[str, Any]
) -> None:
    changes.apply(checkout.root, PLAN.scenario("requirement-worker").change, 1)
    # No session before has built this: a builder that still holds it would run nothing.
    checkout.append("images/worker/requirements.lock", f"# {uuid4()}")
    done = checkout.run("build", "worker")
    assert done.code == 0, done.said
    assert checkout.outputs()["digests"]["worker"] != committed["digests"]["worker"]
    assert stages_run(checkout) == {"venv"}


def test_reverted_changes_go_through_with_every_cache_empty(checkout: Checkout, committed: dict[str, Any]) -> None:
    changed = checkout.outputs()["digests"]
    assert {image for image in changed if changed[image] != committed["digests"][image]} == {"api", "worker"}
    checkout.restore()
    assert checkout.run("clean-cache").code == 0
    checkout.up()
    after = checkout.outputs()
    assert after["contentTags"] == committed["contentTags"]
    assert after["digests"] == committed["digests"]


def test_a_tag_that_names_another_digest_is_one_clear_sentence(up: Checkout, committed: dict[str, Any]) -> None:
    up.append("app/api/routes.py", "# a third line")
    # Somebody built the same content to other bytes: the tag that this change will have is taken.
    said = up.run("validate").said
    tag = re.findall(r"local .*api [^(]*\(([0-9a-f]{20})\)", said)[0]
    found = up.client("ecr").batch_get_image(
        repositoryName="slipway-local/api", imageIds=[{"imageDigest": committed["digests"]["api"]}]
    )["images"][0]
    up.client("ecr").put_image(
        repositoryName="slipway-local/api",
        imageManifest=found["imageManifest"],
        imageManifestMediaType=found["imageManifestMediaType"],
        imageTag=tag,
    )
    done = up.run("up")
    assert done.code != 0
    assert f"the tag {tag} names another digest already, and tags do not move" in done.said
    up.client("ecr").batch_delete_image(repositoryName="slipway-local/api", imageIds=[{"imageTag": tag}])
