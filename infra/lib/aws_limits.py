"""AWS's regions, sizes, prices and limits: each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

REGIONS = (
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "ca-west-1", "mx-central-1",
    "sa-east-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1",
    "eu-west-2", "eu-west-3", "af-south-1", "il-central-1", "me-central-1", "me-south-1", "ap-east-1",
    "ap-east-2", "ap-south-1", "ap-south-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
    "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
    "ap-southeast-6", "ap-southeast-7",
)  # fmt: skip
"""The regions of AWS's standard partition (AWS General Reference, "Regions and Zones")."""

# CloudWatch Logs keeps logs for one of these numbers of days (API reference, PutRetentionPolicy).
LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)

FARGATE_MEMORY_MIB: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {
        256: (512, 1024, 2048),
        512: tuple(range(1024, 4096 + 1, 1024)),
        1024: tuple(range(2048, 8192 + 1, 1024)),
        2048: tuple(range(4096, 16384 + 1, 1024)),
        4096: tuple(range(8192, 30720 + 1, 1024)),
        8192: tuple(range(16384, 61440 + 1, 4096)),
        16384: tuple(range(32768, 122880 + 1, 8192)),
    }
)
"""Legal memory (MiB) for each legal CPU (units, 1024 = one vCPU) of a Linux task on Fargate.

Source: Amazon ECS developer guide, "Task definition parameters for Fargate", task size.
"""

MAX_STOP_TIMEOUT_SECONDS = 120
"""Fargate's longest wait between SIGTERM and SIGKILL; a Spot task gets as much notice."""


@dataclass(frozen=True)
class InstanceType:
    """An instance type for the API host: its memory, and the on-demand price of an hour of Linux."""

    memory_mib: int
    usd_per_hour: float

    @property
    def usable_mib(self) -> int:
        """The memory that Linux is assumed to offer on it: 1,960 MiB of 2 GiB, because the kernel keeps the rest.

        No figure for Amazon Linux 2023 on a t2.small was found in November 2026. AWS's example is an m4.large with
        7,985 of 8,192 MiB ("Reserving Amazon ECS Linux container instance memory", ECS developer guide), and a
        published table of what ECS registered has 1,901 for a t3.small and 3,828 for a t3.medium.
        """
        return self.memory_mib * 1960 // 2048


BURSTABLE = ("t2.", "t3.", "t3a.", "t4g.")
"""Families with CPU credits. AWS refuses a credit option for any other (hashicorp/terraform-provider-aws#5067)."""
INSTANCE_TYPES: Mapping[str, InstanceType] = MappingProxyType(
    {
        "t2.small": InstanceType(2048, 0.023),
        "t2.medium": InstanceType(4096, 0.0464),
        "t2.large": InstanceType(8192, 0.0928),
        "t3.small": InstanceType(2048, 0.0208),
        "t3.medium": InstanceType(4096, 0.0416),
        "t3.large": InstanceType(8192, 0.0832),
        "t3a.small": InstanceType(2048, 0.0188),
        "t3a.medium": InstanceType(4096, 0.0376),
        "t3a.large": InstanceType(8192, 0.0752),
    }
)
"""The instance types that the host may have: x86-64, burstable, with the 2 GB that its services need.

AWS's prices for us-east-1, as published copies of its list agreed on them in November 2026.
"""
