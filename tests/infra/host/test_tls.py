"""HTTPS on the host: both ports turn together, certificates are shared, and nobody is cut off without one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.host import boot, commands, data, firewall, front, tls
from infra.host.host import Host
from infra.host.machine import Linux
from infra.host.outcome import HostError
from infra.host.release import release_id
from tests.infra.host.fake import DATA, NVME, OWN, Behaviour, FakeMachine, digest, image, make, release_text
from tests.infra.host.test_deploy import deployed, journal_of

DOMAIN = "labs.example.com"
ROOT = "-----BEGIN CERTIFICATE-----\n"
PEBBLE = "https://pebble.example.com/dir"
UNREACHED = (
    "[labs.example.com] Obtain: [labs.example.com] solving challenge: labs.example.com: [labs.example.com] "
    "authorization failed: HTTP 400 urn:ietf:params:acme:error:dns - no such name (ca=https://pebble.example.com/dir)"
)


def given(domain: str = DOMAIN, root: str | None = None) -> dict[str, Any]:
    return {"domain": domain, "directory": PEBBLE, "root": root}


def host_with(folder: Path, machine: FakeMachine | None = None, **changes: Any) -> tuple[Host, FakeMachine]:
    """Return a host; of an earlier one's machine, with another program."""
    host, made, _ = make(folder, **{"tls": given(), **changes})
    made.disks = {NVME: "ext4"}
    if machine:
        machine.graph = host.graph
        host = Host(host.graph, host.program, host.store, machine, host.aws, host.say)
    return host, machine or made


def says(error: str, logger: str = "tls.obtain") -> str:
    return json.dumps({"level": "error", "logger": logger, "msg": "will retry", "error": error}) + "\n"


def edge_of(machine: FakeMachine) -> Any:
    return next(one for name, one in machine.containers.items() if name.endswith("-web"))


def lines(host: Host, text: str) -> str:
    return "\n".join(journal_of(host, release_id(text)).lines)


def test_the_edge_is_told_its_domain_and_given_the_folder_of_certificates(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, tls=given(root=ROOT))
    machine.certified[DOMAIN] = 0
    assert deployed(host, release_text(1))["cause"] == ""
    edge = edge_of(machine)
    assert edge.environment.items() >= {
        ("SCHEME", "https"),
        ("DOMAIN", DOMAIN),
        ("ACME_DIRECTORY", PEBBLE),
        ("CERTIFICATES", "/certificates"),
        ("ACME_ROOT", "/run/acme/root.pem"),
    }
    folder = host.store.memory / "acme"
    assert edge.options["--mount"].split() == [
        f"type=bind,source={DATA}/.certificates/pebble.example.com-dir,target=/certificates",
        f"type=bind,source={folder},target=/run/acme,readonly",
    ]
    assert (folder / "root.pem").read_text() == ROOT
    made = next(command for command in machine.commands if command[0] == "install")
    assert made[2:] == ["--mode=0700", "--owner=10001", "--group=10002", f"{DATA}/.certificates/pebble.example.com-dir"]
    others = [one for name, one in machine.containers.items() if not name.endswith("-web")]
    assert not any("certificates" in one.options.get("--mount", "") for one in others)


def test_without_a_domain_no_volume_is_needed(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path, tls=None)
    assert deployed(host, release_text(1))["cause"] == ""
    assert (machine.mounted, list(machine.doors)) == (None, [80])


def test_both_ports_lead_to_the_edge_and_https_says_what_serves(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    assert deployed(host, release_text(1))["cause"] == ""
    address = edge_of(machine).address
    assert machine.doors == {80: f"{address}:80", 443: f"{address}:443"}
    assert machine.get(OWN, 80, "/health", 5).status == 308
    report = commands.verify(host, release_text(1))
    assert (report["state"], report["certificate"]) == ("serving", None)
    assert report["serves"]["web"] == digest(1)
    assert commands.submit(host, release_text(1))["state"] == "serving"


def test_a_first_release_without_a_certificate_serves_by_http_and_says_why(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.behaviours[image("web", 1)] = Behaviour(errors=says(UNREACHED))
    assert deployed(host, release_text(1))["cause"] == ""
    assert machine.get(OWN, 80, "/health", 5).status == 200
    sentence = f"{DOMAIN} has no certificate: the ACME server did not reach this host by the domain (no such name): "
    assert sentence in lines(host, release_text(1))
    report = commands.verify(host, release_text(1))
    assert (report["state"], report["problem"]) == ("serving", None)
    assert report["certificate"].startswith(sentence)


def test_a_later_release_does_not_wait_for_what_the_old_edge_still_tries(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.behaviours[image("web", 1)] = Behaviour(errors=says(UNREACHED))
    deployed(host, release_text(1))
    begun = machine.time
    assert deployed(host, release_text(2))["cause"] == ""
    assert machine.time - begun < 30
    assert "did not reach this host by the domain (no such name)" in lines(host, release_text(2))


def test_a_first_certificate_is_waited_for(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = machine.time + 70
    assert deployed(host, release_text(1))["cause"] == ""
    assert "no certificate" not in lines(host, release_text(1))
    assert machine.time > machine.certified[DOMAIN]


def test_a_release_whose_domain_gets_no_certificate_leaves_the_old_one_serving(tmp_path: Path) -> None:
    before, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    deployed(before, release_text(1))
    doors = dict(machine.doors)
    after, _ = host_with(tmp_path, machine, tls=given("wrong.example.com"))
    machine.behaviours[image("web", 2)] = Behaviour(errors=says(UNREACHED))
    begun = machine.time
    verdict = deployed(after, release_text(2))
    assert verdict["step"] == "certificate"
    assert verdict["cause"].startswith("wrong.example.com has no certificate: the ACME server did not reach this host")
    assert machine.time - begun < 90 + 30
    assert machine.doors == doors
    assert front.public(before, before.store.current()).domain == DOMAIN
    assert commands.verify(before, release_text(1))["state"] == "serving"


def test_a_certificate_that_comes_in_time_lets_the_release_through(tmp_path: Path) -> None:
    before, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    deployed(before, release_text(1))
    after, _ = host_with(tmp_path, machine, tls=given("new.example.com"))
    machine.certified["new.example.com"] = machine.time + 30
    assert deployed(after, release_text(2))["cause"] == ""
    assert front.public(after, after.store.current()).domain == "new.example.com"


@pytest.mark.parametrize(("first", "second"), [(None, given()), (given(), None)], ids=["gets", "loses"])
def test_a_release_that_goes_back_gives_the_old_edge_its_own_ports(first: Any, second: Any, tmp_path: Path) -> None:
    before, machine = host_with(tmp_path, tls=first)
    machine.certified[DOMAIN] = 0
    deployed(before, release_text(1))
    doors = dict(machine.doors)
    after, _ = host_with(tmp_path, machine, tls=second)
    machine.behaviours[image("web", 2)] = Behaviour(breaks_after_turn=True)
    assert "Through the public port" in deployed(after, release_text(2))["cause"]
    assert machine.doors == doors


def test_a_certificate_that_was_not_renewed_is_reported_before_it_ends(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    machine.behaviours[image("web", 1)] = Behaviour(errors=says("dial tcp: connection refused", "tls.renew"))
    deployed(host, release_text(1))
    machine.time = 74 * 24 * 3600.0
    assert commands.verify(host, release_text(1))["certificate"] is None
    machine.time = 80 * 24 * 3600.0
    report = commands.verify(host, release_text(1))
    assert report["state"] == "serving"
    assert report["certificate"].startswith(f"The certificate of {DOMAIN} ends in 10.0 days: the ACME server cannot")


@pytest.mark.parametrize("days", [90, 45, 6])
def test_the_part_of_its_life_that_a_certificate_has_left_is_measured(days: int, tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    assert tls.life_left_percent(host, None) is None
    deployed(host, release_text(1))
    current = host.store.current()
    assert tls.life_left_percent(host, current) == 0, "it has no certificate"
    machine.certified[DOMAIN] = 0
    machine.lifetime = (0, days * 24 * 3600)
    machine.time = machine.lifetime[1] * 0.75
    assert tls.life_left_percent(host, current) == pytest.approx(25, abs=0.1)
    machine.time = machine.lifetime[1] + 1
    assert tls.life_left_percent(host, current) == 0


def test_a_certificate_of_another_name_counts_as_none(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    deployed(host, release_text(1))
    machine.unfit = "Hostname mismatch"
    assert tls.life_left_percent(host, host.store.current()) == 0
    said = tls.problem(host, host.store.current())
    assert said == (
        f"The edge shows a certificate that is of no use for {DOMAIN} (Hostname mismatch): deploy an edge with its own."
    )


def test_a_new_edge_with_a_certificate_of_no_use_leaves_the_old_one_serving(tmp_path: Path) -> None:
    before, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    deployed(before, release_text(1))
    doors = dict(machine.doors)
    after, _ = host_with(tmp_path, machine, tls=given("new.example.com"))
    machine.certified["new.example.com"] = machine.time
    whole = machine.certificate

    def shown(address: str, port: int, domain: str, seconds: float) -> tuple[float, float]:
        return whole(address, port, domain, seconds) if domain == DOMAIN else (0.0, 1.0)

    machine.certificate = shown  # type: ignore[method-assign]
    verdict = deployed(after, release_text(2))
    assert (verdict["step"], machine.doors) == ("certificate", doors)
    assert verdict["cause"].startswith("The certificate of new.example.com ends in 0.0 days")


def test_a_certificate_of_the_future_names_the_clock(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    deployed(host, release_text(1))
    machine.lifetime = (machine.time + 3600, machine.time + 7200)
    assert tls.life_left_percent(host, host.store.current()) == 0
    assert "is not valid yet: the host's clock may be wrong" in str(tls.problem(host, host.store.current()))


@pytest.mark.parametrize("kept", [(tls.MOST_MIB + 1, 5), (1, tls.MOST_FILES + 1)])
def test_a_folder_of_certificates_that_grows_is_emptied_and_reported_for_a_day(
    kept: tuple[int, int], tmp_path: Path
) -> None:
    host, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    deployed(host, release_text(1))
    boot.tend(host)
    assert machine.certificates == (1, 40)
    machine.certificates = kept
    with pytest.raises(HostError, match=r"^The edge kept more in the folder of certificates than the 16 MiB and 1000"):
        boot.tend(host)
    assert machine.certificates == (1, 3)
    current = host.store.current()
    assert commands.verify(host, release_text(1))["certificate"] == tls.OVERFLOW
    assert tls.life_left_percent(host, current) == 0
    assert tls.answers(host, OWN, DOMAIN), "what is in the edge's memory serves on"
    boot.tend(host)
    machine.time += tls.DAY_SECONDS
    assert tls.problem(host, current) is None
    assert (tls.life_left_percent(host, current) or 0) > 0


def test_the_folder_of_certificates_is_measured_and_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = host_with(tmp_path)
    host = replace(host, machine=Linux())
    monkeypatch.setattr(tls, "FOLDER", tmp_path / "kept")
    monkeypatch.setattr(data, "is_mounted", lambda _: True)
    tls.limit(host)
    server = tmp_path / "kept" / "acme"
    (server / "a").mkdir(parents=True)
    (server / "a" / "file").write_bytes(b"x" * 2**20)
    (server / "link").symlink_to(tmp_path)
    tls.limit(host)
    (server / "a" / "file").write_bytes(b"x" * (tls.MOST_MIB + 1) * 2**20)
    with pytest.raises(HostError):
        tls.limit(host)
    assert (list(server.iterdir()), tmp_path.is_dir()) == ([], True)
    for number in range(tls.MOST_FILES):
        (server / str(number)).touch()
    with pytest.raises(HostError):
        tls.limit(host)
    assert list(server.iterdir()) == []


def test_a_boot_turns_both_ports_again(tmp_path: Path) -> None:
    host, machine = host_with(tmp_path)
    machine.certified[DOMAIN] = 0
    deployed(host, release_text(1))
    doors = dict(machine.doors)
    machine.reboot()
    boot.boot(host)
    assert machine.doors == doors
    assert front.leads_to(host, firewall.Target(edge_of(machine).address, 8080, secure=True))


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (says(UNREACHED), "the ACME server did not reach this host by the domain (no such name): have its A record"),
        (
            says("HTTP 429 urn:ietf:params:acme:error:rateLimited - too many certificates"),
            "the ACME server refuses it, rateLimited (too many certificates)",
        ),
        (says("dial tcp 127.0.0.1:1: connect: connection refused"), "the ACME server cannot be used (dial tcp"),
        (says(UNREACHED) + says("context deadline exceeded"), "the ACME server cannot be used (context deadline"),
        (says("something else", "http.log.error") + "no JSON\n[1]\n" + "[" * 10_000, "the edge still tries"),
        ("no JSON \x85\r\u2028" + says("posed"), "the edge still tries"),
    ],
)
def test_the_reason_for_a_missing_certificate_is_the_edges_last_word(log: str, expected: str) -> None:
    assert tls.reason(log).startswith(expected)
