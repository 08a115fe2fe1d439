"""The zones of a stack: with Fargate, and the first with the host's instance type."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from infra.lib.zones import FARGATE_ZONE_IDS, ZoneError, choose

US = {"us-east-1a": "use1-az4", "us-east-1b": "use1-az6", "us-east-1c": "use1-az1"}
EVERYWHERE: Mapping[str, Collection[str]] = {"t2.small": set(US), "t3.small": set(US)}


def chosen(**given: Any) -> tuple[str, ...]:
    """Choose two zones of us-east-1 for a t2.small, but for what is given."""
    defaults = {"region": "us-east-1", "zone_ids": US, "offers": EVERYWHERE, "instance_type": "t2.small", "count": 2}
    return choose(project="slipway", **{**defaults, **given})


def test_zones_are_taken_in_the_order_of_their_names() -> None:
    assert chosen() == ("us-east-1a", "us-east-1b")


def test_the_host_gets_a_zone_that_offers_its_type() -> None:
    assert chosen(offers={"t2.small": ["us-east-1b"]}) == ("us-east-1b", "us-east-1a")


def test_a_third_zone_moves_neither_of_the_first_two() -> None:
    assert chosen(count=3)[:2] == chosen()


def test_a_zone_repeats_if_the_region_has_fewer_than_the_subnets() -> None:
    assert chosen(count=3, zone_ids=dict(list(US.items())[:2])) == ("us-east-1a", "us-east-1b", "us-east-1a")


def test_a_host_that_is_there_stays_in_its_zone() -> None:
    assert chosen(host_zone="us-east-1c") == ("us-east-1c", "us-east-1a")


def test_a_type_that_the_region_does_not_offer_is_one_sentence_that_names_t3_small() -> None:
    with pytest.raises(ZoneError) as refused:
        chosen(region="eu-north-1", offers={"t3.small": set(US), "t3.large": set(US)})
    assert str(refused.value) == (
        "slipway:host.instanceType is t2.small, but no zone of eu-north-1 with Fargate offers it; set t3.small (or "
        "t3.large)."
    )


def test_a_type_that_the_hosts_zone_does_not_offer_is_refused_though_others_do() -> None:
    with pytest.raises(ZoneError, match=r"us-east-1c, the zone of the host's subnet, does not offer it; set t3"):
        chosen(host_zone="us-east-1c", offers={"t2.small": ["us-east-1a"], "t3.small": ["us-east-1c"]})


def test_a_region_that_offers_none_of_the_types_is_refused() -> None:
    with pytest.raises(ZoneError, match=r"no zone of us-east-1 with Fargate offers it; set another region\.$"):
        chosen(offers={})


@pytest.mark.parametrize("region", FARGATE_ZONE_IDS)
def test_a_zone_without_fargate_is_left_out(region: str) -> None:
    with_fargate = sorted(FARGATE_ZONE_IDS[region])[0]
    zone_ids = {f"{region}a": "no-fargate-az", f"{region}b": with_fargate}
    offers = {"t2.small": set(zone_ids)}
    assert chosen(region=region, zone_ids=zone_ids, offers=offers) == (f"{region}b", f"{region}b")


def test_an_account_without_a_fargate_zone_is_refused() -> None:
    with pytest.raises(ZoneError, match=r"us-west-1.*\(us-west-1a\) has Fargate.*set another region"):
        chosen(region="us-west-1", zone_ids={"us-west-1a": "usw1-az2"}, offers={"t2.small": ["us-west-1a"]})
