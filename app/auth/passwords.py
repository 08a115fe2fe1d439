"""Passwords: what is taken for one, and how it is kept (argon2id)."""

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

LEAST, MOST = 12, 128
"""Characters. Length is what counts (NIST SP 800-63B): nothing is asked of the kinds of characters."""
LEAST_DIFFERENT = 5

# OWASP's first choice where memory is short: 19 MiB, two passes, one lane. The host of all services has 2 GB, and the
# library's own 64 MiB and four lanes on its one core would let a few people who sign in at once push the others out.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
# At most this many at once: 38 MiB, and the event loop keeps a core's share for everything else.
THREADS = 2


class WeakPassword(ValueError):  # noqa: N818 - a refusal
    """A password is not taken; the message is for whoever chose it, and does not repeat it."""


def check(password: str, email: str) -> None:
    """Raise WeakPassword for a password that the rules do not take for the account of `email`."""
    if not LEAST <= len(password) <= MOST:
        raise WeakPassword(f"The password needs from {LEAST} to {MOST} characters.")
    if len(set(password.casefold())) < LEAST_DIFFERENT:
        raise WeakPassword(f"The password needs at least {LEAST_DIFFERENT} different characters.")
    if password.casefold() in (email.casefold(), email.casefold().partition("@")[0]):
        raise WeakPassword("The password may not be the email address.")


class Passwords:
    """Hashes and verifies in threads: argon2 takes tens of milliseconds and lets go of the interpreter meanwhile."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES, type=Type.ID)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        # Where there is no account, the password is verified against this: it takes as long, so that the time
        # of an answer does not tell whether there is one.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The hash to keep, with its salt and parameters."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._hasher.hash, normalised(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether this is the password; False, after as long, where there is no hash."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._verify, password_hash, normalised(password))

    def outdated(self, password_hash: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: bytes) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None


def normalised(password: str) -> bytes:
    """The same bytes from every keyboard: an é is one character on some and two on others."""
    return unicodedata.normalize("NFKC", password).encode()
