"""Sessions: what a token stands for, kept in PostgreSQL, with Redis in front of it for as long as it is there."""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncEngine

from app.common import database
from app.common.cache import Cache
from app.common.identity import Identity
from app.common.tables import sessions, users

LIFETIME = timedelta(hours=12)
"""A shift in a laboratory and its handover: nobody signs in twice in one, and a browser that was left signed in at a
shared desk is worth nothing the next morning. There is no refresh: whoever works longer signs in again."""

CACHED_SECONDS = 30
# Longer than an entry can live, so that no request which began before a sign-out brings the session back.
REVOKED_SECONDS = 2 * CACHED_SECONDS
REVOKED = b"revoked"
# What `secrets.token_urlsafe(32)` gives. Anything else is no token, and nobody need be asked.
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class NewSession:
    """A session that has just begun. The token is given out here and kept nowhere."""

    token: str
    expires_at: datetime


class Sessions:
    """Sessions in PostgreSQL. `identify` makes this an app.common.identity.Identifies.

    A revoked token is refused at once: a mark in Redis takes the place of the cached entry. Where Redis cannot be
    reached at that moment, an entry that it still holds ends after CACHED_SECONDS at most.
    """

    def __init__(self, engine: AsyncEngine, cache: Cache) -> None:
        self._engine = engine
        self._reading = database.reading(engine)
        self._cache = cache

    async def open(self, user_id: UUID) -> NewSession:
        """Begin a session of an account."""
        token = secrets.token_urlsafe(32)
        expires_at = datetime.now(UTC) + LIFETIME
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(sessions).values(token_sha256=digest(token), user_id=user_id, expires_at=expires_at)
            )
        return NewSession(token, expires_at)

    async def identify(self, token: str) -> Identity | None:
        """The account that a token stands for; None where it is unknown, expired or revoked."""
        if not TOKEN.fullmatch(token):
            return None
        key = cache_key(token)
        cached = await self._cache.get(key)
        if cached == REVOKED:
            return None
        if cached is not None and (identity := read(cached)) is not None:
            return identity
        query = (
            select(users.c.id, users.c.email, users.c.role, sessions.c.expires_at)
            .join_from(sessions, users)
            .where(
                sessions.c.token_sha256 == digest(token),
                sessions.c.revoked_at.is_(None),
                sessions.c.expires_at > func.now(),
            )
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        identity = Identity(user_id=row.id, email=row.email, role=row.role)
        # A session that ends sooner is not kept at all: it may not outlive itself in the cache.
        if row.expires_at - datetime.now(UTC) > timedelta(seconds=CACHED_SECONDS):
            await self._cache.put(key, written(identity), CACHED_SECONDS, replace=False)
        return identity

    async def revoke(self, token: str) -> None:
        """End the session of a token, from this moment on. A token that is none changes nothing."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(sessions)
                .where(sessions.c.token_sha256 == digest(token), sessions.c.revoked_at.is_(None))
                .values(revoked_at=func.now())
            )
        await self._cache.put(cache_key(token), REVOKED, REVOKED_SECONDS)

    async def sweep(self) -> int:
        """Delete the sessions that are over; their number."""
        over = or_(sessions.c.expires_at <= func.now(), sessions.c.revoked_at.is_not(None))
        async with self._engine.begin() as connection:
            result = cast("CursorResult[object]", await connection.execute(delete(sessions).where(over)))
        return result.rowcount


def digest(token: str) -> bytes:
    """What the database knows a token by (SHA-256, 32 bytes): 256 random bits need no slower hash."""
    return hashlib.sha256(token.encode()).digest()


def cache_key(token: str) -> str:
    """What the cache knows a token by. Not the token: whoever reads the cache can sign in as nobody."""
    return f"session:{digest(token).hex()}"


def written(identity: Identity) -> bytes:
    """An identity for the cache."""
    return json.dumps([str(identity.user_id), identity.email, identity.role]).encode()


def read(value: bytes) -> Identity | None:
    """An identity from the cache; None for one that another release wrote in a way of its own.

    The key has no version: a revoked token must be marked for all releases that run.
    """
    try:
        user_id, email, role = json.loads(value)
        return Identity(user_id=UUID(user_id), email=email, role=role)
    except (ValueError, TypeError, AttributeError):
        return None
