"""What a stack may set, and the sentence that it gets for what it may not."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra import ROOT
from infra.host.deploy import EDGE_GRACE_SECONDS
from infra.lib.aws_limits import FARGATE_MEMORY_MIB
from infra.settings import Settings, SettingsError, load, load_file, models
from infra.settings import reference as module

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
PASSWORD = "hunter2-do-not-show"
SECRETS = {
    "slipway:databaseUrl": f"postgresql://lab:{PASSWORD}@db.internal:5432/lab",
    "slipway:redisUrl": f"redis://:{PASSWORD}@redis.internal:6379/0",
    "slipway:openaiApiKey": f"sk-{PASSWORD}",
}


def raw(value: object) -> str:
    """A value as the engine hands it over: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def settings(changes: Mapping[str, object] | None = None, stack: str = "dev", root: Path = ROOT) -> Settings:
    values = SECRETS | {f"slipway:{key}": raw(value) for key, value in (changes or {}).items()}
    return load("slipway", stack, values, root)


def problems(changes: Mapping[str, object], **more: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        settings(changes, **more)
    return caught.value.problems


def test_a_stack_that_sets_only_its_secrets_gets_defaults_that_work() -> None:
    found = settings()
    assert (found.region, found.host.instance_type) == ("us-east-1", "t2.small")
    assert (found.worker.cpu, found.worker.memory_mib, found.worker.desired_tasks) == (512, 3072, 1)
    assert found.images.builds
    assert found.images.models[0].reference == "dmis-lab/biobert-base-cased-v1.2"


def test_names_begin_with_project_and_stack() -> None:
    assert settings(stack="staging").prefix == "slipway-staging"


def test_a_stack_owns_its_repositories_unless_it_names_another() -> None:
    assert settings().owns_registry
    assert settings().registry.namespace == "slipway"
    assert not settings({"registry": {"owner": "dev"}}, stack="prod").owns_registry


def test_a_group_that_sets_one_thing_keeps_the_other_defaults() -> None:
    found = settings({"worker": {"memoryMib": 4096}, "images": {"sizeBudgetMb": {"api": 250}}})
    assert (found.worker.cpu, found.worker.memory_mib) == (512, 4096)
    assert found.images.size_budget_mb == {"base": 1300, "worker": 600, "api": 250, "web": 80}


def test_keys_of_other_namespaces_are_left_alone() -> None:
    assert load("slipway", "dev", SECRETS | {"aws:region": "nowhere", "awsx:worker": "{"}).region == "us-east-1"


def test_settings_cannot_be_changed_once_loaded() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings().worker.cpu = 1024


def test_a_worker_may_carry_several_models_the_first_of_which_it_uses() -> None:
    found = settings({"images": {"models": [WHEEL, RANDOM, HUB | {"name": "third", "export": "float32"}]}})
    assert [model.name for model in found.images.models] == ["m", "random-bert", "third"]
    assert [model.export for model in found.images.models] == ["int8", "int8", "float32"]


def test_a_release_is_waited_for_as_long_as_two_may_take() -> None:
    stop = settings().product.longest_request_seconds + EDGE_GRACE_SECONDS
    proof_and_drain = 90 + 6 + 5 + 90 + 2 * stop
    assert settings().release_seconds == 2 * (300 + 120 + 4 * 90 + proof_and_drain)
    given = {"slipway:databasePassword": PASSWORD, "slipway:openaiApiKey": f"sk-{PASSWORD}"}
    hosted = load("slipway", "dev", given, ROOT)
    assert hosted.release_seconds == 2 * (300 + 120 + 6 * 90 + 2 * stop + proof_and_drain)
    assert settings({"host": {"release": {"readySeconds": 100}}}).release_seconds == settings().release_seconds + 100


def test_the_wait_for_a_release_counts_the_hosts_time_to_stop_a_container() -> None:
    assert models.EDGE_GRACE_SECONDS == EDGE_GRACE_SECONDS


@pytest.mark.parametrize(("zones", "expected"), [(2, 2), (3, 3)])
def test_each_zone_gets_a_quarter_of_the_network(zones: int, expected: int) -> None:
    quarters = ("10.1.0.0/26", "10.1.0.64/26", "10.1.0.128/26")
    found = settings({"network": {"cidr": "10.1.0.0/24", "zones": zones}})
    assert found.network.subnet_cidrs == quarters[:expected]


HEX = "0123456789abcdef" * 4
HUB = {"name": "m", "source": "hub", "reference": "owner/m", "revision": HEX[:40]}
WHEEL = {"name": "m", "source": "wheel", "reference": "some-model", "revision": "1.0", "sha256": HEX}
RANDOM = {"name": "random-bert", "source": "random", "reference": "bert-base", "revision": "7"}

# What is set, and three parts of the one sentence that must come of it: key, value, remedy.
BAD: dict[str, tuple[dict[str, object], str, str, str]] = {
    "text for a number": ({"worker": {"cpu": "512"}}, "slipway:worker.cpu", '"512"', "256, 512"),
    "a number with letters": (
        {"host": {"rootVolumeGib": "12abc"}},
        "slipway:host.rootVolumeGib",
        '"12abc"',
        "8 to",
    ),
    "more snapshots than a year has nights": (
        {"host": {"snapshots": {"keep": 366}}},
        "slipway:host.snapshots.keep",
        "366",
        "0 to 365",
    ),
    "a volume for a snapshot": (
        {"host": {"dataSnapshot": "vol-0123456789abcdef0"}},
        "slipway:host.dataSnapshot",
        "vol-0123456789abcdef0",
        "such as snap-0123456789abcdef0",
    ),
    "a fraction": ({"worker": {"memoryMib": 3072.5}}, "slipway:worker.memoryMib", "3072.5", "3072 for a cpu"),
    "a whole float": ({"jobs": {"retentionDays": 4.0}}, "slipway:jobs.retentionDays", "4.0", "1 to 13"),
    "a stack that is named twice": (
        {"registry": {"promotedTo": ["prod", "prod"]}},
        "slipway:registry.promotedTo",
        "prod",
        "each stack once",
    ),
    "a number for a truth": ({"registry": {"protect": 1}}, "slipway:registry.protect", "1", "true or false"),
    "text for a truth": (
        {"registry": {"protect": "true"}},
        "slipway:registry.protect",
        '"true"',
        "true or false",
    ),
    "a truth for a number": ({"network": {"zones": True}}, "slipway:network.zones", "true", "2 to 3"),
    "text for a group": ({"worker": "512"}, "slipway:worker", "512", "cpu, memoryMib"),
    "a list for a group": ({"host": ["t2.small"]}, "slipway:host", "t2.small", "instanceType"),
    "an empty group": ({"logs": None}, "slipway:logs", "is empty", "retentionDays"),
    "broken JSON": (
        {"jobs": '{"retentionDays": '},
        "slipway:jobs",
        "retentionDays",
        "visibilityTimeoutSeconds",
    ),
    "text for a list": (
        {"network": {"ingressCidrs": "0.0.0.0/0"}},
        "slipway:network.ingressCidrs",
        '"0.0.0.0/0"',
        "a list of",
    ),
    "nothing for a number": ({"worker": {"cpu": None}}, "slipway:worker.cpu", "not set", "one of 256"),
    "NaN": ({"worker": {"desiredTasks": float("nan")}}, "slipway:worker.desiredTasks", "NaN", "0 to 3"),
    "infinity": (
        {"budget": {"monthlyUsd": float("inf")}},
        "slipway:budget.monthlyUsd",
        "Infinity",
        "1 to 100000",
    ),
    "unknown key": (
        {"wroker": {"cpu": 512}},
        "slipway:wroker",
        '{"cpu": 512}',
        "did you mean slipway:worker?",
    ),
    "unknown key in a group": (
        {"worker": {"memroyMib": 3072}},
        "slipway:worker.memroyMib",
        "3072",
        "did you mean slipway:worker.memoryMib?",
    ),
    "Python's spelling": (
        {"worker": {"memory_mib": 3072}},
        "slipway:worker.memory_mib",
        "3072",
        "did you mean slipway:worker.memoryMib?",
    ),
    "unknown key like no other": ({"logs": {"xyz": 1}}, "slipway:logs.xyz", "1", "there are retentionDays"),
    "unknown image": (
        {"images": {"sizeBudgetMb": {"appi": 300}}},
        "slipway:images.sizeBudgetMb.appi",
        "300",
        "did you mean slipway:images.sizeBudgetMb.api?",
    ),
    "the project as a setting": ({"project": "other"}, "slipway:project", '"other"', "there are region"),
    "illegal cpu": ({"worker": {"cpu": 500}}, "slipway:worker.cpu", "500", "256, 512, 1024"),
    "illegal pair": (
        {"worker": {"cpu": 512, "memoryMib": 8192}},
        "slipway:worker.memoryMib",
        "8192",
        "one of 1024, 2048, 3072, 4096 for a cpu of 512",
    ),
    "illegal pair, long list": (
        {"worker": {"cpu": 1024, "memoryMib": 1024}},
        "slipway:worker.memoryMib",
        "1024",
        "2048 to 8192 in steps of 1024 for a cpu of 1024",
    ),
    "negative": ({"worker": {"memoryMib": -3072}}, "slipway:worker.memoryMib", "-3072", "for a cpu of 512"),
    "negative count": ({"registry": {"keepImages": -1}}, "slipway:registry.keepImages", "-1", "1 to 1000"),
    "a release that waits for ever": (
        {"host": {"release": {"readySeconds": 601}}},
        "slipway:host.release.readySeconds",
        "601",
        "10 to 600",
    ),
    "a name in place of a machine image": (
        {"host": {"image": "al2023"}},
        "slipway:host.image",
        '"al2023"',
        "an image's id, such as ami-12345678",
    ),
    "huge": ({"host": {"dataVolumeGib": 10**30}}, "slipway:host.dataVolumeGib", str(10**30), "1 to 1000"),
    "more tasks than scaling allows": ({"worker": {"desiredTasks": 4}}, "slipway:worker.desiredTasks", "4", "0 to 3"),
    "bad CIDR": ({"network": {"cidr": "10.0.0.0"}}, "slipway:network.cidr", '"10.0.0.0"', "10.20.0.0/16"),
    "CIDR out of range": (
        {"network": {"cidr": "10.0.0.300/16"}},
        "slipway:network.cidr",
        "10.0.0.300",
        "10.20.0.0",
    ),
    "CIDR with host bits": (
        {"network": {"cidr": "10.0.5.1/16"}},
        "slipway:network.cidr",
        '"10.0.5.1/16"',
        "the network itself, 10.0.0.0/16",
    ),
    "public CIDR": ({"network": {"cidr": "8.8.0.0/16"}}, "slipway:network.cidr", '"8.8.0.0/16"', "private"),
    "too small a CIDR": ({"network": {"cidr": "10.0.0.0/28"}}, "slipway:network.cidr", "/28", "/16 to /24"),
    "too large a CIDR": ({"network": {"cidr": "10.0.0.0/8"}}, "slipway:network.cidr", "/8", "/16 to /24"),
    "bad CIDR in a list": (
        {"network": {"ingressCidrs": ["1.2.3.0/24", "office"]}},
        "slipway:network.ingressCidrs[1]",
        '"office"',
        "203.0.113.0/24",
    ),
    "the only CIDR is bad": (
        {"network": {"ingressCidrs": [7]}},
        "slipway:network.ingressCidrs[0]",
        "7",
        "203.0.113.0/24",
    ),
    "a CIDR twice": (
        {"network": {"ingressCidrs": ["1.2.3.0/24", "1.2.3.0/24"]}},
        "slipway:network.ingressCidrs",
        "1.2.3.0/24",
        "each network once",
    ),
    "nobody may come in": (
        {"network": {"ingressCidrs": []}},
        "slipway:network.ingressCidrs",
        "[]",
        "1 to 20",
    ),
    "unknown instance type": (
        {"host": {"instanceType": "t2.smal"}},
        "slipway:host.instanceType",
        "t2.smal",
        "t2.small",
    ),
    "a domain without a dot": ({"host": {"domain": "labs"}}, "slipway:host.domain", '"labs"', "labs.example.com"),
    "an address for a domain": ({"host": {"domain": "203.0.113.7"}}, "slipway:host.domain", "203", "labs.example.com"),
    "a URL for a domain": (
        {"host": {"domain": "https://labs.example.com"}},
        "slipway:host.domain",
        "https://labs",
        "a domain's full name in lower case",
    ),
    "another port with a domain": (
        {"host": {"domain": "labs.example.com", "httpPort": 8080}},
        "slipway:host.httpPort",
        "8080",
        "80 with a domain",
    ),
    "a domain that the ACME server may not reach": (
        {"host": {"domain": "labs.example.com"}, "network": {"ingressCidrs": ["203.0.113.0/24"]}},
        "slipway:network.ingressCidrs",
        "203.0.113.0/24",
        '["0.0.0.0/0"] with host.domain, since',
    ),
    "an ACME server without TLS": (
        {"host": {"acmeDirectory": "http://ca.example.com/dir"}},
        "slipway:host.acmeDirectory",
        "http://ca.example.com/dir",
        "the https address of an ACME server's directory",
    ),
    "an ACME server without a name": (
        {"host": {"acmeDirectory": "https://../dir"}},
        "slipway:host.acmeDirectory",
        "https://../dir",
        "the https address of an ACME server's directory",
    ),
    "an ACME server with a bad port": (
        {"host": {"acmeDirectory": "https://ca.example.com:70000/dir"}},
        "slipway:host.acmeDirectory",
        "70000",
        "the https address of an ACME server's directory",
    ),
    "no certificate": (
        {"host": {"acmeRoot": "ca.pem"}},
        "slipway:host.acmeRoot",
        '"ca.pem"',
        "one certificate in PEM",
    ),
    "a chain of certificates": (
        {"host": {"acmeRoot": CERTIFICATE * 2}},
        "slipway:host.acmeRoot",
        "BEGIN CERTIFICATE",
        "one certificate in PEM",
    ),
    "Arm instance type": (
        {"host": {"instanceType": "m7g.xlarge"}},
        "slipway:host.instanceType",
        "m7g",
        "t2.small, t2.medium",
    ),
    "unknown region": ({"region": "us-eats-1"}, "slipway:region", '"us-eats-1"', "us-east-1"),
    "empty text": ({"region": ""}, "slipway:region", '""', "an AWS region"),
    "blank text": ({"openaiModel": " "}, "slipway:openaiModel", '" "', "gpt-4o-mini"),
    "an account of 11 digits": (
        {"accountId": "12345678901"},
        "slipway:accountId",
        '"12345678901"',
        "12 digits",
    ),
    "an account in Arabic digits": ({"accountId": "١٢٣٤٥٦٧٨٩٠١٢"}, "slipway:accountId", "١٢٣", "12 digits"),
    "empty name": ({"registry": {"namespace": ""}}, "slipway:registry.namespace", '""', "2 to 200"),
    "unicode name": (
        {"registry": {"namespace": "prodüct"}},
        "slipway:registry.namespace",
        "prodüct",
        "2 to 200",
    ),
    "two hyphens in a name": (
        {"registry": {"namespace": "a--b"}},
        "slipway:registry.namespace",
        '"a--b"',
        "2 to 200",
    ),
    "capital letters": ({"registry": {"owner": "Dev"}}, "slipway:registry.owner", '"Dev"', "lower-case"),
    "control character": ({"images": {"builder": "a\x1b[2J"}}, "slipway:images.builder", r"\u001b", "buildx"),
    "end of line": ({"images": {"builder": "slipway\n"}}, "slipway:images.builder", r"slipway\n", "buildx"),
    "long text": ({"openaiModel": "x" * 9999}, "slipway:openaiModel", "(10,001 characters)", "gpt-4o-mini"),
    "address with a scheme": (
        {"registry": {"address": "https://r.io"}},
        "slipway:registry.address",
        "https://r.io",
        "host",
    ),
    "address with a bad port": (
        {"registry": {"address": "r.io:70000"}},
        "slipway:registry.address",
        "70000",
        "65535",
    ),
    "deleted though protected": (
        {"registry": {"forceDelete": True}},
        "slipway:registry.forceDelete",
        "true",
        "false while protect is true",
    ),
    "unknown source of images": (
        {"images": {"source": "biuld"}},
        "slipway:images.source",
        '"biuld"',
        '"build"',
    ),
    "a release file elsewhere": (
        {"images": {"source": "../prod.json"}},
        "slipway:images.source",
        '"../prod.json"',
        "releases/prod.json",
    ),
    "another platform": (
        {"images": {"platform": "linux/arm64"}},
        "slipway:images.platform",
        "linux/arm64",
        "linux/amd64",
    ),
    "gzip's level": (
        {"images": {"compression": "gzip", "compressionLevel": 12}},
        "slipway:images.compressionLevel",
        "12",
        "1 to 9 for gzip",
    ),
    "a parent without a tag": (
        {"images": {"parents": {"python": "python"}}},
        "slipway:images.parents.python",
        '"python"',
        "python:3.11-slim",
    ),
    "half a digest": (
        {"images": {"parents": {"python": "python@sha256:abc"}}},
        "slipway:images.parents.python",
        "@sha256:abc",
        "64 hex digits",
    ),
    "unknown parent": (
        {"images": {"parents": {"pyhton": "python:3.11-slim"}}},
        "slipway:images.parents.pyhton",
        "python:3.11-slim",
        "did you mean slipway:images.parents.python?",
    ),
    "a budget of nothing": (
        {"images": {"sizeBudgetMb": {"api": 0}}},
        "slipway:images.sizeBudgetMb.api",
        "0",
        "1 to 20000",
    ),
    "an index without an address": (
        {"images": {"torch": {"source": "cpu-index"}}},
        "slipway:images.torch.indexUrl",
        "not set",
        "CPU index",
    ),
    "wheels without a folder": (
        {"images": {"torch": {"source": "wheels"}}},
        "slipway:images.torch.wheels",
        "not set",
        "../wheels",
    ),
    "wheels that are not there": (
        {"images": {"torch": {"source": "wheels", "wheels": "no-such-folder"}}},
        "slipway:images.torch.wheels",
        '"no-such-folder"',
        "a folder with a wheel of torch",
    ),
    "a fallback for nothing": (
        {"images": {"torch": {"source": "pypi", "fallback": "pypi"}}},
        "slipway:images.torch.fallback",
        '"pypi"',
        "left out",
    ),
    "a model at a branch": (
        {"images": {"models": [HUB | {"revision": "main"}]}},
        "slipway:images.models[0].revision",
        '"main"',
        "40 hex digits",
    ),
    "a model without a name": (
        {"images": {"models": [{key: HUB[key] for key in ("source", "reference", "revision")}]}},
        "slipway:images.models[0].name",
        "not set",
        "1 to 80",
    ),
    "a wheel without its hash": (
        {"images": {"models": [WHEEL | {"sha256": ""}]}},
        "slipway:images.models[0].sha256",
        '""',
        "64 hex digits",
    ),
    "two models of one name": (
        {"images": {"models": [HUB, WHEEL]}},
        "slipway:images.models",
        "owner/m",
        "a list of 1 to 4 models with different names",
    ),
    "five models": (
        {"images": {"models": [HUB | {"name": f"m{number}"} for number in range(5)]}},
        "slipway:images.models",
        "owner/m",
        "a list of 1 to 4 models",
    ),
    "no model": ({"images": {"models": []}}, "slipway:images.models", "[]", "a list of 1 to 4 models"),
    "random weights that are called a model": (
        {"images": {"models": [RANDOM | {"name": "bert"}]}},
        "slipway:images.models[0].name",
        '"bert"',
        'a name with "random" in it',
    ),
    "random weights in no known shape": (
        {"images": {"models": [RANDOM | {"reference": "gpt"}]}},
        "slipway:images.models[0].reference",
        '"gpt"',
        "bert-base, bert-tiny",
    ),
    "random weights without a seed": (
        {"images": {"models": [RANDOM | {"revision": "main"}]}},
        "slipway:images.models[0].revision",
        '"main"',
        "the seed, 1 to 9 digits",
    ),
    "a checksum of random weights": (
        {"images": {"models": [RANDOM | {"sha256": HEX}]}},
        "slipway:images.models[0].sha256",
        HEX[:8],
        "left out",
    ),
    "an export that there is not": (
        {"images": {"models": [HUB | {"export": "int4"}]}},
        "slipway:images.models[0].export",
        '"int4"',
        "int8",
    ),
    "a model's folder that is not there": (
        {"images": {"models": [{"name": "m", "source": "folder", "reference": "no-such-folder"}]}},
        "slipway:images.models[0].reference",
        '"no-such-folder"',
        "a folder with a model",
    ),
    "a bad secret's name": (
        {"images": {"buildSecrets": {"HF Token": "HF_TOKEN"}}},
        "slipway:images.buildSecrets.HF Token",
        '"HF Token"',
        "hf_token",
    ),
    "log retention that is not sold": (
        {"logs": {"retentionDays": 29}},
        "slipway:logs.retentionDays",
        "29",
        "30",
    ),
    "text for a retention": (
        {"logs": {"retentionDays": "30"}},
        "slipway:logs.retentionDays",
        '"30"',
        "1, 3, 5",
    ),
    "half an e-mail address": (
        {"budget": {"email": "team@"}},
        "slipway:budget.email",
        '"team@"',
        "team@example.com",
    ),
    "too short a timeout": (
        {"jobs": {"visibilityTimeoutSeconds": 1}},
        "slipway:jobs.visibilityTimeoutSeconds",
        "1",
        "30 to 43200",
    ),
    "time before files can have it": (
        {"images": {"sourceDateEpoch": 0}},
        "slipway:images.sourceDateEpoch",
        "0",
        "315532800",
    ),
    "a version that is a branch": (
        {"images": {"baseVersion": "latest"}},
        "slipway:images.baseVersion",
        '"latest"',
        "such as 1.2.0",
    ),
    "a version that is a number": ({"images": {"baseVersion": 1.2}}, "slipway:images.baseVersion", "1.2", "1.2.0"),
    "a version of what is not built": (
        {"images": {"source": "releases/prod.json", "baseVersion": "1.2.0"}},
        "slipway:images.baseVersion",
        '"1.2.0"',
        "left out, since images.source is releases/prod.json",
    ),
    "a version in a registry that is not ECR's": (
        {"images": {"baseVersion": "1.2.0"}, "registry": {"address": "registry.example.com"}},
        "slipway:images.baseVersion",
        '"1.2.0"',
        "left out while registry.address",
    ),
}


@pytest.mark.parametrize(("changes", "key", "value", "remedy"), BAD.values(), ids=BAD.keys())
def test_a_bad_setting_gets_one_sentence_with_key_value_and_remedy(
    changes: dict[str, object], key: str, value: str, remedy: str
) -> None:
    (sentence,) = problems(changes)
    subject, _, rest = sentence.partition(f"{key} ")
    assert not subject, f"the sentence must begin with the key: {sentence}"
    assert value in rest
    assert remedy in rest
    assert "\n" not in sentence
    assert sentence.isprintable()
    assert sentence.endswith((".", "?"))


BAD_SECRETS = {
    "databaseUrl": [
        f"mysql://lab:{PASSWORD}@db/lab",
        f"postgresql://lab:{PASSWORD}@db",
        f"postgresql://lab:{PASSWORD}@db:port/lab",
        f"postgresql://lab:{PASSWORD}@db:99999/lab",
        f"postgresql://lab:{PASSWORD}@[db/lab",
        f"postgresql://{PASSWORD}",
        f"postgresql://lab:{PASSWORD}@db/lab\n",
        f"postgresql://lab:{PASSWORD}@db/läb",
        f"postgresql://lab:{PASSWORD}@db/" + "x" * 3000,
        f"postgresql://lab:{PASSWORD}{{{{x}}}}@db/lab",
    ],
    "redisUrl": [f"http://:{PASSWORD}@redis:6379", f"redis://{PASSWORD}:x:y", f"{PASSWORD}"],
    "openaiApiKey": [f"sk {PASSWORD}", PASSWORD[:7], f"{PASSWORD}\t"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, bad in BAD_SECRETS.items() for value in bad])
def test_a_bad_secret_is_refused_and_never_shown(key: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings({key: value})
    (sentence,) = caught.value.problems
    assert sentence.startswith(f"slipway:{key} (a secret, not shown) is not right; it must be ")
    assert PASSWORD[:7] not in sentence
    # Nor does what Python prints of an error's causes.
    assert caught.value.__context__ is None


def test_an_empty_secret_is_said_to_be_empty() -> None:
    (sentence,) = problems({"redisUrl": ""})
    assert sentence.startswith("slipway:redisUrl is empty; it must be ")


@pytest.mark.parametrize("key", ["slipway:openaiApiKey"])
def test_a_missing_secret_is_named_with_the_command_that_sets_it(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load("slipway", "dev", {name: value for name, value in SECRETS.items() if name != key})
    (sentence,) = caught.value.problems
    assert sentence.startswith(f"{key} is not set; ")
    assert f"`pulumi config set --secret {key} --stack dev`" in sentence


def test_every_problem_is_told_at_once() -> None:
    told = problems({"region": "mars", "worker": {"cpu": 1}, "logs": {"retentionDays": 0}, "nonsense": "x"})
    keys = {"slipway:region", "slipway:worker.cpu", "slipway:logs.retentionDays", "slipway:nonsense"}
    assert {sentence.split(" ")[0] for sentence in told} == keys


@pytest.mark.parametrize("name", ["openaiKey", "databaseURL", "apiToken", "redisPassword"])
def test_the_value_under_an_unknown_key_that_may_be_a_secret_is_not_shown(name: str) -> None:
    (sentence,) = problems({name: PASSWORD})
    assert sentence.startswith(f"slipway:{name} (not shown: it may be a secret), but there is no such setting")
    assert PASSWORD not in sentence


def test_what_the_engine_calls_a_secret_is_not_shown_wherever_it_stands() -> None:
    values = SECRETS | {
        "slipway:budget": json.dumps({"email": PASSWORD}),
        "slipway:jobs": PASSWORD,
        "slipway:nonsense": PASSWORD,
    }
    with pytest.raises(SettingsError) as caught:
        load("slipway", "dev", values, ROOT, {"slipway:budget", "slipway:jobs", "slipway:nonsense"})
    assert len(caught.value.problems) == 3
    assert PASSWORD not in str(caught.value)


def test_a_token_given_in_place_of_its_variables_name_is_not_shown() -> None:
    (sentence,) = problems({"images": {"buildSecrets": {"hf_token": f"hf_{PASSWORD}"}}})
    assert sentence.startswith("slipway:images.buildSecrets.hf_token (a secret, not shown)")
    assert "HF_TOKEN" in sentence
    assert PASSWORD not in sentence


def test_the_password_in_an_address_is_not_shown() -> None:
    torch = {"source": "cpu-index", "indexUrl": f"https://user:{PASSWORD}@wheels.example/cpu"}
    (sentence,) = problems({"images": {"torch": torch}})
    assert "https://...@wheels.example/cpu" in sentence
    assert PASSWORD not in sentence


def test_secrets_do_not_show_in_a_repr() -> None:
    assert PASSWORD not in repr(settings())
    assert PASSWORD not in str(settings())
    assert settings().secret("database-url") == SECRETS["slipway:databaseUrl"]


@pytest.mark.parametrize("stack", ["", "Prod", "a" * 21, "prod_eu", "1st", "prod-", "prod eu", "pröd"])
def test_a_stack_whose_name_cannot_be_part_of_other_names_is_refused(stack: str) -> None:
    (sentence,) = problems({}, stack=stack)
    assert sentence.startswith("The stack's name is ")


@pytest.mark.parametrize("project", ["aws-labs", "ssm", "sg", "sg-labs"])
def test_a_project_with_a_name_that_aws_keeps_for_itself_is_refused(project: str) -> None:
    secrets = {key.replace("slipway", project): value for key, value in SECRETS.items()}
    with pytest.raises(SettingsError, match=r"The project's name is .* not beginning with aws, ssm or sg-"):
        load(project, "dev", secrets)


@pytest.mark.parametrize(("cpu", "memory_mib"), [(cpu, sizes[-1]) for cpu, sizes in FARGATE_MEMORY_MIB.items()])
def test_every_cpu_of_fargate_is_legal_with_its_largest_memory(cpu: int, memory_mib: int) -> None:
    assert settings({"worker": {"cpu": cpu, "memoryMib": memory_mib}}).worker.memory_mib == memory_mib


@pytest.mark.parametrize(
    "reference",
    [
        "python:3.11-slim",
        f"python:3.11-slim@sha256:{HEX}",
        f"python@sha256:{HEX}",
        "public.ecr.aws/docker/library/python:3.11-slim",
        "127.0.0.1:5000/library/python:3.11-slim",
    ],
)
def test_a_parent_may_have_a_tag_a_digest_or_both(reference: str) -> None:
    assert settings({"images": {"parents": {"python": reference}}}).images.parents["python"] == reference


def test_torch_comes_from_the_fallback_only_where_the_folder_has_no_wheel(tmp_path: Path) -> None:
    torch = {"source": "wheels", "wheels": "../wheels", "fallback": "pypi"}
    root = tmp_path / "checkout"
    root.mkdir()
    found = settings({"images": {"torch": torch}}, root=root).images.torch
    assert found.source_in(root) == "pypi"
    assert found.wheel_files(root) == ()

    wheel = tmp_path / "wheels" / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl"
    wheel.parent.mkdir()
    wheel.touch()
    assert found.source_in(root) == "wheels"
    assert [path.name for path in found.wheel_files(root)] == [wheel.name]


def test_a_stack_that_builds_nothing_needs_no_wheels(tmp_path: Path) -> None:
    images = {"source": "releases/prod.json", "torch": {"source": "wheels", "wheels": "none"}}
    assert not settings({"images": images}, root=tmp_path).images.builds


def test_a_stack_that_pins_its_base_needs_no_wheels(tmp_path: Path) -> None:
    images = {"baseVersion": "1.2.0", "torch": {"source": "wheels", "wheels": "none"}}
    assert settings({"images": images}, root=tmp_path).images.base_version == "1.2.0"


def test_the_local_stack_is_held_to_the_emulators_account() -> None:
    found = load_file(ROOT / "Pulumi.local.yaml", "local")
    assert found.account_id == "123456789012"
    assert (found.registry.namespace, found.registry.protect) == ("slipway-local", False)
    assert found.images.compression == "gzip"


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_committed_stack_lacks_nothing_but_its_secrets(stack: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_file(ROOT / f"Pulumi.{stack}.yaml", stack)
    missing = {sentence.split(" ")[0] for sentence in caught.value.problems}
    assert missing == {"slipway:openaiApiKey"}


def test_dev_builds_from_a_parent_by_digest_and_prod_builds_nothing(tmp_path: Path) -> None:
    found = {}
    for stack in ("dev", "prod"):
        # As it is once a user has set the secrets, which the engine encrypts.
        file = tmp_path / f"Pulumi.{stack}.yaml"
        encrypted = "".join(f"  {key}: {{secure: AAABAJ}}\n" for key in SECRETS)
        file.write_text((ROOT / file.name).read_text() + encrypted)
        found[stack] = load_file(file, stack)
    assert "@sha256:" in found["dev"].images.parents["python"]
    assert found["dev"].owns_registry
    assert found["prod"].images.source == "releases/prod.json"
    assert found["prod"].registry.owner == "dev"


def test_the_page_of_settings_has_a_line_for_each_and_names_its_unit() -> None:
    page = module.document()
    assert "| `slipway:worker.memoryMib` | Memory of a task, in MiB. |" in page
    assert "| `slipway:images.models[].revision` |" in page
    (key,) = (line for line in page.splitlines() if "`slipway:openaiApiKey`" in line)
    assert key.endswith("| an API key of 8 or more characters | **required** |")


def test_settings_are_checked_without_the_engine() -> None:
    code = "import sys, infra.settings; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("port", [22, 5432, 6379])
def test_a_port_that_something_else_listens_on_is_not_the_apis(port: int) -> None:
    (sentence,) = problems({"host": {"httpPort": port}})
    assert sentence.startswith(f"slipway:host.httpPort is {port}; it must be a port that is not ")


def test_a_private_acme_server_may_be_in_the_networks_that_come_in() -> None:
    acme = {"domain": "labs.example.com", "acmeDirectory": "https://ca.internal:14000/dir", "acmeRoot": CERTIFICATE}
    found = settings({"host": acme, "network": {"ingressCidrs": ["10.0.0.0/8"]}})
    assert (found.host.domain, found.host.acme_root) == ("labs.example.com", CERTIFICATE)


def test_a_build_secret_whose_variable_is_not_set_is_refused_with_both_names() -> None:
    found = settings({"images": {"buildSecrets": {"hf_token": "HF_TOKEN"}}})
    with pytest.raises(SettingsError, match=r"slipway:images\.buildSecrets\.hf_token names .* HF_TOKEN, which is not"):
        found.build_secrets({})
    assert found.build_secrets({"HF_TOKEN": "a-token"}) == {"hf_token": "a-token"}
