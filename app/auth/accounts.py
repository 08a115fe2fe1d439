"""Accounts in PostgreSQL."""

from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID, uuid4

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.common import database
from app.common.tables import users


@dataclass(frozen=True)
class Account:
    """Someone who may sign in. `email` is in lower case."""

    user_id: UUID
    email: str
    role: Literal["user", "operator"]
    password_hash: str


class Accounts(Protocol):
    """Where accounts are kept. Every method may raise one of app.common.database.FAILURES: the database is away."""

    async def add(self, email: str, password_hash: str) -> Account | None:
        """Make an account; None where the address has one."""

    async def find(self, email: str) -> Account | None:
        """The account of an address."""

    async def set_hash(self, user_id: UUID, password_hash: str) -> None:
        """Keep another hash of the same password."""

    async def set_role(self, email: str, role: str) -> bool:
        """Make an account a user's or an operator's; False where the address has none."""

    async def check(self) -> None:
        """Return if the database answers; raise what is wrong otherwise."""


class PostgresAccounts:
    """The accounts behind the running service."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = database.reading(engine)

    async def add(self, email: str, password_hash: str) -> Account | None:
        """The database decides which of two who come at once was first."""
        user_id = uuid4()
        query = (
            insert(users)
            .values(id=user_id, email=email, password_hash=password_hash)
            .on_conflict_do_nothing(index_elements=["email"])
            .returning(users.c.id)
        )
        async with self._engine.begin() as connection:
            made = await connection.scalar(query)
        return Account(user_id, email, "user", password_hash) if made else None

    async def find(self, email: str) -> Account | None:
        """One row, by its unique address."""
        columns = (users.c.id, users.c.email, users.c.role, users.c.password_hash)
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(*columns).where(users.c.email == email))).first()
        return row and Account(*row)

    async def set_hash(self, user_id: UUID, password_hash: str) -> None:
        """Sign-in does it when the parameters have changed since."""
        async with self._engine.begin() as connection:
            await connection.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))

    async def set_role(self, email: str, role: str) -> bool:
        """What app.auth.operators does; no route leads here."""
        query = update(users).where(users.c.email == email).values(role=role).returning(users.c.id)
        async with self._engine.begin() as connection:
            return await connection.scalar(query) is not None

    async def check(self) -> None:
        """Ask the smallest question."""
        async with self._reading.connect() as connection:
            await connection.execute(text("SELECT 1"))
