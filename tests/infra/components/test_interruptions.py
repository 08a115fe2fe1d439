"""The sentences about what an `up` will interrupt."""

from infra.components import interruptions


def test_a_restart_names_what_changes() -> None:
    old = {"madeFrom": {"image": "a", "memoryMib": 256, "port": 5432}}
    new = {"madeFrom": {"image": "b", "memoryMib": 300, "port": 5432}}
    assert interruptions.restart("search", old, new) == (
        "search restarts, since its image and memoryMib will change: requests that need it wait or fail until it is "
        "ready again."
    )


def test_a_new_password_says_for_how_long() -> None:
    assert "until the new services serve" in interruptions.new_password("search")
