"""Requests and responses of the auth service."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from app.auth.passwords import LEAST, MOST
from app.common.web import Check

MAX_EMAIL = 254
# As browsers check <input type="email">, with a domain of two parts at least. Whether the mailbox is there, no pattern
# knows.
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{LABEL}(?:\.{LABEL})+$"

Email = Annotated[str, StringConstraints(max_length=MAX_EMAIL, pattern=EMAIL)]
Role = Literal["user", "operator"]
EXAMPLE = ConfigDict(
    extra="forbid",
    json_schema_extra={"example": {"email": "ada@lab.example", "password": "correct horse battery staple"}},
)


class Credentials(BaseModel):
    """An address and a password, to sign in."""

    model_config = EXAMPLE

    email: Email
    # What cannot be anyone's password is not hashed to find that out; a longer one would cost more time.
    password: Annotated[SecretStr, Field(min_length=1, max_length=MOST)]


class NewAccount(BaseModel):
    """An address and a password, to sign up. A password needs 12 characters, five of them different."""

    model_config = EXAMPLE

    email: Email
    password: Annotated[SecretStr, Field(min_length=LEAST, max_length=MOST)]


class Me(BaseModel):
    """An account."""

    user_id: UUID
    email: str
    role: Role


class Token(BaseModel):
    """A session: send the token as `Authorization: Bearer <token>` until it expires. It is shown once."""

    token: str
    expires_at: datetime


class Readiness(BaseModel):
    """Each thing that the service needs, by name. The cache may be away: slower, not down."""

    ready: bool
    database: Check
    cache: Check
