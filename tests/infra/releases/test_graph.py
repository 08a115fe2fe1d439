"""The graph of services, which the host's program is packed with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from infra import ROOT, host, product
from infra.lib.canonical_json import canonical_json
from infra.releases import host_document
from infra.releases.graph import Wiring, graph, references, stand_in
from infra.settings import Settings, SettingsError
from tests.infra.conftest import DIGESTS, HOSTED, PRODUCT, settings_of

WIRING = Wiring(
    "vol-0123456789abcdef0",
    "https://sqs/jobs",
    {"api": "arn:aws:iam::123456789012:role/slipway-dev-host-api"},
    repositories={image: f"registry/slipway/{image}" for image in ("api", "web")},
)
POSTGRES = f"postgres:17@sha256:{'5' * 64}"
Extended = Callable[..., Settings]


@pytest.fixture
def extended(tmp_path: Path) -> Extended:
    """Load a stack of a product with more services, which wait on a database from outside."""

    def load(services: dict[str, Any], postgres: str = POSTGRES, **values: Any) -> Settings:
        document = yaml.safe_load((ROOT / "product.yaml").read_text())
        document["upstream"]["postgres"] = postgres
        document["services"].update(services)
        file = tmp_path / "product.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return settings_of("dev", values, product.load(file))

    return load


def services(settings: Settings, wiring: Wiring = WIRING) -> dict[str, Any]:
    found: Any = graph(settings, wiring)["services"]
    return dict(found)


def test_the_stacks_names_and_limits_are_in_it() -> None:
    found = graph(settings_of("dev", {"slipway:host": {"httpPort": 8080, "release": {"readySeconds": 45}}}), WIRING)
    assert {key: value for key, value in found.items() if key != "services"} == {
        "schema": 1,
        "name": "slipway-dev",
        "region": "us-east-1",
        "document": "slipway-dev-host",
        "parameter": "/slipway/dev/release",
        "parameterPath": "/slipway/dev",
        "logGroup": "/slipway-dev/api",
        "hostAddress": "10.20.0.11",
        "httpPort": 8080,
        "memoryMib": 1510,
        "hostMemoryMib": 1960,
        "updates": {"day": "Sun", "hour": 3},
        "backups": {"hour": 2, "keep": 7},
        "seconds": {
            "agent": 600,
            "pull": 300,
            "once": 120,
            "ready": 45,
            "steady": 6,
            "watch": 5,
            "certificate": 90,
            "request": 65,
        },
        "tls": None,
        "dataVolume": {"id": "vol-0123456789abcdef0", "device": "/dev/sdf"},
    }


@pytest.mark.parametrize(
    ("given", "window"),
    [({"day": "Wed", "hour": 14}, {"day": "Wed", "hour": 14}), ({"enabled": False}, None)],
)
def test_the_window_of_updates_is_in_it_if_there_is_one(given: dict[str, Any], window: dict[str, Any] | None) -> None:
    assert graph(settings_of("dev", {"slipway:host": {"updates": given}}), WIRING)["updates"] == window


def test_a_domain_comes_with_its_acme_server() -> None:
    assert graph(settings_of("dev", {"slipway:host": {"domain": "labs.example.com"}}), WIRING)["tls"] == {
        "domain": "labs.example.com",
        "directory": "https://acme-v02.api.letsencrypt.org/directory",
        "root": None,
    }


def test_a_service_is_told_what_it_needs_and_no_more() -> None:
    assert services(settings_of("dev"))["api"] == {
        "image": "registry/slipway/api",
        "once": False,
        "edge": False,
        "port": 8000,
        "memoryMib": 224,
        "user": None,
        "ready": "/ready",
        "health": "/health",
        "route": "/api",
        "strip": True,
        "probes": [{"path": "/labs", "status": [401]}],
        "after": {"migrate": "completed"},
        "stateful": False,
        "published": False,
        "command": [],
        "check": [],
        "onStart": [],
        "tmpfs": [],
        "dump": [],
        "restore": [],
        "environment": {
            "SERVICE_TYPE": "api",
            "AWS_REGION": "us-east-1",
            "PORT": "8000",
            "OPENAI_MODEL": "gpt-4o-mini",
            "JOBS_QUEUE_URL": "https://sqs/jobs",
        },
        "secrets": {
            "DATABASE_URL": "database-url",
            "REDIS_URL": "redis-url",
            "OPENAI_API_KEY": "openai-api-key",
        },
        "role": "arn:aws:iam::123456789012:role/slipway-dev-host-api",
        "volume": None,
    }


def test_only_those_with_the_permission_know_the_queue_and_the_release() -> None:
    found = services(settings_of("dev"))
    assert {name for name, one in found.items() if "JOBS_QUEUE_URL" in one["environment"]} == {"api", "dashboard"}
    assert {name for name, one in found.items() if "VERIFIED_PARAMETER" in one["environment"]} == {"dashboard"}
    assert found["dashboard"]["environment"]["VERIFIED_PARAMETER"] == "/slipway/dev/verified"
    assert found["auth"]["role"] is None


def test_the_edge_is_told_its_settings_alone_and_is_ready_when_it_is_well() -> None:
    edge = services(settings_of("dev", {"slipway:trustedProxies": "10.20.0.0/16"}))["caddy"]
    assert (edge["edge"], edge["environment"]) == (True, {"PORT": "8080", "TRUSTED_PROXIES": "10.20.0.0/16"})
    assert edge["secrets"] == {}
    assert edge["ready"] == "/health"


def test_what_runs_once_is_never_ready_and_has_its_own_memory() -> None:
    migrate = services(settings_of("dev"))["migrate"]
    assert (migrate["once"], migrate["ready"], migrate["port"], migrate["memoryMib"]) == (True, None, None, 128)


def test_a_database_is_ready_when_it_accepts_connections(extended: Extended) -> None:
    settings = extended(
        {
            "search": {"external": "postgres", "user": 999, "port": 5433, "memory_mib": 64, "volume": "/var/lib/pg"},
            "migrate": {"image": "api", "once": True, "after": {"search": "healthy"}},
        }
    )
    search = services(settings)["search"]
    assert (search["ready"], search["volume"], search["user"], search["stateful"]) == (None, "/var/lib/pg", 999, True)
    assert search["environment"] == {}
    assert services(settings)["migrate"]["after"] == {"search": "healthy"}


def test_a_database_that_is_elsewhere_is_not_waited_for(extended: Extended) -> None:
    managed = services(settings_of("dev"))
    assert "postgres" not in managed
    assert managed["migrate"]["after"] == {}


def test_every_service_has_an_image_by_digest(extended: Extended) -> None:
    settings = extended({"search": {"external": "postgres", "port": 5433, "memory_mib": 64}})
    images = {image: f"registry/slipway/{image}@{digest}" for image, digest in DIGESTS.items()}
    assert references(settings, images) == {
        "migrate": images["api"],
        # Without its tag, as Docker lists what it pulled by digest.
        "search": POSTGRES.replace(":17@", "@"),
        "auth": images["api"],
        "api": images["api"],
        "dashboard": images["api"],
        "caddy": images["web"],
    }


def test_an_image_from_outside_without_a_digest_is_refused(extended: Extended) -> None:
    with pytest.raises(SettingsError) as refused:
        extended({"search": {"external": "postgres", "port": 5433, "memory_mib": 64}}, "postgres:17")
    assert refused.value.problems == (
        'slipway:images.parents.postgres is "postgres:17"; it must name a digest (@sha256: and 64 hex digits), since '
        "the host runs it.",
    )


def test_the_same_settings_are_the_same_graph() -> None:
    assert canonical_json(graph(settings_of("dev"), WIRING)) == canonical_json(graph(settings_of("dev"), WIRING))


def test_the_stand_in_for_wiring_is_as_long_as_what_aws_gives() -> None:
    wiring = stand_in(settings_of("dev"))
    assert wiring.queue_url == "https://sqs.us-east-1.amazonaws.com/000000000000/slipway-dev-jobs"
    assert wiring.roles == {
        name: f"arn:aws:iam::000000000000:role/slipway-dev-host-{name}" for name in ("api", "dashboard")
    }
    assert wiring.repositories == {
        image: f"000000000000.dkr.ecr.us-east-1.amazonaws.com/slipway/{image}" for image in ("api", "web")
    }


def test_each_service_has_the_repository_of_its_images_or_the_reference_from_outside(extended: Extended) -> None:
    found = services(extended({"search": {"external": "postgres", "port": 5433, "memory_mib": 64}}))
    assert {name: each["image"] for name, each in found.items()} == {
        "search": POSTGRES.replace(":17@", "@"),
        "caddy": "registry/slipway/web",
        **dict.fromkeys(("api", "auth", "dashboard", "migrate"), "registry/slipway/api"),
    }


def test_a_dump_is_made_and_restored_by_the_role_that_owns_the_data_and_not_by_the_superuser() -> None:
    postgres = services(settings_of("dev", HOSTED))["postgres"]
    hosted = PRODUCT.secrets["database-url"].hosted
    assert hosted is not None
    role = urlsplit(hosted.address).username
    for command in (postgres["dump"], postgres["restore"]):
        assert [word for word in command if word.startswith("--username=")] == [f"--username={role}"]
    # Those of a dump may be others, which this role must not give.
    assert {"--no-owner", "--no-privileges", "--single-transaction"} <= set(postgres["restore"])


def test_the_hosts_program_reads_the_graph() -> None:
    from infra.host.graph import parse

    found = parse(graph(settings_of("dev"), WIRING))
    assert found.edge is not None
    assert found.order[-1] == found.edge.name == "caddy"
    assert not [name for name, service in found.services.items() if service.stateful]


def test_the_names_of_roles_are_short_enough_for_iam() -> None:
    settings = settings_of("a23456789-123456789z")
    longest = settings.model_copy(update={"project": "b23456789-123456789z"})
    assert len(f"{longest.prefix}-host-{'s' * 17}") == 64


def test_the_document_has_room_for_this_product() -> None:
    assert host.__file__
    hosted = settings_of("dev", HOSTED)
    assert len(host_document.render(graph(hosted, stand_in(hosted)))) < 58 * 1024


def test_a_database_on_the_host_is_told_how_it_runs_and_the_worker_reaches_it() -> None:
    found = services(settings_of("dev", HOSTED))
    postgres = found["postgres"]
    assert postgres["command"] == ["postgres", "-c", "shared_buffers=64MB", "-c", "max_connections=60"]
    assert postgres["check"] == ["pg_isready", "--quiet", "--host=127.0.0.1"]
    assert postgres["secrets"] == {"POSTGRES_PASSWORD": "database-password"}
    assert (postgres["stateful"], postgres["published"], postgres["tmpfs"]) == (True, True, ["/var/run/postgresql"])
    assert (postgres["dump"][0], postgres["restore"][0]) == ("pg_dump", "pg_restore")
    assert [name for name, one in found.items() if one["dump"]] == ["postgres"]
    assert found["migrate"]["after"] == {"postgres": "healthy"}
    # Nobody but the host's own services reaches Redis.
    assert [name for name, one in found.items() if one["published"]] == ["postgres"]


def test_the_hosts_program_reads_the_graph_of_a_host_with_databases() -> None:
    from infra.host.graph import parse

    found = parse(graph(settings_of("dev", HOSTED), WIRING))
    assert [name for name, service in found.services.items() if service.stateful] == ["postgres", "redis"]
    assert found.order.index("postgres") < found.order.index("migrate") < found.order.index("api")
