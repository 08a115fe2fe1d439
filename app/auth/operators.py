"""`python -m app.auth.operators grant|revoke EMAIL`: who is an operator. Run on the host; no route does this."""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from app.auth.accounts import PostgresAccounts
from app.auth.sign_in import normalised
from app.common import database
from app.common.environment import SettingError, database_url
from app.common.sessions import CACHED_SECONDS
from app.common.tables import OPERATOR, USER

ROLES = {"grant": OPERATOR, "revoke": USER}


async def set_role(url: str, email: str, role: str) -> bool:
    """Whether there is such an account; it has the role now."""
    engine = database.engine(url)
    try:
        return await PostgresAccounts(engine).set_role(normalised(email), role)
    finally:
        await engine.dispose()


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status: 0 where the account has its role, 1 where that failed, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m app.auth.operators", description=__doc__)
    parser.add_argument("what", choices=sorted(ROLES))
    parser.add_argument("email")
    given = parser.parse_args(arguments)
    try:
        found = asyncio.run(set_role(database_url("asyncpg", environment), given.email, ROLES[given.what]))
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except database.FAILURES as error:
        sys.stderr.write(f"The role was not changed: {database.brief(error)}\n")
        return 1
    if not found:
        sys.stderr.write(f"There is no account with the address {given.email}; sign up first.\n")
        return 1
    sys.stdout.write(f"{given.email} has the role {ROLES[given.what]} within {CACHED_SECONDS} s.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
