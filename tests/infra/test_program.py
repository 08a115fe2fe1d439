"""The program as a whole: what it asks of the cloud, with digests unknown (a preview) and known (an `up`)."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import placement, program
from infra.builds import base_version
from infra.builds.plan import plan_builds
from infra.lib import cost
from infra.lib.aws_limits import INSTANCE_TYPES, InstanceType
from infra.lib.zones import ZoneError
from infra.releases import graph, host_document, verified
from infra.releases.release import ReleasedImage, ReleaseFile, release_id, write_release_file
from infra.settings import checks, memory
from tests.infra.conftest import (
    ACCOUNT,
    CLOUDS,
    DIGESTS,
    HOSTED,
    PINNED,
    PRODUCT,
    REGISTRY,
    ROOT,
    UNKNOWN,
    Run,
    id_of,
    settings_of,
)

IMAGE = "docker-build:index:Image"
TASK = "aws:ecs/taskDefinition:TaskDefinition"
SERVICE = "aws:ecs/service:Service"
PARAMETER = "aws:ssm/parameter:Parameter"
REPOSITORY = "aws:ecr/repository:Repository"
INSTANCE = "aws:ec2/instance:Instance"
INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
RELEASED = {
    "slipway:registry": {"owner": "dev"},
    "slipway:images": {"source": "releases/prod.json"},
}
PINNED_BASE = {"slipway:images": {"baseVersion": "1.2.0"}}
VERSION = base_version.read(ROOT)


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout whose release file names the digests."""
    images = {image: ReleasedImage(digest, "0" * 20) for image, digest in DIGESTS.items()}
    write_release_file(tmp_path / "releases" / "prod.json", ReleaseFile("dev", images))
    monkeypatch.setattr(program, "ROOT", tmp_path)


def test_the_workers_task_runs_the_digest_that_was_built(run: Run) -> None:
    cloud, _ = run()
    task = cloud.one(TASK).inputs
    (container,) = json.loads(task["containerDefinitions"])
    assert container["image"] == f"{REGISTRY}/slipway/worker@{DIGESTS['worker']}"
    assert (task["cpu"], task["memory"]) == ("512", "3072")


def test_the_hosts_release_names_the_api_by_digest(run: Run) -> None:
    cloud, _ = run()
    release = cloud.one(PARAMETER, "release").inputs
    api = f"{REGISTRY}/slipway/api@{DIGESTS['api']}"
    assert release["name"] == "/slipway/dev/release"
    services = json.loads(release["insecureValue"])["services"]
    assert services.items() >= {"migrate": api, "auth": api, "api": api, "dashboard": api}.items()
    assert services.keys() == PRODUCT.services.keys() - {"postgres", "redis"}


def test_the_release_names_the_version_of_the_hosts_document_and_of_each_secret(run: Run) -> None:
    cloud, _ = run("dev", versions={"redis-url": 3})
    document = cloud.one("aws:ssm/document:Document").inputs
    assert (document["name"], document["documentType"]) == ("slipway-dev-host", "Command")
    release = json.loads(cloud.one(PARAMETER, "release").inputs["insecureValue"])
    assert (release["schema"], release["host"], release["hostVersion"]) == (2, "slipway-dev-host", "7")
    assert release["secrets"] == {"database-url": 1, "openai-api-key": 1, "redis-url": 3}


def test_each_service_that_uses_aws_has_a_role_that_the_host_alone_assumes(run: Run) -> None:
    cloud, _ = run()
    names = {asked.name: asked.inputs["name"] for asked in cloud.all("aws:iam/role:Role")}
    assert {name: names[f"{name}-service-role"] for name in ("api", "dashboard")} == {
        "api": "slipway-dev-host-api",
        "dashboard": "slipway-dev-host-dashboard",
    }
    assert not [name for name in names if name.startswith(("auth", "caddy", "migrate"))]
    trust = json.loads(cloud.one("aws:iam/role:Role", "api-service-role").inputs["assumeRolePolicy"])
    assert trust["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:role/slipway-dev-host"}
    policy = json.loads(cloud.one("aws:iam/rolePolicy:RolePolicy", "dashboard-service-policy").inputs["policy"])
    assert [statement["Action"] for statement in policy["Statement"]] == [
        ["sqs:GetQueueAttributes"],
        ["ssm:GetParameterHistory"],
    ]
    host = json.loads(cloud.one("aws:iam/rolePolicy:RolePolicy", "host-policy").inputs["policy"])
    (assumed,) = [statement["Resource"] for statement in host["Statement"] if "sts:AssumeRole" in statement["Action"]]
    assert assumed == [f"arn:aws:iam::{ACCOUNT}:role/slipway-dev-host-{name}" for name in ("api", "dashboard")]


def test_the_hosts_program_is_packed_with_the_graph(run: Run) -> None:
    cloud, _ = run()
    wiring = graph.Wiring(
        id_of("aws:ebs/volume:Volume", "data"),
        f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/slipway-dev-jobs",
        {name: f"arn:aws:iam::{ACCOUNT}:role/slipway-dev-host-{name}" for name in ("api", "dashboard")},
        repositories={image: f"{REGISTRY}/slipway/{image}" for image in ("api", "web")},
    )
    expected = host_document.render(graph.graph(settings_of("dev"), wiring))
    assert cloud.one("aws:ssm/document:Document").inputs["content"] == expected
    release = json.loads(cloud.one(PARAMETER, "release").inputs["insecureValue"])
    assert release["program"] == host_document.program_name(graph.graph(settings_of("dev"), wiring))


def test_containers_do_not_reach_the_metadata_service(run: Run) -> None:
    cloud, _ = run()
    assert cloud.one(INSTANCE).inputs["metadataOptions"]["httpPutResponseHopLimit"] == 1


def test_a_program_that_is_too_large_is_refused_before_any_resource(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_document, "MAX_DOCUMENT_BYTES", 1024)
    with pytest.raises(host_document.HostDocumentError):
        run(anew=True)
    assert not CLOUDS[-1].asked


def test_the_release_waits_for_no_image_that_the_host_does_not_run(run: Run) -> None:
    cloud, _ = run("dev", PINNED_BASE, tags={"1.2.0": PINNED})
    assert PINNED not in cloud.one(PARAMETER, "release").inputs["insecureValue"]
    assert "worker" not in json.loads(cloud.one(PARAMETER, "release").inputs["insecureValue"])["services"]


def test_the_host_is_asked_for_the_release_before_it_counts_as_verified(run: Run) -> None:
    cloud, _ = run()
    wanted = {
        asked.name: asked.inputs["insecureValue"] for asked in cloud.all(PARAMETER) if "insecureValue" in asked.inputs
    }
    assert cloud.verified == [wanted["release"]]
    document = json.loads(wanted["verified"])
    assert document["release"] == release_id(wanted["release"])
    images = document["images"]
    assert {image: entry["digest"] for image, entry in images.items()} == DIGESTS


def test_a_preview_asks_no_host(run: Run) -> None:
    cloud, _ = run(preview=True)
    assert cloud.verified == []


def test_a_host_that_serves_another_release_ends_the_up_in_a_sentence(run: Run) -> None:
    with pytest.raises(pulumi.RunError, match="The host serves another release"):
        run(host_serves=False)


def test_a_preview_knows_the_tags_and_not_the_digests(run: Run) -> None:
    cloud, outputs = run(preview=True)
    assert outputs["contentTags"].keys() == PRODUCT.images.keys()
    assert outputs["digests"] == UNKNOWN
    assert cloud.all(IMAGE)


def test_the_worker_is_built_from_the_bases_digest(run: Run) -> None:
    cloud, _ = run()
    arguments = cloud.one(IMAGE, "worker-image").inputs["buildArgs"]
    assert arguments["BASE_IMAGE"] == f"{REGISTRY}/slipway/base@{DIGESTS['base']}"
    assert "BASE_IMAGE" not in cloud.one(IMAGE, "api-image").inputs["buildArgs"]


def test_every_image_is_pushed_under_its_content_tag_reproducibly(run: Run) -> None:
    cloud, outputs = run()
    for image, tag in outputs["contentTags"].items():
        (export,) = cloud.one(IMAGE, f"{image}-image").inputs["exports"]
        assert f"name={REGISTRY}/slipway/{image}:{tag},push=true" in export["raw"]
        assert "force-compression=true" in export["raw"]


def test_the_registry_cache_is_whole_and_acceptable_to_ecr(run: Run) -> None:
    cloud, _ = run()
    for asked in cloud.all(IMAGE):
        (cache,) = asked.inputs["cacheTo"]
        registry = cache["registry"]
        assert registry["ref"].startswith(f"{REGISTRY}/slipway/cache:")
        assert (registry["mode"], registry["imageManifest"], registry["ociMediaTypes"]) == ("max", True, True)


def test_a_context_has_a_relative_path(run: Run) -> None:
    cloud, _ = run()
    for asked in cloud.all(IMAGE):
        assert asked.inputs["context"]["location"].startswith("../.slipway/context/")


def test_images_tags_do_not_move_and_the_caches_do(run: Run) -> None:
    cloud, _ = run()
    mutability = {asked.inputs["name"]: asked.inputs["imageTagMutability"] for asked in cloud.all(REPOSITORY)}
    assert mutability == {
        "slipway/base": "IMMUTABLE",
        "slipway/worker": "IMMUTABLE",
        "slipway/api": "IMMUTABLE",
        "slipway/web": "IMMUTABLE",
        "slipway/cache": "MUTABLE",
    }


def test_the_worker_runs_on_spot_alone(run: Run) -> None:
    cloud, _ = run()
    (strategy,) = cloud.one(SERVICE).inputs["capacityProviderStrategies"]
    assert strategy["capacityProvider"] == "FARGATE_SPOT"
    assert "launchType" not in cloud.one(SERVICE).inputs


def test_secrets_are_handed_over_by_reference(run: Run) -> None:
    cloud, outputs = run()
    (container,) = json.loads(cloud.one(TASK).inputs["containerDefinitions"])
    reference = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/slipway/dev/database-url"
    assert container["secrets"] == [{"name": "DATABASE_URL", "valueFrom": reference}]
    assert "hush" not in json.dumps(outputs)
    for asked in cloud.all(PARAMETER):
        assert asked.inputs["type"] == ("String" if asked.name in ("release", "verified") else "SecureString")


def test_a_secret_with_a_new_value_is_a_new_revision_of_the_task(run: Run) -> None:
    environments = []
    for version in (1, 2):
        cloud, _ = run("dev", versions={"database-url": version})
        (container,) = json.loads(cloud.one(TASK).inputs["containerDefinitions"])
        environments.append({entry["name"]: entry["value"] for entry in container["environment"]})
    assert [environment["SECRET_VERSIONS"] for environment in environments] == ["database-url:1", "database-url:2"]


def test_a_task_starts_only_once_it_may_pull_read_and_work(run: Run) -> None:
    cloud, _ = run()
    assert cloud.kept["worker-service"].after >= {"worker-execution-policy", "worker-task-policy"}


def test_fargate_asks_the_worker_whether_it_is_alive(run: Run) -> None:
    cloud, _ = run()
    (container,) = json.loads(cloud.one(TASK).inputs["containerDefinitions"])
    assert container["healthCheck"]["command"] == ["CMD", "/opt/venv/bin/python", "-m", "app.worker", "--health"]


def test_the_zones_are_the_regions_own(run: Run) -> None:
    cloud, _ = run()
    zones = [subnet.inputs["availabilityZone"] for subnet in cloud.all("aws:ec2/subnet:Subnet")]
    assert sorted(zones) == ["us-east-1a", "us-east-1b"]


def test_the_host_and_its_data_are_in_a_zone_that_offers_its_type(run: Run) -> None:
    cloud, _ = run("dev", {"slipway:host": {"instanceType": "t3.small"}}, offers={"t3.small": ["us-east-1c"]})
    zones = {subnet.name: subnet.inputs["availabilityZone"] for subnet in cloud.all("aws:ec2/subnet:Subnet")}
    assert zones == {"subnet-0": "us-east-1c", "subnet-1": "us-east-1a"}
    assert cloud.one("aws:ebs/volume:Volume").inputs["availabilityZone"] == "us-east-1c"


def test_an_instance_type_that_the_zone_lacks_is_refused_before_any_resource(run: Run) -> None:
    with pytest.raises(ZoneError, match=r"^slipway:host\.instanceType is t2\.small, .* set t3\.small\.$"):
        run(offers={"t3.small": ["us-east-1a"]})
    with pytest.raises(ZoneError, match="us-east-1c, the zone of the host's subnet, does not offer it"):
        run(host_zone="us-east-1c")
    for cloud in CLOUDS[-2:]:
        assert {asked.type for asked in cloud.asked} == {"pulumi:providers:aws"}


def test_a_replaced_security_group_is_created_before_the_old_one_goes(run: Run) -> None:
    cloud, _ = run()
    groups = cloud.all("aws:ec2/securityGroup:SecurityGroup")
    assert sorted(group.inputs["namePrefix"] for group in groups) == ["slipway-dev-host-", "slipway-dev-worker-"]
    assert not any("name" in group.inputs or cloud.kept[group.name].deleted_first for group in groups)


@pytest.mark.parametrize("resource", ["host", "worker-service"])
def test_what_needs_a_way_out_waits_for_the_gateway_the_routes_and_the_rules(run: Run, resource: str) -> None:
    cloud, _ = run()
    assert cloud.kept[resource].after >= {"gateway", "routes", "subnet-0-routes", "host-to-https", "worker-to-https"}


def test_host_and_worker_may_reach_their_databases_wherever_these_are(run: Run) -> None:
    urls = {
        "slipway:databaseUrl": "postgresql://user:pass@db.example.com:6543/name",
        "slipway:redisUrl": "rediss://cache.example.com",
    }
    cloud, _ = run("dev", urls)
    rules = cloud.all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    to_anywhere = {rule.name: rule.inputs["fromPort"] for rule in rules if "cidrIpv4" in rule.inputs}
    assert to_anywhere == {
        "host-to-https": 443,
        "host-to-6543": 6543,
        "host-to-6379": 6379,
        "worker-to-https": 443,
        "worker-to-6543": 6543,
    }


def test_the_offers_are_asked_by_zone_and_the_hosts_subnet_by_its_tags_and_addresses(run: Run) -> None:
    cloud, _ = run(host_zone="us-east-1b")
    asked = {look_up.name: look_up.inputs for look_up in cloud.looked_up}
    assert asked["getInstanceTypeOfferings"]["locationType"] == "availability-zone"
    assert {entry["name"]: entry["values"] for entry in asked["getSubnets"]["filters"]} == {
        "tag:Name": ["slipway-dev-subnet-0"],
        "tag:Project": ["slipway"],
        "tag:Stack": ["dev"],
        "cidr-block": ["10.20.0.0/18"],
    }


def test_an_aws_that_cannot_be_asked_for_zones_is_one_sentence(run: Run) -> None:
    with pytest.raises(ZoneError, match=r"^AWS could not be asked for the zones of us-east-1: .*ec2:Describe\*.*\.$"):
        run(refused=["aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings"])


def test_a_zone_that_comes_or_goes_moves_neither_a_subnet_nor_the_data(run: Run) -> None:
    cloud, _ = run()
    assert {cloud.kept[f"subnet-{index}"].ignored for index in (0, 1)} == {("availabilityZone",)}
    first = cloud.one("aws:ec2/subnet:Subnet", "subnet-0").inputs["availabilityZone"]
    assert cloud.one("aws:ebs/volume:Volume").inputs["availabilityZone"] == first


@pytest.mark.parametrize("protect", [True, False])
def test_what_cannot_be_made_again_is_protected_where_the_settings_say_so(run: Run, protect: bool) -> None:
    cloud, _ = run("dev", {"slipway:host": {"protectData": protect}, "slipway:registry": {"protect": protect}})
    protected = {name for name, kept in cloud.kept.items() if kept.protected}
    assert protected == ({"data", *(asked.name for asked in cloud.all(REPOSITORY))} if protect else set())


def test_an_image_that_is_replaced_stays_in_the_registry(run: Run) -> None:
    cloud, _ = run()
    assert all(cloud.kept[f"{name}-image"].retained for name in PRODUCT.images)


def test_nothing_is_open_that_is_not_used(run: Run) -> None:
    cloud, _ = run()
    open_ports = {(rule.inputs["fromPort"], rule.inputs.get("cidrIpv4", "the worker")) for rule in cloud.all(INGRESS)}
    assert open_ports == {(80, "0.0.0.0/0")}


def test_a_domain_opens_https_and_is_the_address(run: Run) -> None:
    host = {"domain": "labs.example.com", "acmeDirectory": "https://ca.example.com:14000/dir"}
    cloud, outputs = run("dev", {"slipway:host": host})
    assert outputs["apiUrl"] == "https://labs.example.com"
    watched = {alarm.inputs["name"] for alarm in cloud.all("aws:cloudwatch/metricAlarm:MetricAlarm")}
    assert "slipway-dev-certificate" in watched
    rules = {rule.name: rule.inputs["fromPort"] for rule in cloud.all(INGRESS) if "cidrIpv4" in rule.inputs}
    assert rules == {"host-http-from-anywhere": 80, "host-https-from-anywhere": 443}
    assert (
        cloud.one("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "host-to-acme").inputs["toPort"] == 14000
    )


def test_the_host_is_a_t2_small_with_imdsv2_and_an_encrypted_disk(run: Run) -> None:
    cloud, _ = run()
    host = cloud.one(INSTANCE).inputs
    assert host["instanceType"] == "t2.small"
    assert host["metadataOptions"]["httpTokens"] == "required"
    assert host["rootBlockDevice"]["encrypted"] is True
    assert "keyName" not in host


ELSEWHERE: dict[str, Any] = {"domain_leads_to": ["198.51.100.1"]}
NOTE = "host.domain: labs.example.com leads to 198.51.100.1"


@pytest.mark.parametrize("preview", [False, True])
def test_a_domain_that_does_not_lead_to_the_host_is_a_note(run: Run, preview: bool) -> None:
    cloud, _ = run("dev", {"slipway:host": {"domain": "labs.example.com"}}, preview=preview, **ELSEWHERE)
    assert [warning for warning in cloud.warnings if warning.startswith(NOTE)]


@pytest.mark.parametrize(
    ("host", "leads"),
    [
        ({"domain": "labs.example.com"}, {}),
        ({}, ELSEWHERE),
        # The limit is that of Let's Encrypt; a server of one's own may know the domain by other means.
        ({"domain": "labs.example.com", "acmeDirectory": "https://ca.example.com/dir"}, ELSEWHERE),
    ],
    ids=["leads here", "no domain", "another ACME server"],
)
def test_other_domains_are_no_note(run: Run, host: dict[str, Any], leads: dict[str, Any]) -> None:
    cloud, _ = run("dev", {"slipway:host": host}, **leads)
    assert not [warning for warning in cloud.warnings if warning.startswith("host.domain")]


@pytest.mark.parametrize("instance_type", ["t2.small", "t3.small", "t3a.small"])
def test_a_burstable_host_never_costs_more_than_its_price(run: Run, instance_type: str) -> None:
    host = {"slipway:host": {"instanceType": instance_type}}
    cloud, _ = run("dev", host, offers={instance_type: ["us-east-1a"]})
    assert cloud.one(INSTANCE).inputs["creditSpecification"] == {"cpuCredits": "standard"}


def test_a_type_without_credits_is_asked_for_without_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # AWS refuses them for another family: InstanceCreditSpecification.NotSupported.
    types = {**INSTANCE_TYPES, "m5.large": InstanceType(8192, 0.096)}
    for module in (checks, memory, placement, cost):
        monkeypatch.setattr(module, "INSTANCE_TYPES", types)
    host = {"slipway:host": {"instanceType": "m5.large"}}
    cloud, _ = run("dev", host, offers={"m5.large": ["us-east-1a"]}, anew=True)
    assert "creditSpecification" not in cloud.one(INSTANCE).inputs


def test_the_hosts_addresses_and_groups_are_an_interfaces_which_outlasts_the_instance(run: Run) -> None:
    cloud, outputs = run()
    interface = cloud.one(INTERFACE)
    assert interface.inputs["privateIps"] == [outputs["databaseHost"]]
    group = cloud.one("aws:ec2/securityGroup:SecurityGroup", "host-group")
    assert interface.inputs["securityGroups"] == [id_of(group.type, group.name)]
    own = id_of(INTERFACE, interface.name)
    assert cloud.one("aws:ec2/eipAssociation:EipAssociation").inputs["networkInterfaceId"] == own
    host = cloud.one(INSTANCE).inputs
    assert host["networkInterfaces"] == [{"networkInterfaceId": own, "deviceIndex": 0}]
    assert not {"subnetId", "privateIp", "vpcSecurityGroupIds"} & host.keys()


def test_the_host_boots_with_its_address_and_with_the_right_to_read_its_release(run: Run) -> None:
    cloud, _ = run()
    assert cloud.kept["host"].after >= {"address-association", "host-policy"}
    assert cloud.kept["address-association"].after >= {"gateway", "routes"}
    assert "RELEASE_PARAMETER=/slipway/dev/release" in cloud.one(INSTANCE).inputs["userData"]


def test_another_user_data_replaces_the_host(run: Run) -> None:
    cloud, _ = run()
    assert cloud.one(INSTANCE).inputs["userDataReplaceOnChange"] is True
    assert cloud.kept["host"].deleted_first


def test_the_hosts_image_is_the_current_one_when_it_is_created_or_the_one_that_is_pinned(run: Run) -> None:
    current, _ = run()
    assert current.one(INSTANCE).inputs["ami"] == "ami-0123456789abcdef0"
    assert current.kept["host"].ignored == ("ami",)
    pinned, _ = run("dev", {"slipway:host": {"image": "ami-0fedcba9876543210"}})
    assert pinned.one(INSTANCE).inputs["ami"] == "ami-0fedcba9876543210"
    assert pinned.kept["host"].ignored == ()
    assert "aws:ssm/getParameter:getParameter" not in pinned.calls


def test_every_name_but_the_repositories_carries_project_and_stack(run: Run) -> None:
    cloud, _ = run("staging", {"slipway:registry": {"owner": "dev"}})
    for asked in cloud.asked:
        name: Any = asked.inputs.get("name")
        if asked.type.startswith("aws:") and isinstance(name, str) and asked.type != "aws:iam/rolePolicy:RolePolicy":
            assert "slipway-staging" in name or name.startswith("/slipway/staging/"), (asked.type, name)


def test_an_up_of_another_target_names_what_serves_and_says_that_it_released_nothing(run: Run) -> None:
    _, whole = run()
    old = {image: ReleasedImage(f"sha256:{'0' * 64}", tag) for image, tag in whole["contentTags"].items()}
    old["api"] = ReleasedImage(f"sha256:{'1' * 64}", "0123456789abcdef0123")
    cloud, outputs = run(left_out=verified.render("0123456789ab", old))
    assert outputs["digests"] == {image: entry.digest for image, entry in old.items()}
    assert outputs["images"]["api"].endswith(f"/api@{old['api'].digest}")
    assert outputs["contentTags"]["api"] == "0123456789abcdef0123"
    (warning,) = [warning for warning in cloud.warnings if "released nothing" in warning]
    assert "though api changed: --target left the release out" in warning


def test_a_stack_that_shares_repositories_makes_none(run: Run) -> None:
    cloud, outputs = run("staging", {"slipway:registry": {"owner": "dev"}})
    assert not cloud.all(REPOSITORY)
    assert outputs["images"]["api"] == f"{REGISTRY}/slipway/api@{DIGESTS['api']}"


@pytest.mark.usefixtures("released")
def test_a_stack_that_takes_a_release_builds_nothing_and_asks_for_no_login(run: Run) -> None:
    cloud, outputs = run("prod", RELEASED)
    assert not cloud.all(IMAGE)
    assert "aws:ecr/getAuthorizationToken:getAuthorizationToken" not in cloud.calls
    assert outputs["digests"] == DIGESTS
    (container,) = json.loads(cloud.one(TASK).inputs["containerDefinitions"])
    assert container["image"] == f"{REGISTRY}/slipway/worker@{DIGESTS['worker']}"


@pytest.mark.usefixtures("released")
def test_a_stack_that_builds_nothing_reads_no_pin(run: Run) -> None:
    cloud, outputs = run("prod", RELEASED, parameters={"/slipway/prod/verified": "{}", "/slipway/prod/pin": "{}"})
    assert outputs["digests"] == DIGESTS
    assert cloud.ssm.read == []


@pytest.mark.usefixtures("released")
def test_a_preview_of_a_release_knows_its_digests(run: Run) -> None:
    _, outputs = run("prod", RELEASED, preview=True)
    assert outputs["digests"] == DIGESTS


def test_the_bill_of_the_always_on_spot_worker_is_seven_to_ten_dollars(run: Run) -> None:
    _, outputs = run()
    assert 7 <= outputs["monthlyCostUsdByPart"]["worker"] <= 10
    assert outputs["monthlyCostUsd"] == pytest.approx(sum(outputs["monthlyCostUsdByPart"].values()))


def test_what_is_staged_is_what_was_hashed(run: Run) -> None:
    cloud, _ = run()
    plans = plan_builds(settings_of("dev"), ROOT).values()
    assert cloud.staged == {plan.context: {file.path for file in plan.files} for plan in plans}


def test_an_image_sees_nothing_of_another(run: Run) -> None:
    cloud, _ = run()
    assert not any(
        path.startswith(("app/worker", "images/worker")) for path in cloud.staged[".slipway/context/dev/api"]
    )
    assert not any(path.startswith(("app/api", "images/api")) for path in cloud.staged[".slipway/context/dev/worker"])


def test_a_budget_is_made_only_for_whom_it_tells(run: Run) -> None:
    assert not run()[0].all("aws:budgets/budget:Budget")
    cloud, _ = run("dev", {"slipway:budget": {"monthlyUsd": 40, "email": "team@example.com"}})
    budget = cloud.one("aws:budgets/budget:Budget").inputs
    assert (budget["name"], budget["limitAmount"]) == ("slipway-dev-monthly", "40")


def test_a_pinned_base_is_never_built_and_the_worker_is_built_from_its_digest(run: Run) -> None:
    cloud, outputs = run("dev", PINNED_BASE, tags={"1.2.0": PINNED})
    assert {asked.name for asked in cloud.all(IMAGE)} == {
        f"{image}-image" for image in PRODUCT.images if image != "base"
    }
    arguments = cloud.one(IMAGE, "worker-image").inputs["buildArgs"]
    assert arguments["BASE_IMAGE"] == f"{REGISTRY}/slipway/base@{PINNED}"
    assert outputs["digests"]["base"] == PINNED
    assert outputs["contentTags"]["base"] == "0123456789abcdef0123"


def test_a_preview_knows_the_digest_of_a_pinned_base(run: Run) -> None:
    cloud, _ = run("dev", PINNED_BASE, tags={"1.2.0": PINNED}, preview=True)
    assert cloud.one(IMAGE, "worker-image").inputs["buildArgs"]["BASE_IMAGE"].endswith(PINNED)


def test_a_pinned_base_that_is_missing_is_refused_before_any_resource_with_the_command_that_builds_it(run: Run) -> None:
    with pytest.raises(base_version.VersionError, match=r"`make base VERSION=1\.2\.0 STACK=dev` builds it"):
        run("staging", PINNED_BASE | {"slipway:registry": {"owner": "dev"}})


def test_the_base_that_was_built_gets_the_tag_of_its_version_at_an_up_alone(run: Run) -> None:
    cloud, _ = run(preview=True)
    assert not cloud.ecr.tags
    cloud, _ = run()
    assert cloud.ecr.tags == {VERSION: DIGESTS["base"]}
    assert not [warning for warning in cloud.warnings if VERSION in warning]


def test_a_version_that_names_another_digest_stays_and_is_one_warning(run: Run) -> None:
    cloud, _ = run(tags={VERSION: PINNED})
    assert cloud.ecr.tags == {VERSION: PINNED}
    (warning,) = [warning for warning in cloud.warnings if VERSION in warning]
    assert f"The base {VERSION} is {PINNED} in slipway/base, and what was built here is {DIGESTS['base']}" in warning


def test_a_change_under_an_unchanged_version_is_a_warning_and_gets_no_tag(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_version, "inputs", lambda _: "0" * 16)
    cloud, _ = run(anew=True)
    assert not cloud.ecr.tags
    (warning,) = [warning for warning in cloud.warnings if "images/base has changed" in warning]
    assert "make base-version VERSION=" in warning


def test_a_registry_that_is_not_ecrs_is_asked_for_no_tag(run: Run) -> None:
    cloud, _ = run("dev", {"slipway:registry": {"address": "registry.example.com"}})
    assert not cloud.ecr.tags


def test_pytorch_with_cuda_says_what_it_costs(run: Run) -> None:
    for preview in (True, False):
        cloud, _ = run("dev", {"slipway:images": {"torch": {"source": "pypi"}}}, preview=preview)
        (warning,) = [warning for warning in cloud.warnings if "CUDA" in warning]
        assert "about 3 GB" in warning
        assert "over its budget of 1,300 MB" in warning
        assert "2.6 minutes" in warning


def test_a_cpu_build_of_pytorch_says_nothing(run: Run) -> None:
    torch = {"source": "cpu-index", "indexUrl": "https://wheels.example.com/cpu"}
    cloud, _ = run("dev", {"slipway:images": {"torch": torch}})
    assert not [warning for warning in cloud.warnings if "CUDA" in warning]


ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def test_alarms_watch_the_host_and_wait_for_a_release_that_serves(run: Run) -> None:
    cloud, outputs = run("dev", {"slipway:alerts": {"email": "team@example.com"}})
    topic = cloud.one("aws:sns/topic:Topic").inputs
    assert topic["name"] == "slipway-dev-alerts"
    told = f"arn:aws:sns:us-east-1:{ACCOUNT}:slipway-dev-alerts"
    subscription = cloud.one("aws:sns/topicSubscription:TopicSubscription").inputs
    assert subscription == {"topic": told, "protocol": "email", "endpoint": "team@example.com"}
    silent = cloud.one(ALARM, "alarm-host-silent").inputs
    assert (silent["namespace"], silent["metricName"], silent["treatMissingData"]) == (
        "slipway-dev",
        "Serving",
        "breaching",
    )
    assert silent["alarmActions"] == silent["okActions"] == [told]
    check = cloud.one(ALARM, "alarm-status-check-system").inputs
    assert check["namespace"] == "AWS/EC2"
    assert check["dimensions"] == {"InstanceId": id_of(INSTANCE, "host")}
    assert check["alarmActions"] == [told, "arn:aws:automate:us-east-1:ec2:recover"]
    assert check["okActions"] == [told]
    declared = [asked.name for asked in cloud.asked]
    assert declared.index("verified") < declared.index("alarm-host-silent")
    assert outputs["dashboardUrl"].endswith("?region=us-east-1#dashboards/dashboard/slipway-dev")


def test_without_an_address_alarms_tell_nobody_and_still_recover_the_host(run: Run) -> None:
    cloud, _ = run()
    assert not cloud.all("aws:sns/topic:Topic")
    actions = {asked.name: asked.inputs["alarmActions"] for asked in cloud.all(ALARM)}
    assert {name: found for name, found in actions.items() if found} == {
        "alarm-status-check-system": ["arn:aws:automate:us-east-1:ec2:recover"],
        "alarm-status-check-instance": ["arn:aws:automate:us-east-1:ec2:reboot"],
    }


def test_the_dashboard_shows_every_alarm_and_the_queues(run: Run) -> None:
    cloud, _ = run()
    body = json.loads(cloud.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    states, *others = body["widgets"]
    assert len(states["properties"]["alarms"]) == len(cloud.all(ALARM))
    graphs = json.dumps(others)
    assert '"QueueName", "slipway-dev-jobs-dead"' in graphs
    assert f'"InstanceId", "{id_of(INSTANCE, "host")}"' in graphs
    assert "SOURCE '/slipway-dev/api'" in graphs


def test_alarms_and_metrics_are_in_the_bill(run: Run) -> None:
    cloud, outputs = run()
    bill = outputs["monthlyCostUsdByPart"]
    assert bill["alarms"] == pytest.approx(0.1 * len(cloud.all(ALARM)))
    assert bill["dashboard"] == 3
    assert bill["metrics"] > 1


def test_the_worker_alone_reaches_the_database_on_the_host(run: Run) -> None:
    cloud, _ = run("dev", HOSTED)
    open_ports = {(rule.inputs["fromPort"], rule.inputs.get("cidrIpv4", "the worker")) for rule in cloud.all(INGRESS)}
    assert open_ports == {(80, "0.0.0.0/0"), (5432, "the worker")}
    rules = cloud.all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert {rule.name for rule in rules} == {"host-to-https", "worker-to-https", "worker-to-postgres"}


def test_addresses_on_the_host_are_composed_and_kept_as_secrets(run: Run) -> None:
    cloud, _ = run("dev", HOSTED)
    parameters = {asked.inputs["name"]: asked.inputs for asked in cloud.all(PARAMETER)}
    composed = parameters["/slipway/dev/worker/database-url"]
    assert (composed["type"], composed["value"].keys() > {"value"}) == ("SecureString", True), "a secret in the state"
    assert composed["value"]["value"] == "postgresql://slipway:hush-hush%25hush@10.20.0.11:5432/slipway"
    task = cloud.one("aws:ecs/taskDefinition:TaskDefinition").inputs
    (container,) = json.loads(task["containerDefinitions"])
    reference = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/slipway/dev/worker/database-url"
    assert container["secrets"] == [{"name": "DATABASE_URL", "valueFrom": reference}]
    release = json.loads(cloud.one(PARAMETER, "release").inputs["insecureValue"])
    assert release["services"].keys() == PRODUCT.services.keys()
    assert release["services"]["redis"].startswith("public.ecr.aws/docker/library/redis@sha256:")
    assert release["secrets"].keys() == {"database-url", "database-password", "redis-url", "openai-api-key"}
    text = json.dumps([asked.inputs for asked in cloud.asked if asked.type != PARAMETER], default=str)
    assert "hush-hush" not in text


def test_a_preview_can_compare_what_databases_on_the_host_are_made_from(run: Run) -> None:
    cloud, _ = run("dev", HOSTED)
    kept = {asked.name: asked.inputs["madeFrom"] for asked in cloud.all("slipway:index:SingleService")}
    assert kept.keys() == {"postgres", "redis"}
    assert kept["postgres"]["memoryMib"] == 256
    assert kept["postgres"]["image"].startswith("public.ecr.aws/docker/library/postgres@sha256:")
    assert "hush" not in json.dumps(kept)
    assert not run("dev")[0].all("slipway:index:SingleService")


def test_a_domain_is_watched_for_its_certificate(run: Run) -> None:
    added = {asked.name for asked in run("dev", {"slipway:host": {"domain": "labs.example.com"}})[0].all(ALARM)}
    assert added - {asked.name for asked in run()[0].all(ALARM)} == {
        "alarm-certificate",
        "alarm-disk-data",
        "alarm-snapshot-failed",
        "alarm-snapshot-missing",
    }


def test_a_database_on_the_host_is_watched_for_its_backup(run: Run) -> None:
    added = {asked.name for asked in run("dev", HOSTED)[0].all(ALARM)}
    assert added - {asked.name for asked in run("dev")[0].all(ALARM)} == {
        "alarm-backup-old",
        "alarm-disk-data",
        "alarm-snapshot-failed",
        "alarm-snapshot-missing",
    }


ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:dlm/lifecyclePolicy:LifecyclePolicy"
VOLUME = "aws:ebs/volume:Volume"


def test_the_data_volume_is_snapshotted_after_the_dump_and_by_its_tag_alone(run: Run) -> None:
    cloud, _ = run("dev", {**HOSTED, "slipway:host": {"backups": {"hour": 23}, "snapshots": {"keep": 3}}})
    details = cloud.one(POLICY).inputs["policyDetails"]
    assert details["resourceTypes"] == ["VOLUME"]
    assert details["targetTags"].items() <= cloud.one(VOLUME).inputs["tags"].items()
    assert details["targetTags"] == {"Snapshots": "slipway-dev"}
    (schedule,) = details["schedules"]
    assert schedule["createRule"] == {"cronExpression": "cron(0 0 * * ? *)"}
    assert schedule["retainRule"] == {"count": 3}
    assert schedule["tagsToAdd"] == {
        "Name": "slipway-dev-data",
        "Snapshots": "slipway-dev",
        "Project": "slipway",
        "Stack": "dev",
    }


def test_the_role_of_snapshots_is_for_the_volumes_that_the_policy_finds(run: Run) -> None:
    cloud, _ = run("dev", HOSTED)
    role = cloud.one(ROLE, "snapshots-role").inputs
    assert cloud.one(POLICY).inputs["executionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{role['name']}"
    assert "dlm.amazonaws.com" in role["assumeRolePolicy"]
    assert (
        '"aws:ResourceTag/Snapshots":"slipway-dev"' in cloud.one(ROLE_POLICY, "snapshots-role-policy").inputs["policy"]
    )
    # Without its rights a policy that AWS made is in error from the first night on.
    assert "snapshots-role-policy" in cloud.kept["snapshots-policy"].after


def test_failed_snapshots_of_the_stacks_policy_are_watched(run: Run) -> None:
    cloud, _ = run("dev", HOSTED)
    alarm = cloud.one(ALARM, "alarm-snapshot-failed").inputs
    assert (alarm["namespace"], alarm["metricName"]) == ("AWS/EBS", "SnapshotsCreateFailed")
    assert alarm["dimensions"] == {"DLMPolicyId": id_of(POLICY, "snapshots-policy")}


def test_the_end_of_completed_snapshots_is_told_and_a_new_stack_is_not(run: Run) -> None:
    cloud, _ = run("dev", {**HOSTED, "slipway:alerts": {"email": "ops@example.com"}})
    alarm = cloud.one(ALARM, "alarm-snapshot-missing").inputs
    assert alarm["insufficientDataActions"] == alarm["alarmActions"]
    assert alarm["treatMissingData"] == "missing"
    assert "insufficientDataActions" not in cloud.one(ALARM, "alarm-snapshot-failed").inputs


def test_snapshots_are_in_the_bill(run: Run) -> None:
    assert run("dev", HOSTED)[1]["monthlyCostUsdByPart"]["snapshots"] == 1.3


NO_SNAPSHOTS: dict[str, dict[str, Any]] = {
    "no data on the host": {},
    "none are kept": {**HOSTED, "slipway:host": {"snapshots": {"keep": 0}}},
}


@pytest.mark.parametrize("why", NO_SNAPSHOTS)
def test_a_stack_without_snapshots_has_no_role_no_alarm_and_no_bill_for_them(run: Run, why: str) -> None:
    cloud, outputs = run("dev", NO_SNAPSHOTS[why])
    assert not [asked.name for asked in cloud.asked if "snapshot" in asked.name]
    assert outputs["monthlyCostUsdByPart"]["snapshots"] == 0


def test_certificates_alone_are_snapshotted_too(run: Run) -> None:
    assert run("dev", {"slipway:host": {"domain": "labs.example.com"}})[0].all(POLICY)


def test_a_data_volume_is_made_of_a_snapshot_and_the_preview_warns(run: Run) -> None:
    snapshot = "snap-0123456789abcdef0"
    cloud, _ = run("dev", {"slipway:host": {"dataSnapshot": snapshot}})
    assert cloud.one(VOLUME).inputs["snapshotId"] == snapshot
    assert [warning for warning in cloud.warnings if snapshot in warning]
    without, _ = run()
    assert "snapshotId" not in without.one(VOLUME).inputs
    assert not [warning for warning in without.warnings if "dataSnapshot" in warning]
