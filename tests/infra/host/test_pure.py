"""Command lines, rules, judgements, signatures: what needs no machine."""

from __future__ import annotations

import datetime
import json
import subprocess
from pathlib import Path

import pytest

from infra.host import docker, firewall, probes, secrets, units
from infra.host.blot import blot
from infra.host.graph import parse
from infra.host.journal import Journal
from infra.host.outcome import HostError, Verdict
from infra.host.probes import Answer
from infra.host.release import parse as parse_release
from infra.host.sigv4 import Credentials, signed_headers
from tests.infra.host.fake import digest, graph_json, release_text

TCP = """  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0200000A:0050 0300000A:C000 01 00000000:00000000
"""


def test_the_command_that_starts_a_container() -> None:
    container = docker.Container(
        name="slipway-local-0123-api",
        image="registry/api@sha256:00",
        stack="slipway-local",
        service="api",
        address="172.29.231.10",
        memory_mib=224,
        stop_seconds=130,
        environment_file="/run/slipway/api.env",
        user=999,
        alias="api",
        mounts=(docker.Mount("/run/slipway/credentials/api", "/run/aws", read_only=True),),
    )
    assert " ".join(docker.run(container)) == (
        "docker run --detach --pull never --name slipway-local-0123-api --network slipway-local --ip 172.29.231.10 "
        "--read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp:rw,nosuid,nodev,size=64m "
        "--memory 224m --memory-swap 224m --pids-limit 512 --cpu-shares 512 --restart no --stop-timeout 130 "
        "--log-driver local --log-opt max-size=4m --log-opt max-file=3 --label slipway=slipway-local "
        "--label slipway.service=api --env-file /run/slipway/api.env --user 999 --network-alias api "
        "--mount type=bind,source=/run/slipway/credentials/api,target=/run/aws,readonly registry/api@sha256:00"
    )


def test_the_rules_turn_the_public_port() -> None:
    assert firewall.rules(80, firewall.Target("172.29.231.13", 8080)) == (
        "*filter\n:SLIPWAY - [0:0]\n-A SLIPWAY -d 172.29.231.13/32 -p tcp -m tcp --dport 8080 -j ACCEPT\nCOMMIT\n"
        "*nat\n:SLIPWAY - [0:0]\n-A SLIPWAY -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.29.231.13:8080\n"
        "COMMIT\n"
    )
    assert firewall.rules(80, None) == "*filter\n:SLIPWAY - [0:0]\nCOMMIT\n*nat\n:SLIPWAY - [0:0]\nCOMMIT\n"


def test_the_rules_keep_the_containers_from_the_host() -> None:
    assert firewall.guard("172.29.231.0/24") == (
        "*filter\n:SLIPWAY-GUARD - [0:0]\n"
        "-A SLIPWAY-GUARD ! -s 172.29.231.0/24 -j RETURN\n"
        "-A SLIPWAY-GUARD -m conntrack --ctorigdst 169.254.169.254 -j REJECT\n"
        "-A SLIPWAY-GUARD -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN\n"
        "-A SLIPWAY-GUARD -d 169.254.169.253 -p udp -m udp --dport 53 -j RETURN\n"
        "-A SLIPWAY-GUARD -d 169.254.169.253 -p tcp -m tcp --dport 53 -j RETURN\n"
        "-A SLIPWAY-GUARD -m addrtype --dst-type LOCAL -j REJECT\nCOMMIT\n"
    )


URL = "postgresql://slipway:p%40ss%2Fword-long@db.example:5432/slipway"


@pytest.mark.parametrize(
    "text",
    [
        URL,
        "p%40ss%2Fword-long",
        "p%40ss%2fword-long",
        "p@ss/word-long",
        "p@ss/wo\nrd-long",
        "p@ss/wo\r\n    rd-long",
        URL[:30] + "\n" + URL[30:],
    ],
)
def test_a_secret_is_blotted_in_each_form(text: str) -> None:
    blotted = blot(f"cannot use {text}; it is wrong", [URL])
    assert blotted.replace("\n", "") == "cannot use ***; it is wrong"
    assert blotted.count("\n") == text.count("\n"), "each line is still one"


@pytest.mark.parametrize(
    ("value", "text"),
    [('say "a\'b" twice', '{"key": "say \\"a\'b\\" twice"}'), ("two words & more", "key=two+words+%26+more&x")],
)
def test_an_escaped_secret_is_blotted(value: str, text: str) -> None:
    assert "words" not in blot(text, [value])
    assert "twice" not in blot(text, [value])


def test_short_values_and_other_words_are_left() -> None:
    assert blot("the api of slipway at db.example", [URL, "api"]) == "the api of slipway at db.example"
    assert blot("x", ["http://[broken"]) == "x"


def test_an_edge_with_a_domain_has_both_public_ports_in_one_change() -> None:
    assert firewall.rules(80, firewall.Target("172.29.231.13", 8080, secure=True)) == (
        "*filter\n:SLIPWAY - [0:0]\n"
        "-A SLIPWAY -d 172.29.231.13/32 -p tcp -m tcp --dport 80 -j ACCEPT\n"
        "-A SLIPWAY -d 172.29.231.13/32 -p tcp -m tcp --dport 443 -j ACCEPT\n"
        "COMMIT\n*nat\n:SLIPWAY - [0:0]\n"
        "-A SLIPWAY -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.29.231.13:80\n"
        "-A SLIPWAY -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.29.231.13:443\nCOMMIT\n"
    )


def test_listed_rules_for_another_set_of_ports_are_not_those_wanted() -> None:
    plain, secure = firewall.Target("172.29.231.13", 8080), firewall.Target("172.29.231.13", 8080, secure=True)
    for made, other in ((plain, secure), (secure, plain)):
        listed = "".join(f"{line}\n" for line in firewall.rules(80, made).splitlines() if "DNAT" in line)
        assert firewall.leads_to(listed, 80, made)
        assert not firewall.leads_to(listed, 80, other)


def test_a_listed_rule_is_recognised() -> None:
    target = firewall.Target("172.29.231.13", 8080)
    listed = "-N SLIPWAY\n" + firewall.rules(80, target).splitlines()[6] + "\n"
    assert firewall.leads_to(listed, 80, target)
    assert not firewall.leads_to(listed, 80, firewall.Target("172.29.231.1", 8080))
    assert not firewall.leads_to("-N SLIPWAY\n", 80, target)


def test_dockers_last_line_is_shown_without_its_advice() -> None:
    text = "docker: Error response from daemon: exec format error.\nSee 'docker run --help'.\n"
    assert docker.last_line(text) == "Error response from daemon: exec format error"


@pytest.mark.parametrize(
    ("body", "checks"),
    [
        ('{"database": {"ok": true}, "queue": {"ok": false, "reason": "away"}}', {"queue"}),
        ('{"ready": false, "checks": {"database": {"ok": false}}}', {"database"}),
        ('{"database": {"ok": true}}', set()),
        ('{"status": "ok"}', None),
        ("[1]", None),
        ("not JSON", None),
        ("[" * 10_000, None),
    ],
)
def test_the_failing_checks_of_ready(body: str, checks: set[str] | None) -> None:
    assert probes.failing(Answer(503, {}, body)) == checks


def test_ready_is_also_what_fails_only_as_the_old_one_does() -> None:
    both = Answer(503, {}, '{"database": {"ok": false}, "queue": {"ok": false}}')
    queue = Answer(503, {}, '{"database": {"ok": true}, "queue": {"ok": false}}')
    well = Answer(200, {}, "{}")
    assert probes.ready(well, None)
    assert probes.ready(queue, queue)
    assert probes.ready(queue, both)
    assert not probes.ready(both, queue)
    assert not probes.ready(queue, well)
    assert not probes.ready(queue, None)
    assert not probes.ready(Answer(500, {}, "broken"), Answer(500, {}, "broken"))


def test_the_digest_of_an_answer_is_judged() -> None:
    assert probes.wrong_digest(Answer(200, {"x-image-digest": digest(1)}, ""), digest(1)) is None
    assert "another image" in str(probes.wrong_digest(Answer(200, {"x-image-digest": digest(2)}, ""), digest(1)))
    assert "without the header" in str(probes.wrong_digest(Answer(200, {}, ""), digest(1)))
    assert probes.wrong_digest(Answer(502, {}, "away\n"), digest(1)) == "answered 502: away"


def test_listening_ports_are_read_from_the_kernels_table() -> None:
    assert probes.listening_ports(TCP) == {8080}


def test_a_request_is_signed_as_botocore_signs_it() -> None:
    botocore_auth = pytest.importorskip("botocore.auth")
    botocore_request = pytest.importorskip("botocore.awsrequest")
    botocore_credentials = pytest.importorskip("botocore.credentials")
    body, headers = (
        b'{"Name": "/slipway/local/release"}',
        {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "A.B"},
    )
    credentials = Credentials("AKIDEXAMPLE", "secret", "token", "")
    now = datetime.datetime.now(datetime.UTC)
    ours = signed_headers(
        credentials, service="ssm", region="eu-west-1", host="ssm.example", headers=headers, body=body, now=now
    )
    request = botocore_request.AWSRequest("POST", "https://ssm.example/", headers=headers, data=body)
    signer = botocore_auth.SigV4Auth(
        botocore_credentials.Credentials("AKIDEXAMPLE", "secret", "token"), "ssm", "eu-west-1"
    )
    signer.add_auth(request)
    if request.headers["X-Amz-Date"] == ours["X-Amz-Date"]:
        assert request.headers["Authorization"] == ours["Authorization"]
    else:
        pytest.skip("the second changed between the two signatures")


def test_a_container_gets_its_own_secrets_and_the_edge_its_upstreams() -> None:
    graph, release = parse(graph_json()), parse_release(release_text(1))
    api = secrets.environment(
        graph,
        graph.services["api"],
        release,
        secrets={"/slipway/local/database-url:1": "url"},
        upstreams={"api": "a:1"},
    )
    assert api == {
        "SERVICE_TYPE": "api",
        "IMAGE_DIGEST": digest(1),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/run/aws/config",
        "DATABASE_URL": "url",
    }
    web = secrets.environment(
        graph, graph.services["web"], release, secrets={}, upstreams={"api": "172.29.231.10:8000"}
    )
    assert web == {
        "IMAGE_DIGEST": digest(1),
        "AWS_EC2_METADATA_DISABLED": "true",
        "API_UPSTREAM": "172.29.231.10:8000",
    }


def test_a_value_of_several_lines_is_refused() -> None:
    with pytest.raises(HostError, match="The value of KEY for api has more than one line"):
        secrets.environment_file("api", {"KEY": "one\ntwo"})


def test_an_aws_sdk_reads_renewed_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = pytest.importorskip("botocore.session")
    monkeypatch.setattr(secrets, "FOLDER_IN_CONTAINER", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    config = secrets.config_file("eu-west-1", "http://127.0.0.1:4566")

    def renew(key: str) -> None:
        secrets.write_credentials(tmp_path, Credentials(key, "secret", "token", soon.isoformat()), config)

    renew("first")
    found = session.Session().get_credentials()
    assert found.get_frozen_credentials().access_key == "first"
    renew("second")
    assert found.get_frozen_credentials().access_key == "second"
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o644


def test_a_verdict_stays_small() -> None:
    failure = HostError("é" * 5000, log="\\" * 100_000)
    text = json.dumps(Verdict.of(failure, "api", {f"step-{number}": 1.0 for number in range(12)}).to_json())
    assert len(text) < 3400


def test_a_journal_survives_a_cut_last_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", lambda: 1.0)
    journal.add("begin", release="{}")
    journal.add("step", step="pull")
    text = journal.path.read_text()
    journal.path.write_text(text + '{"kind": "tu')
    again = Journal.read(journal.path, lambda: 2.0)
    assert again.step == "pull"
    assert not again.has("turn")
    again.add("undo")
    assert Journal.read(journal.path).has("undo")


def test_a_journal_counts_the_seconds_of_steps(tmp_path: Path) -> None:
    clock = [10.0]
    journal = Journal(tmp_path / "j", lambda: clock[0])
    for step, at in (("pull", 10.0), ("api", 12.5), ("watch", 20.0)):
        clock[0] = at
        journal.add("step", step=step)
    clock[0] = 25.0
    journal.add("verdict", verdict={})
    clock[0] = 90.0
    journal.add("step", step="drain")
    assert journal.seconds() == {"pull": 2.5, "api": 7.5, "watch": 5.0}


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name, text in units.texts("/bin/true", "/bin/true").items():
        (tmp_path / name).write_text(text)
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("this machine has no systemd-analyze")
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert complaints == []
