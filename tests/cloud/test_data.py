"""Rows that were acknowledged outlast the database's container, the host's boot and the host itself.

PostgreSQL runs on the host of the stack `local`, its data on a volume.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.cloud.conftest import Checkout, Done

pytestmark = [pytest.mark.cloud, pytest.mark.usefixtures("committed")]

BACK_SECONDS = 10
"""The bar for a database that was killed."""
BOOT_SECONDS = 120
TEND_SECONDS = 150
"""The host looks after its services each minute."""
DRAIN_SECONDS = 120
PAUSE_SECONDS = 0.3
TABLE = "kept"
DEVICE = "/dev/sdf"


class Database:
    """The database on the host of `local`, as the product's role sees it there."""

    def __init__(self, checkout: Checkout, outputs: dict[str, Any]) -> None:
        self.checkout = checkout
        self.outputs = outputs

    @property
    def instance(self) -> str:
        """The id of the host."""
        return str(self.outputs["apiInstanceId"])

    def host(self, command: str) -> Done:
        """Run a command of the shell on the host."""
        return self.checkout.docker("exec", f"{self.checkout.cloud.network}-{self.instance}", "sh", "-c", command)

    def sql(self, statement: str) -> Done:
        """Run a statement."""
        container = "$(docker ps --quiet --filter label=slipway.service=postgres)"
        return self.host(f'docker exec {container} psql -U slipway -At -c "{statement}" slipway')

    def add(self) -> str:
        """Add a row, which the database acknowledges, and return it."""
        row = secrets.token_hex(8)
        insert = f"INSERT INTO {TABLE} VALUES ('{row}')"  # noqa: S608 - our own words
        for statement in (f"CREATE TABLE IF NOT EXISTS {TABLE} (row text)", insert):
            done = self.sql(statement)
            assert done.code == 0, done.said
        return row

    def has(self, *rows: str) -> bool:
        """Return True if the database answers and has rows."""
        done = self.sql(f"SELECT row FROM {TABLE}")  # noqa: S608 - our own words
        return done.code == 0 and set(rows) <= set(done.said.split())

    def ready(self) -> int:
        """Return the status of the product behind its front door, for a request that needs the database."""
        login = {"email": "nobody@example.com", "password": "not-a-password"}
        try:
            return httpx.post(
                f"{self.outputs['apiUrl']}/auth/sign-in", json=login, timeout=10, trust_env=False
            ).status_code
        except httpx.HTTPError:
            return 0


@pytest.fixture
def database(checkout: Checkout) -> Database:
    """Return the database on the host that the stack has now: a test before this one may have replaced it."""
    return Database(checkout, checkout.outputs())


def wait_until(true: Callable[[], bool], seconds: float) -> float:
    """Wait until something is so, and return how long that took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, f"not within {seconds:g} s"
        time.sleep(PAUSE_SECONDS)
    return time.monotonic() - begun


def when_free(checkout: Checkout, *command: str) -> Done:
    """Run a command that has to succeed, once no release is under way: one that serves still stops what it replaced."""
    done = checkout.run(*command)
    deadline = time.monotonic() + DRAIN_SECONDS
    while "A release is under way" in done.said and time.monotonic() < deadline:
        time.sleep(2)
        done = checkout.run(*command)
    assert done.code == 0, done.said
    return done


def test_a_killed_database_is_back_with_its_rows(database: Database, note: Callable[[str], None]) -> None:
    row = database.add()
    pid = "$(docker inspect --format '{{.State.Pid}}' $(docker ps -q --filter label=slipway.service=postgres))"
    assert database.host(f"kill -9 {pid}").code == 0
    took = wait_until(lambda: database.has(row), BACK_SECONDS)
    note(f"PostgreSQL was back {took:.1f} s after kill -9")
    wait_until(lambda: database.ready() == httpx.codes.UNAUTHORIZED, BACK_SECONDS)


def test_the_worker_reaches_the_database_and_nobody_outside_does(database: Database) -> None:
    outputs = database.outputs
    assert database.host(f"docker ps --format '{{{{.Ports}}}}' | grep -q {outputs['databaseHost']}:5432").code == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{outputs['apiAddress']}:5432", timeout=5, trust_env=False)


def test_a_rebooted_host_starts_the_database_with_its_rows(database: Database) -> None:
    row = database.add()
    database.checkout.client("ec2").reboot_instances(InstanceIds=[database.instance])
    time.sleep(5)
    wait_until(lambda: database.has(row), BOOT_SECONDS)
    wait_until(lambda: database.ready() == httpx.codes.UNAUTHORIZED, BOOT_SECONDS)


def test_a_boot_without_the_volume_answers_503_and_makes_no_database(database: Database) -> None:
    row, ec2, instance = database.add(), database.checkout.client("ec2"), database.instance
    attached = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])["Volumes"]
    (volume,) = [each["VolumeId"] for each in attached if each["Attachments"][0]["Device"] == DEVICE]
    place = {"VolumeId": volume, "InstanceId": instance, "Device": DEVICE}
    ec2.stop_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig={"Delay": 2})
    ec2.detach_volume(**place)
    ec2.start_instances(InstanceIds=[instance])
    wait_until(lambda: database.ready() == httpx.codes.SERVICE_UNAVAILABLE, BOOT_SECONDS)
    assert database.host("ls -A /var/lib/slipway-data").said.split() == []
    ec2.attach_volume(**place)
    wait_until(lambda: database.has(row), TEND_SECONDS)
    wait_until(lambda: database.ready() == httpx.codes.UNAUTHORIZED, TEND_SECONDS)


def test_a_new_password_is_in_use_after_one_up_and_the_rows_are_there(database: Database) -> None:
    row = database.add()
    database.checkout.configure({"slipway:databasePassword": "another-dummy-password"})
    database.checkout.up()
    assert database.has(row)
    assert database.ready() == httpx.codes.UNAUTHORIZED
    # Over the network: within the container, its own address is trusted.
    login = "docker exec -e PGPASSWORD={} {} psql -h postgres -U slipway -At -c 'SELECT 1' slipway"
    container = "$(docker ps -q --filter label=slipway.service=postgres)"
    assert database.host(login.format("another-dummy-password", container)).said.strip() == "1"
    assert "password authentication failed" in database.host(login.format("local-dummy-password", container)).said


def test_a_replaced_host_has_all_rows_and_those_up_to_a_dump_after_its_restore(database: Database) -> None:
    first, checkout = database.add(), database.checkout
    name = when_free(checkout, "backup").said.split()[-1]
    assert name in checkout.run("backups").said
    second = database.add()
    checkout.up("local", "--replace", "**::host")
    replaced = Database(checkout, checkout.outputs())
    assert replaced.instance != database.instance
    assert replaced.has(first, second)
    when_free(checkout, "restore", "--from", name)
    assert replaced.has(first)
    assert not replaced.has(second)
    assert replaced.ready() == httpx.codes.UNAUTHORIZED
    refused = checkout.run("restore", "--from", "20200101T000000Z")
    assert refused.code == 1
    assert "The host has no dump 20200101T000000Z; it has" in refused.said


def test_the_snapshot_policy_of_the_stack_finds_the_data_volume_and_no_other(database: Database) -> None:
    dlm, ec2 = database.checkout.client("dlm"), database.checkout.client("ec2")
    prefix = str(database.outputs["dashboardUrl"]).rpartition("/")[2]
    (policy,) = [
        each for each in dlm.get_lifecycle_policies()["Policies"] if each["Description"].endswith(f" {prefix}")
    ]
    details = dlm.get_lifecycle_policy(PolicyId=policy["PolicyId"])["Policy"]["PolicyDetails"]
    filters = [{"Name": f"tag:{tag['Key']}", "Values": [tag["Value"]]} for tag in details["TargetTags"]]
    (volume,) = ec2.describe_volumes(Filters=filters)["Volumes"]
    assert [(each["InstanceId"], each["Device"]) for each in volume["Attachments"]] == [(database.instance, DEVICE)]
