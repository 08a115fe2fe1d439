"""Who is asking: what a token stands for, as every service but the one that gives tokens sees it."""

from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID


@dataclass(frozen=True)
class Identity:
    """The account behind a request."""

    user_id: UUID
    email: str
    role: Literal["user", "operator"]

    @property
    def is_operator(self) -> bool:
        """Whether this account may see what belongs to others."""
        return self.role == "operator"


class Identifies(Protocol):
    """Knows tokens."""

    async def identify(self, token: str) -> Identity | None:
        """The account that a token stands for; None where it is unknown, expired or revoked.

        May raise OSError or SQLAlchemy's SQLAlchemyError: the database is away.
        """
