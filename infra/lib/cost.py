"""Estimate what a stack costs a month, part by part, so that a preview can show the bill before it exists.

Prices are US dollars in us-east-1 for Linux on x86, read in November 2026 on the pages of aws.amazon.com that each
names. A month is 730 hours, as AWS counts it.
"""

from infra.lib.aws_limits import INSTANCE_TYPES

HOURS_PER_MONTH = 730
MIB_PER_GIB = 1024
CPU_UNITS_PER_VCPU = 1024

PUBLIC_IPV4 = 0.005
"""An hour of a public IPv4 address (vpc/pricing)."""
FARGATE_VCPU = 0.04048
"""An hour of a vCPU, on demand (fargate/pricing)."""
FARGATE_GB = 0.004445
"""An hour of a GB of memory, on demand (fargate/pricing)."""
VOLUME_GIB = 0.08
"""A month of a GiB of gp3 (ebs/pricing)."""
SNAPSHOT_GIB = 0.05
"""A month of a GiB of snapshots in the standard tier (ebs/pricing)."""
CHANGED_EACH_DAY = 0.05
"""Part of a volume that changes from one snapshot to the next: assumed, and rather much for a small database, whose
dump of the night is new each time."""
ECR_GB = 0.10
"""A month of a GB in a private repository (ecr/pricing)."""
LOGS_GB = 0.50
"""A GB taken in by CloudWatch Logs (cloudwatch/pricing)."""
ALARM, METRIC, DASHBOARD = 0.10, 0.30, 3.00
"""A month of an alarm, of a metric that AWS does not publish itself, and of a dashboard (cloudwatch/pricing). Of each
an account has some free (10 alarms, 10 metrics, 3 dashboards), which its stacks share: the bill leaves that out."""
METRICS_CALL = 0.01 / 1000
"""A call that publishes metrics (cloudwatch/pricing)."""
METRICS_CALLS = HOURS_PER_MONTH * 60
"""The host makes one each minute."""
SPOT_DISCOUNT = 0.65
"""How much less Fargate Spot costs than Fargate. It moves; 50 to 70 % was seen, AWS says "up to 70 %"."""

CUDA_GB = 3
"""Installed size of the CUDA libraries that PyTorch from the package registry brings, in GB."""
CUDA_BASE_COMPRESSED_GB = 2.7
CUDA_BASE_MINUTES = 2.6
"""Of a base with that PyTorch: its size as zstd, and the time to build and push it from an empty cache on 2 cores; both
measured in November 2026 with torch 2.13."""


def cuda_sentence(project: str, budget_mb: int) -> str:
    """Return what PyTorch from the package registry costs; `budget_mb` is the base's budget."""
    return (
        f"PyTorch comes from the package registry, whose build brings about {CUDA_GB} GB of CUDA libraries that "
        f"nothing here uses: the base is over its budget of {budget_mb:,} MB, has {CUDA_BASE_COMPRESSED_GB} GB to "
        f"push and to pull, and takes {CUDA_BASE_MINUTES} minutes or more to build (what runs carries none of it). "
        f"To save that, let {project}:images.torch name a CPU index or a folder of wheels."
    )


def snapshots_gib(volume_gib: int, kept: int) -> float:
    """Return the GiB of a volume's snapshots: all of it once, then what changed. AWS counts only blocks in use."""
    return volume_gib * (1 + CHANGED_EACH_DAY * (kept - 1)) if kept else 0


def estimate(
    *,
    instance_type: str,
    volumes_gib: int,
    snapshots_gib: float,
    worker_cpu: int,
    worker_memory_mib: int,
    worker_tasks: int,
    ecr_gb: float,
    logs_gb: float,
    alarms: int,
    metrics: int,
    dashboards: int,
) -> dict[str, float]:
    """Return the bill of a stack that runs all month with `worker_tasks` tasks: US dollars by part, to the cent.

    `worker_cpu` is in units of 1/1024 vCPU. `ecr_gb` and `logs_gb` are assumptions of the caller: GB kept in the
    registry, and logged in a month. A stack that does not own the repositories passes `ecr_gb=0`, or the same GB would
    be billed twice. `metrics` are those that the stack publishes itself. Raises KeyError for an instance type that is
    not in INSTANCE_TYPES (settings let no other through).
    """
    vcpu, memory_gb = worker_cpu / CPU_UNITS_PER_VCPU, worker_memory_mib / MIB_PER_GIB
    task = (vcpu * FARGATE_VCPU + memory_gb * FARGATE_GB) * (1 - SPOT_DISCOUNT) * HOURS_PER_MONTH
    addresses = 1 + worker_tasks  # the host's, and one a task
    bill = {
        "api host": INSTANCE_TYPES[instance_type].usd_per_hour * HOURS_PER_MONTH,
        "worker": task * worker_tasks,
        "public IPv4": PUBLIC_IPV4 * HOURS_PER_MONTH * addresses,
        "volumes": VOLUME_GIB * volumes_gib,
        "snapshots": SNAPSHOT_GIB * snapshots_gib,
        "registry": ECR_GB * ecr_gb,
        "logs": LOGS_GB * logs_gb,
        "alarms": ALARM * alarms,
        "metrics": METRIC * metrics + METRICS_CALL * METRICS_CALLS,
        "dashboard": DASHBOARD * dashboards,
    }
    return {part: round(usd, 2) for part, usd in bill.items()}


def total(bill: dict[str, float]) -> float:
    """Return the sum of a bill, to the cent."""
    return round(sum(bill.values()), 2)
