"""`make up`: what it declares is there, and works."""

import base64
import json

import pytest

from devcloud.cloud.inventory import inventory
from devcloud.pulumi.stack import with_resources
from tests.cloud.conftest import Checkout, Done

pytestmark = pytest.mark.cloud


def test_a_lab_panel_goes_in_at_one_end_and_comes_out_categorised_at_the_other(first_up: Done) -> None:
    assert "HbA1c -> diabetes, LDL cholesterol -> lipids, TSH -> thyroid" in first_up.said


def test_the_summary_shows_each_image_against_its_budget_and_the_bill(first_up: Done) -> None:
    for image, budget in (("base", 1300), ("worker", 600), ("api", 300)):
        (line,) = [line for line in first_up.said.splitlines() if line.startswith(f"  {image} ") and "sha256:" in line]
        assert f"of {budget} MB" in line
    assert "a month, within the budget of $50" in first_up.said


def test_the_tasks_image_is_the_digest_that_the_registry_has_for_the_content_tag(up: Checkout) -> None:
    outputs = up.outputs()
    task = up.client("ecs").describe_task_definition(taskDefinition=outputs["worker"]["taskDefinition"])[
        "taskDefinition"
    ]
    (container,) = task["containerDefinitions"]
    digest = up.registry.digest("slipway-local/worker", outputs["contentTags"]["worker"])
    assert container["image"] == f"{up.cloud.registry_address}/slipway-local/worker@{digest}"
    assert (task["cpu"], task["memory"]) == ("512", "3072")


def test_every_image_is_in_its_repository_under_its_content_tag(up: Checkout) -> None:
    outputs = up.outputs()
    for image, tag in outputs["contentTags"].items():
        described = up.client("ecr").describe_images(
            repositoryName=f"slipway-local/{image}", imageIds=[{"imageTag": tag}]
        )
        assert [detail["imageDigest"] for detail in described["imageDetails"]] == [outputs["digests"][image]]


def test_the_worker_is_a_spot_service_of_the_declared_cluster(up: Checkout) -> None:
    outputs = up.outputs()
    (service,) = up.client("ecs").describe_services(
        cluster=outputs["worker"]["cluster"], services=[outputs["worker"]["service"]]
    )["services"]
    assert [strategy["capacityProvider"] for strategy in service["capacityProviderStrategy"]] == ["FARGATE_SPOT"]
    assert service["taskDefinition"] == outputs["worker"]["taskDefinition"]


def test_the_host_is_a_t2_small_with_the_elastic_address(up: Checkout) -> None:
    outputs = up.outputs()
    (reservation,) = up.client("ec2").describe_instances(InstanceIds=[outputs["apiInstanceId"]])["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["InstanceType"] == "t2.small"
    assert instance["PublicIpAddress"] == outputs["apiAddress"]
    assert instance["PrivateIpAddress"] == outputs["databaseHost"]


def test_the_queue_gives_what_fails_to_the_dead_letter_queue(up: Checkout) -> None:
    outputs = up.outputs()
    attributes = up.client("sqs").get_queue_attributes(
        QueueUrl=outputs["worker"]["queueUrl"], AttributeNames=["RedrivePolicy"]
    )
    redrive = json.loads(attributes["Attributes"]["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":slipway-local-jobs-dead")


def test_nothing_changes_the_second_time(up: Checkout) -> None:
    said = up.up().said
    assert "created" not in said
    assert "updated" not in said
    assert "proof: given for these digests on" in said


def test_a_preview_expects_no_changes(up: Checkout) -> None:
    assert up.run("preview", "--expect-no-changes").code == 0


def test_a_refresh_expects_no_changes(up: Checkout) -> None:
    assert up.run("refresh", "--expect-no-changes").code == 0


def test_no_login_and_no_secret_is_in_what_was_said_or_kept(up: Checkout, first_up: Done) -> None:
    token = up.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    state = (up.cloud.state / ".pulumi" / "stacks" / "slipway" / "local.json").read_text()
    logs = "".join(file.read_text(errors="replace") for file in up.cloud.logs.glob("*.log"))
    password = base64.b64decode(token).decode().partition(":")[2]
    for text in (first_up.said, state, logs):
        assert password not in text
        assert "local-dummy-key" not in text
        assert "slipway:slipway@" not in text


def test_a_bad_setting_leaves_a_stack_that_is_up_as_it_is(up: Checkout) -> None:
    before = inventory(up.cloud.aws), with_resources(up.cloud)
    up.configure({"slipway:worker": {"cpu": 512, "memoryMib": 8192}})
    done = up.run("up")
    assert done.code != 0
    assert "slipway:worker.memoryMib is 8192" in done.said
    assert (inventory(up.cloud.aws), with_resources(up.cloud)) == before
