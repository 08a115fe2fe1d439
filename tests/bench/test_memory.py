"""Memory from the kernel's own files, under both kinds of control groups."""

from pathlib import Path

from bench import memory

V1 = "9:memory:/docker/abc\n8:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
V2 = "0::/system.slice/docker-abc.scope\n"


def status(proc: Path, pid: int, rss: int, peak: int) -> None:
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    (proc / str(pid) / "status").write_text(f"Name:\tx\nVmHWM:\t  {peak} kB\nVmRSS:\t   {rss} kB\n")


def test_the_memory_group_is_found_under_both_kinds() -> None:
    assert memory.group(V1) == "docker/abc"
    assert memory.group(V2) == "system.slice/docker-abc.scope"
    assert memory.group("") == ""


def test_all_processes_of_a_container_count(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    status(proc, 10, 2048, 4096)
    status(proc, 11, 1024, 1024)
    (proc / "10" / "cgroup").write_text(V1)
    folder = groups / "memory" / "docker" / "abc"
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text("10\n11\n")
    pids = memory.processes(10, proc, groups)
    assert pids == [10, 11]
    assert memory.resident_mib(pids, proc) == 3
    assert memory.peak_mib(pids, proc) == 5


def test_a_process_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    status(tmp_path, 10, 1024, 1024)
    assert memory.resident_mib([10, 99], tmp_path) == 1


def test_without_a_readable_group_the_first_process_alone_counts(tmp_path: Path) -> None:
    status(tmp_path / "proc", 10, 1024, 1024)
    (tmp_path / "proc" / "10" / "cgroup").write_text(V2)
    assert memory.processes(10, tmp_path / "proc", tmp_path / "groups") == [10]
