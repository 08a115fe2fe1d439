"""A disk of which a test says how much is free."""

from typing import NamedTuple


class Disk(NamedTuple):
    """As shutil.disk_usage tells it, in bytes."""

    total: float
    used: float
    free: float
