"""An instance's security groups as rules of its own network: ports, sources, and nothing else."""

import os
import shutil
import subprocess
import sys
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


NAMESPACES = """
set -e
mount -t tmpfs none /run
mkdir /run/netns /run/files
ip link set lo up
ip link add bridge type bridge
ip address add 172.19.0.1/16 dev bridge
ip link set bridge up
number=2
for name in host task other; do
    ip netns add $name
    ip link add $name type veth peer name eth0 netns $name
    ip link set $name master bridge up
    ip -n $name address add 172.19.0.$number/16 dev eth0
    ip -n $name link set eth0 up
    ip -n $name link set lo up
    number=$((number + 1))
done
for time in once again; do printf '%s' "$RULES" | ip netns exec host iptables-restore --wait 10; done
serve() { ip netns exec $1 $PYTHON -m http.server $2 --directory /run/files > /run/$1-$2 2>&1 & }
for port in 80 443 5432 9999; do serve host $port; done
serve task 8000
until [ $(cat /proc/*/net/tcp 2> /dev/null | grep -c ' 0A ') -ge 5 ]; do sleep 0.1; done
ask() {
    where=$1
    shift
    if "$@" curl --silent --noproxy "*" --output /run/answer --max-time 1 $where; then echo yes; else echo no; fi
}
for port in 80 443 5432 9999; do
    echo $port world $(ask 172.19.0.2:$port) task $(ask 172.19.0.2:$port ip netns exec task) \
        other $(ask 172.19.0.2:$port ip netns exec other) itself $(ask 172.19.0.2:$port ip netns exec host)
done
echo out $(ask 172.19.0.3:8000 ip netns exec host)
kill $(jobs -p)
"""
"""Connects a host, a task and another container by a bridge, each with a network of its own, and asks each port."""


@pytest.mark.cloud
def test_packets_pass_as_the_rules_say() -> None:
    found = {name: shutil.which(name) for name in ("unshare", "iptables-restore", "ip", "curl")}
    assert all(found.values()), f"install what is missing of these: {found}"
    rules = chain([WORLD, OFFICE, WORKERS], {"sg-worker": ["172.19.0.3"]}, GATEWAY)
    done = subprocess.run(
        [str(found["unshare"]), "--net", "--mount", "--pid", "--fork", "--mount-proc", "bash", "-c", NAMESPACES],
        env={"RULES": rules, "PYTHON": sys.executable, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "80 world yes task yes other yes itself yes",
        "443 world yes task no other no itself yes",
        "5432 world no task yes other no itself yes",
        "9999 world no task no other no itself yes",
        "out yes",
    ], done.stderr
