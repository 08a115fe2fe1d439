"""Signing up and in: rate limits, passwords, accounts and sessions together. The dashboard's form uses it too."""

from typing import Protocol
from uuid import UUID

from app.auth import passwords
from app.auth.accounts import Account, Accounts
from app.auth.passwords import Passwords
from app.common.identity import Identity
from app.common.limits import RateLimits, network
from app.common.sessions import NewSession


class Opens(Protocol):
    """Begins sessions: app.common.sessions.Sessions does."""

    async def open(self, user_id: UUID) -> NewSession:
        """Begin a session of an account."""


class SignIn:
    """Sign-up, sign-in and sign-out: exchange a password for a token.

    Every method may raise limits.TooMany, and one of app.common.database.FAILURES if the database is away.
    """

    def __init__(self, accounts: Accounts, sessions: Opens, limits: RateLimits, hashing: Passwords) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._limits = limits
        self._hashing = hashing

    async def sign_up(self, email: str, password: str, host: str | None) -> Account | None:
        """Make an account, asked for from the address `host`; None where the email has one.

        Raises passwords.WeakPassword.
        """
        email = normalised(email)
        passwords.check(password, email)
        await self._limits.hit(self._limits.rates.sign_up_by_address, "sign-up", network(host))
        return await self._accounts.add(email, await self._hashing.hash(password))

    async def sign_in(self, email: str, password: str, host: str | None) -> tuple[Identity, NewSession] | None:
        """Begin a session; None where there is no such account or this is not its password: which, nobody learns."""
        email = normalised(email)
        rates = self._limits.rates
        await self._limits.hit(rates.sign_in_by_address, "sign-in", network(host))
        # Counted before the password is looked at, so that many at once are not more than the limit.
        await self._limits.hit(rates.sign_in_by_account, "sign-in", email)
        account = await self._accounts.find(email)
        right = await self._hashing.verify(account.password_hash if account else None, password)
        if account is None or not right:
            return None
        await self._limits.forget(rates.sign_in_by_account, "sign-in", email)
        if self._hashing.outdated(account.password_hash):
            await self._accounts.set_hash(account.user_id, await self._hashing.hash(password))
        identity = Identity(user_id=account.user_id, email=account.email, role=account.role)
        return identity, await self._sessions.open(account.user_id)


def normalised(email: str) -> str:
    """One spelling of an address. All providers that people use take upper and lower case for the same."""
    return email.strip().lower()
