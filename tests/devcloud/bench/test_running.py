"""Containers' own words: when a worker was ready, and what it is given to do."""

from devcloud.bench import running


def test_a_worker_is_ready_when_its_log_says_so() -> None:
    logs = 'starting\n{"time": "2026-11-25T10:00:01.500+00:00", "message": "ready", "level": "INFO"}\n{"message": "x"}'
    assert running.ready_at(logs) == running.seconds_of("2026-11-25T10:00:01.5Z")
    assert running.ready_at('{"message": "stopped"}\n[1]\nready') is None


def test_docker_s_nine_digits_of_a_second_are_read() -> None:
    assert running.seconds_of("1970-01-01T00:00:10.123456789Z") == 10.123456
    assert running.seconds_of("1970-01-01T00:00:10Z") == 10


def test_panels_have_eight_tests_and_differ() -> None:
    first, second = running.panel(0), running.panel(1)
    assert len(first["tests"]) == 8
    assert len({test["name"] for test in first["tests"]}) == 8
    assert first["tests"] != second["tests"]
