"""Which containers keep running, which start, and whether their memory suffices."""

from __future__ import annotations

import pytest

from infra.host import plan
from infra.host.generation import Generation
from infra.host.graph import parse
from infra.host.outcome import HostError
from infra.host.release import parse as parse_release
from tests.infra.host.fake import SERVICES, graph_json, image, release_text, service

GRAPH = parse(graph_json())


def generation(text: str) -> Generation:
    """Return what serves a release."""
    made = plan.plan(GRAPH, parse_release(text), None, [])
    return made.generation(GRAPH, "/programs/1.pyz", 1.0)


def test_the_first_release_starts_everything_in_order_and_the_edge_last() -> None:
    made = plan.plan(GRAPH, parse_release(release_text(1)), None, [])
    assert list(made.start) == ["migrate", "api", "dashboard", "web"]
    assert made.once == ("migrate",)
    assert made.start["api"].image == image("api", 1)
    assert len({placed.address for placed in made.start.values()}) == 4


def test_an_unchanged_service_keeps_running() -> None:
    current = generation(release_text(1))
    made = plan.plan(GRAPH, parse_release(release_text(1, api=2)), current, current.containers)
    assert dict(made.keep) == {"dashboard": current.services["dashboard"]}
    assert list(made.start) == ["api", "web"]


def test_an_unchanged_service_that_does_not_run_starts_again() -> None:
    current = generation(release_text(1))
    running = [name for name in current.containers if not name.endswith("-dashboard")]
    made = plan.plan(GRAPH, parse_release(release_text(1, api=2)), current, running)
    assert list(made.start) == ["api", "dashboard", "web"]


@pytest.mark.parametrize(
    "changes", [{"memoryMib": 120}, {"environment": {"A": "b"}}, {"user": 7}, {"role": "arn"}, {"secrets": {}}]
)
def test_a_change_of_what_a_container_is_made_from_starts_it_again(changes: dict[str, object]) -> None:
    current = generation(release_text(1))
    graph = parse(graph_json({**SERVICES, "api": {**SERVICES["api"], **changes}}))
    made = plan.plan(graph, parse_release(release_text(1)), current, current.containers)
    assert list(made.start) == ["api", "web"]


def test_a_change_of_what_is_only_asked_of_a_container_does_not() -> None:
    current = generation(release_text(1))
    graph = parse(graph_json({**SERVICES, "api": {**SERVICES["api"], "probes": [], "ready": "/health"}}))
    made = plan.plan(graph, parse_release(release_text(1)), current, current.containers)
    assert list(made.start) == ["web"]


def test_addresses_are_not_reused_at_once() -> None:
    addresses = plan.free_addresses(["172.29.231.249", "172.29.231.10"])
    assert [next(addresses) for _ in range(3)] == ["172.29.231.250", "172.29.231.11", "172.29.231.12"]


def test_memory_over_the_plan_is_refused() -> None:
    current = generation(release_text(1))
    graph = parse(graph_json(memoryMib=500))
    with pytest.raises(HostError, match=r"needs 264 MiB beside the 264 MiB of what runs, but .* may have 500 MiB"):
        plan.plan(graph, parse_release(release_text(2)), current, current.containers)


@pytest.mark.parametrize(
    ("services", "message"),
    [
        ({"api": service()}, "names dashboard, migrate, web, which the host's graph does not"),
        ({**SERVICES, "auth": service()}, "has no image for auth"),
    ],
)
def test_a_release_of_other_services_is_refused(services: dict[str, object], message: str) -> None:
    with pytest.raises(HostError, match=message):
        plan.plan(parse(graph_json(services)), parse_release(release_text(1)), None, [])


def test_a_release_without_a_secret_is_refused() -> None:
    secret = {**SERVICES, "api": {**SERVICES["api"], "secrets": {"KEY": "openai-api-key"}}}
    with pytest.raises(HostError, match=r"no version of openai-api-key, a secret of api"):
        plan.plan(parse(graph_json(secret)), parse_release(release_text(1)), None, [])
