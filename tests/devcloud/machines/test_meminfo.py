"""A host's /proc/meminfo has the numbers of its control group."""

from pathlib import Path

from devcloud.machines.image import meminfo

MIB = 1024 * 1024
STAT = "cache 1\ntotal_cache {}\ntotal_active_file {}\ntotal_inactive_file {}\ntotal_shmem {}\n"


def fields(text: str) -> dict[str, int]:
    """Return the fields in MiB, as a reader of /proc/meminfo finds them."""
    return {line.split(":")[0]: int(line.split()[1]) // 1024 for line in text.splitlines()}


def test_the_group_is_the_one_that_systemd_was_started_in() -> None:
    first = "12:hugetlb:/docker/ab\n9:memory:/docker/ab/init.scope\n0::/docker/ab\n"
    assert meminfo.group(first) == (Path("/sys/fs/cgroup/memory/docker/ab"), 1)
    assert meminfo.group("4:cpu,memory:/docker/ab\n") == (Path("/sys/fs/cgroup/memory/docker/ab"), 1)
    assert meminfo.group("0::/init.scope\n") == (Path("/sys/fs/cgroup"), 2)


def test_the_page_cache_is_used_and_available() -> None:
    stat = STAT.format(400 * MIB, 100 * MIB, 250 * MIB, 50 * MIB)
    found = fields(meminfo.meminfo(1810 * MIB, 1000 * MIB, stat, 1))
    assert (found["MemTotal"], found["MemFree"], found["MemAvailable"]) == (1810, 810, 1160)
    assert (found["Cached"], found["Shmem"], found["SwapTotal"]) == (400, 50, 0)


def test_the_second_version_of_control_groups_names_them_otherwise() -> None:
    stat = f"file {400 * MIB}\nactive_file {100 * MIB}\ninactive_file {250 * MIB}\nshmem {50 * MIB}\n"
    first = meminfo.meminfo(1810 * MIB, 1000 * MIB, STAT.format(400 * MIB, 100 * MIB, 250 * MIB, 50 * MIB), 1)
    assert meminfo.meminfo(1810 * MIB, 1000 * MIB, stat, 2) == first


def test_the_text_has_always_the_same_length() -> None:
    small = meminfo.meminfo(1024, 1024, STAT.format(0, 0, 0, 0), 1)
    large = meminfo.meminfo(900_000 * MIB, 0, STAT.format(*[800_000 * MIB] * 4), 1)
    assert len(small) == len(large)
    assert small.splitlines()[0] == "MemTotal:              1 kB"
