"""Passwords."""

import asyncio
import time

import pytest

from app.auth.passwords import MEMORY_KIB, MOST, THREADS, Passwords, WeakPassword, check

GOOD = "correct horse battery staple"
EMAIL = "ada.lovelace@lab.example"


@pytest.mark.parametrize(
    "password",
    ["", "short", "elevenchars", "x" * (MOST + 1), "a" * 20, "abababababab", EMAIL, EMAIL.upper(), "Ada.Lovelace"],
)
def test_a_password_that_is_easily_guessed_is_refused_without_repeating_it(password: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        check(password, EMAIL)
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize(
    "password", [GOOD, "twelve chars", "пароль из слов", "x" * 100 + "abcdefgh", "🐎🐄🐖🐑🐔 five beasts"]
)
def test_a_long_password_of_any_characters_is_taken(password: str) -> None:
    check(password, EMAIL)


def test_a_password_is_kept_as_argon2id_within_the_hosts_memory() -> None:
    hashed = asyncio.run(Passwords().hash(GOOD))
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert MEMORY_KIB * THREADS <= 64 * 1024
    assert GOOD not in hashed


def test_the_right_password_is_verified_and_no_other() -> None:
    async def run() -> None:
        passwords = Passwords()
        hashed = await passwords.hash("café con leche y pan")
        assert await passwords.verify(hashed, "cafe\u0301 con leche y pan")  # the same on another keyboard
        assert not await passwords.verify(hashed, "cafe con leche y pan")
        assert not await passwords.verify(None, "nobody has this password")
        assert not await passwords.verify("not a hash", GOOD)
        passwords.close()

    asyncio.run(run())


def test_no_account_takes_as_long_as_a_wrong_password() -> None:
    async def run() -> None:
        passwords = Passwords()
        hashed = await passwords.hash(GOOD)

        async def seconds(kept: str | None) -> float:
            started = time.process_time()
            await passwords.verify(kept, "not the password at all")
            return time.process_time() - started

        # In turn, and the least of each: whatever else the machine does meets both.
        times = [(await seconds(hashed), await seconds(None)) for _ in range(7)]
        there, nowhere = min(there for there, _ in times), min(nowhere for _, nowhere in times)
        assert there * 0.5 < nowhere < there * 2

    asyncio.run(run())


def test_an_old_hash_is_outdated() -> None:
    from argon2 import PasswordHasher

    passwords = Passwords()
    assert passwords.outdated(PasswordHasher(1, 8, 1).hash(GOOD))
    assert not passwords.outdated(asyncio.run(passwords.hash(GOOD)))
