"""Pages by keyset: a cursor names the last thing of a page, so a page costs the same however far back it is."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


class CursorError(ValueError):
    """A cursor is none that this API gave."""


@dataclass(frozen=True)
class Place:
    """A place in a list that is sorted by time and id, the newest first."""

    created_at: datetime
    id: UUID

    def cursor(self) -> str:
        """The place as clients hand it back. What is in it is no promise."""
        return base64.urlsafe_b64encode(f"{self.created_at.isoformat()} {self.id}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> "Place":
        """The place of a cursor; CursorError for anything else."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            time, _, identifier = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(" ")
            place = cls(datetime.fromisoformat(time), UUID(identifier))
        except (ValueError, binascii.Error) as error:
            raise CursorError("The cursor is none that this list gave.") from error
        # Only our own spelling: one place has one cursor, and a time without a zone is no moment.
        if place.created_at.tzinfo is None or place.cursor() != cursor:
            raise CursorError("The cursor is none that this list gave.")
        return place


@dataclass(frozen=True)
class Page:
    """What is asked for: `limit` things after a place, or from the newest on."""

    limit: int
    after: Place | None = None
