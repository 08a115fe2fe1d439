"""Let one app serve a whole module's tests, each with neighbors of its own."""

from typing import Any


class Swapped:
    """Passes all that is asked of it on to `to`, which each test sets anew.

    FastAPI works an app's routes out as they are first asked for, which takes longer than all that a test asks.
    """

    def __init__(self) -> None:
        self.to: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.to, name)
