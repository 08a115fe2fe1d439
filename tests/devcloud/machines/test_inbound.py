"""An instance's security groups as rules of its own network: ports, sources, and nothing else."""

import shutil
import subprocess
from dataclasses import replace

import pytest

from devcloud.machines.inbound import CHAIN, Rule, chain, members_of

WORLD = Rule("tcp", 80, 80, "0.0.0.0/0", None)
OFFICE = Rule("tcp", 443, 443, "203.0.113.0/24", None)
WORKERS = Rule("tcp", 5432, 5432, None, "sg-worker")
GATEWAY = "172.19.0.1"
MEMBERS = {"sg-worker": ["172.19.0.9", "172.19.0.8"], "sg-other": ["172.19.0.7"]}


def opened(*rules: Rule) -> list[str]:
    """Return the rules that open something, without what is the same in all."""
    lines = chain(rules, MEMBERS, GATEWAY).splitlines()
    return [
        line.removeprefix(f"-A {CHAIN} ").removesuffix(" -j RETURN")
        for line in lines
        if line.endswith("RETURN") and "conntrack" not in line
    ]


def test_replies_pass_first_and_what_no_rule_opens_is_dropped_last() -> None:
    lines = chain([WORLD], MEMBERS, GATEWAY).splitlines()
    assert lines[0] == "*mangle"
    assert lines[-1] == "COMMIT"
    own = [line for line in lines if line.startswith(f"-A {CHAIN}")]
    assert own[0] == f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
    assert own[-1] == f"-A {CHAIN} -j DROP"
    assert f"-A PREROUTING -i eth0 -j {CHAIN}" in lines


def test_an_instance_without_rules_lets_nobody_in() -> None:
    assert opened() == []


def test_a_port_for_everybody_is_open_to_tasks_and_to_the_world() -> None:
    assert opened(WORLD) == ["-p tcp --dport 80:80"]


def test_a_port_for_some_addresses_is_open_to_the_world_and_to_no_task() -> None:
    assert opened(OFFICE) == [f"-s {GATEWAY}/32 -p tcp --dport 443:443"]


def test_a_port_for_a_group_is_open_to_its_members_alone() -> None:
    assert opened(WORKERS) == [f"-s 172.19.0.{number}/32 -p tcp --dport 5432:5432" for number in (8, 9)]
    assert opened(replace(WORKERS, group="sg-nobody")) == []


def test_ranges_and_protocols_without_ports() -> None:
    assert opened(replace(WORLD, first_port=8000, last_port=8010)) == ["-p tcp --dport 8000:8010"]
    assert opened(Rule("icmp", -1, -1, "0.0.0.0/0", None)) == ["-p icmp"]
    assert opened(Rule("-1", None, None, None, "sg-other")) == ["-s 172.19.0.7/32"]


def test_the_same_rule_twice_is_one() -> None:
    assert opened(WORLD, WORLD) == opened(WORLD)


def test_members_are_the_containers_that_carry_a_group_and_are_in_the_network() -> None:
    network = {
        "1": {"Name": "task", "IPv4Address": "172.19.0.8/16"},
        "2": {"Name": "host", "IPv4Address": "172.19.0.2/16"},
    }
    labels = ["task sg-worker,sg-more", "ended sg-worker", "host "]
    assert members_of(labels, network) == {"sg-worker": ["172.19.0.8"], "sg-more": ["172.19.0.8"]}


@pytest.mark.cloud
def test_the_kernel_takes_the_rules_twice_over() -> None:
    unshare, restore = shutil.which("unshare"), shutil.which("iptables-restore")
    assert unshare, "there is no unshare on this machine: apt-get install util-linux"
    assert restore, "there is no iptables-restore on this machine: apt-get install iptables"
    rules = chain([WORLD, OFFICE, WORKERS, Rule("icmp", -1, -1, "0.0.0.0/0", None)], MEMBERS, GATEWAY)
    script = (
        f"cat > /dev/null; for n in 1 2; do printf '%s' \"$RULES\" | {restore} || exit 1; done; iptables-save -t mangle"
    )
    done = subprocess.run(
        [unshare, "--net", "sh", "-c", script],
        input="",
        env={"RULES": rules, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"-A PREROUTING -i eth0 -j {CHAIN}") == 1
    assert f"-A {CHAIN} -s 172.19.0.8/32 -p tcp -m tcp --dport 5432 -j RETURN" in done.stdout
