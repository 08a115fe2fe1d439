"""What a stack costs a month, in parts, so that a preview can show the bill before it exists.

Prices are US dollars in us-east-1; each says where it was read and when. A month is 730 hours, as AWS counts
it.
"""

from dataclasses import dataclass

from infra.lib.aws_limits import INSTANCE_TYPES

HOURS_PER_MONTH = 730
MIB_PER_GIB = 1024
CPU_UNITS_PER_VCPU = 1024


@dataclass(frozen=True)
class Price:
    """One price in US dollars: for how much of what, read where, and when (year-month)."""

    usd: float
    unit: str
    source: str
    date: str


def _ec2(name: str, usd: float) -> Price:
    return Price(usd, f"hour of {name}", "aws.amazon.com/ec2/pricing/on-demand, Linux", "2026-11")


PUBLIC_IPV4 = Price(0.005, "hour of a public IPv4 address", "aws.amazon.com/vpc/pricing", "2026-11")
FARGATE_VCPU = Price(0.04048, "hour of a vCPU", "aws.amazon.com/fargate/pricing, Linux/x86", "2026-11")
FARGATE_GB = Price(0.004445, "hour of a GB", "aws.amazon.com/fargate/pricing, Linux/x86", "2026-11")
VOLUME_GIB = Price(0.08, "month of a GiB of gp3", "aws.amazon.com/ebs/pricing", "2026-11")
ECR_GB = Price(0.10, "month of a GB in a private repository", "aws.amazon.com/ecr/pricing", "2026-11")
LOGS_GB = Price(0.50, "GB taken in by CloudWatch Logs", "aws.amazon.com/cloudwatch/pricing", "2026-11")

SPOT_DISCOUNT = 0.65
"""How much less Fargate Spot costs than Fargate. It moves; 50 to 70 % was seen, AWS says "up to 70 %"."""


@dataclass(frozen=True)
class Part:
    """One line of the bill: US dollars a month, how the number came about, and where its price was read."""

    name: str
    usd: float
    basis: str
    source: str


@dataclass(frozen=True)
class Estimate:
    """The bill of a month, in US dollars."""

    parts: tuple[Part, ...]

    @property
    def total_usd(self) -> float:
        """The sum of the parts, to the cent."""
        return round(sum(part.usd for part in self.parts), 2)

    def by_part(self) -> dict[str, float]:
        """Name of the part -> US dollars a month: what a stack's output shows."""
        return {part.name: part.usd for part in self.parts}


CUDA_GB = 3
"""What CUDA's libraries add to PyTorch from the package registry, installed, in GB."""
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


def _part(name: str, amount: float, basis: str, price: Price) -> Part:
    return Part(name, round(amount * price.usd, 2), basis, f"{price.source}, {price.date}")


def estimate(
    *,
    instance_type: str,
    volumes_gib: int,
    worker_cpu: int,
    worker_memory_mib: int,
    worker_tasks: int,
    ecr_gb: float,
    logs_gb: float,
) -> Estimate:
    """The monthly bill of a stack that runs all month with `worker_tasks` tasks (`worker_cpu` in units of
    1/1024 vCPU).

    `ecr_gb` and `logs_gb` are what is kept in the registry, and what is logged in a month: assumptions of the
    caller. A stack that does not own the repositories passes `ecr_gb=0`, or the same gigabytes would be
    billed twice. Raises KeyError for an instance type that is not in INSTANCE_TYPES (settings let no other
    through).
    """
    hours = HOURS_PER_MONTH
    spot = 1 - SPOT_DISCOUNT
    vcpu = worker_cpu / CPU_UNITS_PER_VCPU
    memory_gb = worker_memory_mib / MIB_PER_GIB
    task_usd = (vcpu * FARGATE_VCPU.usd + memory_gb * FARGATE_GB.usd) * spot * hours
    addresses = 1 + worker_tasks
    return Estimate(
        (
            _part(
                "api host",
                hours,
                f"{instance_type}, {hours} h",
                _ec2(instance_type, INSTANCE_TYPES[instance_type].usd_per_hour),
            ),
            Part(
                "worker",
                round(task_usd * worker_tasks, 2),
                f"{worker_tasks} Fargate Spot task(s) of {vcpu:g} vCPU and {memory_gb:g} GB, {hours} h, "
                f"{SPOT_DISCOUNT:.0%} below on demand",
                f"{FARGATE_VCPU.source}, {FARGATE_VCPU.date}",
            ),
            _part(
                "public IPv4",
                hours * addresses,
                f"{addresses} address(es): the host's, one a task",
                PUBLIC_IPV4,
            ),
            _part("volumes", volumes_gib, f"{volumes_gib} GiB of gp3", VOLUME_GIB),
            _part("registry", ecr_gb, f"{ecr_gb:g} GB of images and caches", ECR_GB),
            _part("logs", logs_gb, f"{logs_gb:g} GB a month", LOGS_GB),
        )
    )
