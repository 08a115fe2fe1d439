"""The table at the end of `make up`."""

from devcloud.cli.summary import timeline
from devcloud.pulumi.progress import Build, Result


def test_every_phase_has_a_line_and_the_last_is_the_total() -> None:
    result = Result(
        builds={"api": Build(seconds=57.0, push_seconds=2.1), "web": Build(seconds=8.0), "base": Build()},
        host={"pull": 3.0, "migrate": 2.4, "start": 13.0, "verify": 6.5, "switch": 5.1},
        seconds=95.0,
    )
    assert list(timeline(result)) == [
        ("build", "api 55 s, web 8.0 s"),
        ("push", "api 2.1 s, web 0.0 s"),
        ("pull", "3.0 s"),
        ("migrate", "2.4 s"),
        ("start", "13 s"),
        ("verify", "6.5 s"),
        ("switch", "5.1 s"),
        ("total", "1 min 35 s"),
    ]


def test_an_up_that_changed_nothing_has_its_total_alone() -> None:
    assert list(timeline(Result(seconds=8.0))) == [("total", "8.0 s")]
