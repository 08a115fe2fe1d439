"""The alarms of a stack as a table: what CloudWatch watches, why with these figures, and what an operator does.

docs/alarms.md is written from it. AWS counts the newest periods of a metric that are complete: an alarm fires if
`to_alarm` of the last `periods` are over the threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from infra.lib.aws_limits import BURSTABLE

MINUTE, FIVE_MINUTES, HOUR, DAY = 60, 300, 3600, 86_400

Statistic = Literal["Average", "Maximum", "Minimum", "SampleCount", "Sum"]
Comparison = Literal[
    "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanOrEqualToThreshold", "LessThanThreshold"
]
Publisher = Literal["host", "EC2", "DLM"]
Missing = Literal["missing", "ignore", "breaching", "notBreaching"]
AT_LEAST: Comparison = "GreaterThanOrEqualToThreshold"
BELOW: Comparison = "LessThanThreshold"


@dataclass(frozen=True)
class Watched:
    """The parts of a stack that alarms depend on."""

    instance_type: str
    data_volume: bool
    """Whether the host keeps data on the data volume."""
    certificate: bool
    """Whether the edge has a certificate of its own."""
    backup: bool
    """Whether the host backs up a database."""
    snapshots: bool
    """Whether snapshots are made of the data volume."""


@dataclass(frozen=True)
class Metric:
    """A metric by its name and dimensions."""

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    publisher: Publisher = "host"
    """The host publishes in the stack's namespace, EC2 about the instance, Data Lifecycle Manager about its policy."""


@dataclass(frozen=True)
class Alarm:
    """One alarm. Its name is the stack's prefix with `name`."""

    name: str
    metric: Metric
    statistic: Statistic
    period_seconds: int
    periods: int
    to_alarm: int
    comparison: Comparison
    threshold: float
    missing: Missing
    """Treatment of a period without data."""
    meaning: str
    """One sentence: what is wrong."""
    remedy: str
    """One or two sentences: what to do."""
    reason: str
    """Why with these figures."""
    notify_without_data: bool = False
    """Whether to notify if the data stop. CloudWatch does not if there never were any: a new stack is quiet."""
    ec2_action: Literal["recover", "reboot"] | None = None
    """The action that EC2 takes by itself."""

    @property
    def description(self) -> str:
        """The text that the message of the alarm carries."""
        return f"{self.meaning} {self.remedy} (docs/alarms.md)"


SERVING = Metric("Serving")
MEMORY = Metric("MemoryUsedPercent")
ROOT_DISK = Metric("DiskUsedPercent", {"Volume": "root"})
DATA_DISK = Metric("DiskUsedPercent", {"Volume": "data"})
SERVER_ERRORS = Metric("ServerErrors")
FAILED_RELEASES = Metric("FailedReleases")
RESTARTS = Metric("Restarts")
CERTIFICATE = Metric("CertificateLifeLeftPercent")
BACKUP = Metric("BackupAgeHours")


def metrics(watched: Watched) -> tuple[Metric, ...]:
    """Return the metrics that the host of a stack publishes: each costs money."""
    return (
        *(SERVING, MEMORY, ROOT_DISK, SERVER_ERRORS, FAILED_RELEASES, RESTARTS),
        *([DATA_DISK] if watched.data_volume else []),
        *([CERTIFICATE] if watched.certificate else []),
        *([BACKUP] if watched.backup else []),
    )


def alarms(watched: Watched) -> tuple[Alarm, ...]:
    """Return the alarms of a stack: only those about something that it has."""
    return (
        *_ALWAYS,
        *([_CREDITS] if watched.instance_type.startswith(BURSTABLE) else []),
        *([_DATA_DISK] if watched.data_volume else []),
        *([_CERTIFICATE] if watched.certificate else []),
        *([_BACKUP] if watched.backup else []),
        *([_SNAPSHOT_FAILED, _SNAPSHOT_MISSING] if watched.snapshots else []),
    )


def _disk(name: str, metric: Metric, what: str, remedy: str, reason: str) -> Alarm:
    return Alarm(
        name=name,
        metric=metric,
        statistic="Maximum",
        period_seconds=MINUTE,
        periods=5,
        to_alarm=5,
        comparison=AT_LEAST,
        threshold=85,
        missing="missing",
        meaning=f"{what} has been 85 % full for 5 minutes.",
        remedy=remedy,
        reason=reason,
    )


_ALWAYS = (
    Alarm(
        name="host-silent",
        metric=SERVING,
        statistic="SampleCount",
        period_seconds=MINUTE,
        periods=3,
        to_alarm=3,
        comparison=BELOW,
        threshold=1,
        missing="breaching",
        meaning="The host has published no metrics for at least 3 minutes: it is down, cut off, or its timer has died.",
        remedy="Look at the instance in EC2 (state, status checks, console output) and reboot it if nothing explains "
        "the silence; it serves its release by itself after a boot.",
        reason="The timer runs each minute; a reboot takes less than 3. AWS looks at two periods more than it counts, "
        "so the alarm comes 3 to 6 minutes after the last metric.",
    ),
    Alarm(
        name="not-serving",
        metric=SERVING,
        statistic="Maximum",
        period_seconds=MINUTE,
        periods=3,
        to_alarm=3,
        comparison=BELOW,
        threshold=1,
        missing="missing",
        meaning="The host is up, but its public port has not served the current release for 3 minutes.",
        remedy="Run `make status` and `make logs SERVICE=...` for the service that is down; `pulumi up` starts "
        "what is missing.",
        reason="Docker restarts what crashes within seconds, and a release turns within one minute.",
    ),
    Alarm(
        name="status-check-system",
        metric=Metric("StatusCheckFailed_System", publisher="EC2"),
        statistic="Maximum",
        period_seconds=MINUTE,
        periods=2,
        to_alarm=2,
        comparison=AT_LEAST,
        threshold=1,
        missing="missing",
        meaning="The hardware or network below the instance fails; EC2 moves the instance to other hardware.",
        remedy="Wait for the recovery (minutes) and see that the host serves; replace the instance if it does not.",
        reason="AWS recommends two periods of one minute for the recovery.",
        ec2_action="recover",
    ),
    Alarm(
        name="status-check-instance",
        metric=Metric("StatusCheckFailed_Instance", publisher="EC2"),
        statistic="Maximum",
        period_seconds=MINUTE,
        periods=3,
        to_alarm=3,
        comparison=AT_LEAST,
        threshold=1,
        missing="missing",
        meaning="The system on the instance does not answer its network (memory, kernel or disk); EC2 reboots it.",
        remedy="Read the console output for the reason once the host serves again.",
        reason="AWS recommends three periods for a reboot, so that it never races with the recovery's two.",
        ec2_action="reboot",
    ),
    Alarm(
        name="memory",
        metric=MEMORY,
        statistic="Average",
        period_seconds=MINUTE,
        periods=5,
        to_alarm=5,
        comparison=AT_LEAST,
        threshold=90,
        missing="missing",
        meaning="The host has used 90 % of its memory for 5 minutes: the next release may be refused for lack of it.",
        remedy="Look at `make status` for the service that grew and restart it, lower its memory_mib in product.yaml, "
        "or set a larger host.instanceType.",
        reason="Two generations run side by side in a release, for less than 5 minutes.",
    ),
    _disk(
        "disk-root",
        ROOT_DISK,
        "The disk of the system and of images",
        "Raise host.rootVolumeGib and run `pulumi up`. Each release already removes the images of releases that are "
        "not kept; do not prune by hand, because a rollback needs the kept ones.",
        "A release pulls its images before it removes old ones, and passes 85 % for a moment.",
    ),
    Alarm(
        name="server-errors",
        metric=SERVER_ERRORS,
        statistic="Sum",
        period_seconds=FIVE_MINUTES,
        periods=1,
        to_alarm=1,
        comparison=AT_LEAST,
        threshold=5,
        missing="notBreaching",
        meaning="At least 5 requests were answered with a status of 500 or more within 5 minutes.",
        remedy="Find them in the log group by their request ids; `reason` in the edge's line says what was away.",
        reason="One error is noise; five mean that users are affected. The alarm `host-silent` covers a host that "
        "sends nothing.",
    ),
    Alarm(
        name="release-failed",
        metric=FAILED_RELEASES,
        statistic="Sum",
        period_seconds=FIVE_MINUTES,
        periods=1,
        to_alarm=1,
        comparison=AT_LEAST,
        threshold=1,
        missing="notBreaching",
        meaning="The host refused a release; the release before it goes on serving.",
        remedy="Read the cause in the output of `up`, or on the host in the last lines of the newest file in "
        "/var/lib/slipway/journal; then deploy a corrected release.",
        reason="The terminal of `up` shows the failure; this tells everybody else, also if that terminal is gone.",
    ),
)
_CREDITS = Alarm(
    name="cpu-credits",
    metric=Metric("CPUCreditBalance", publisher="EC2"),
    statistic="Minimum",
    period_seconds=FIVE_MINUTES,
    periods=2,
    to_alarm=2,
    comparison=BELOW,
    threshold=20,
    missing="missing",
    meaning="Fewer than 20 CPU credits are left; without credits the host has a fraction of its CPU.",
    remedy="Find what uses the CPU (`make status`, the dashboard), or set a larger host.instanceType.",
    reason="20 credits are 20 minutes of one busy CPU; EC2 publishes the balance every 5 minutes. A new t3 or t3a has "
    "none yet: there the alarm begins at the first `up`, and ends within an hour or so.",
)
_DATA_DISK = _disk(
    "disk-data",
    DATA_DISK,
    "The volume of the databases",
    "Raise host.dataVolumeGib and run `pulumi up`; the file system grows at the next boot, or at the next release that "
    "mounts the volume.",
    "A database stops when its disk is full; 85 % leaves time to grow the volume.",
)
_CERTIFICATE = Alarm(
    name="certificate",
    metric=CERTIFICATE,
    statistic="Maximum",
    period_seconds=FIVE_MINUTES,
    periods=3,
    to_alarm=3,
    comparison=BELOW,
    threshold=16,
    missing="missing",
    meaning="The domain has no certificate, or one with less than 16 % of its life left.",
    remedy="Run `pulumi up`, which says why (DNS, port 80, limits of the authority, an edge that fills the folder).",
    reason="The edge renews with a third of the life left, so the renewal has failed for half of that time. In days "
    "the figure would suit only one length of life, and Let's Encrypt has certificates of 90, 45 and 6 days.",
)
_BACKUP = Alarm(
    name="backup-old",
    metric=BACKUP,
    statistic="Maximum",
    period_seconds=FIVE_MINUTES,
    periods=1,
    to_alarm=1,
    comparison=AT_LEAST,
    threshold=30,
    missing="missing",
    meaning="The last good backup of the database is at least 30 hours old.",
    remedy="`make backups` has the last error; free the volume or correct the cause, then run `make backup`.",
    reason="Backups are nightly: 24 hours, and six for one that runs late.",
)
_SNAPSHOT_FAILED = Alarm(
    name="snapshot-failed",
    metric=Metric("SnapshotsCreateFailed", publisher="DLM"),
    statistic="Sum",
    period_seconds=HOUR,
    periods=1,
    to_alarm=1,
    comparison=AT_LEAST,
    threshold=1,
    missing="notBreaching",
    meaning="AWS could not make the nightly snapshot of the data volume.",
    remedy="See what `make backups` says of the snapshots, and the account's quota of them. The next try is tomorrow, "
    "so take one by hand (docs/runbook.md, Snapshots).",
    reason="AWS tries again for an hour before it counts a snapshot as failed.",
)
_SNAPSHOT_MISSING = Alarm(
    name="snapshot-missing",
    metric=Metric("SnapshotsCreateCompleted", publisher="DLM"),
    statistic="Sum",
    period_seconds=DAY,
    periods=2,
    to_alarm=2,
    comparison=BELOW,
    threshold=1,
    missing="missing",
    notify_without_data=True,
    meaning="No snapshot of the data volume was completed for two days.",
    remedy="See why in `make backups`; docs/runbook.md, Snapshots, says how a policy leaves the state ERROR.",
    reason="A policy that AWS has stopped makes no attempt and counts no failure: its data stop, which notifies too. "
    "Two days, since a snapshot may be completed just after midnight.",
)
