"""The key of this machine's operator: made once for each cloud, and known to nobody else.

Its holder is an administrator of the cloud, as the person who runs `pulumi up` is on AWS.
"""

import argparse
import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

ID_CHARACTERS = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class OperatorKey:
    """An access key of the operator."""

    access_key: str
    secret_key: str
    USER: ClassVar[str] = "moto"
    """The user that moto takes every key for that it does not know."""

    @classmethod
    def new(cls) -> "OperatorKey":
        """Return a new one, in AWS's form."""
        return cls("AKIA" + "".join(secrets.choice(ID_CHARACTERS) for _ in range(16)), secrets.token_urlsafe(30))

    @classmethod
    def read(cls, file: Path) -> "OperatorKey":
        """Return the key that a file has."""
        content = json.loads(file.read_text())
        return cls(content["AWS_ACCESS_KEY_ID"], content["AWS_SECRET_ACCESS_KEY"])

    @classmethod
    def read_argument(cls, text: str) -> "OperatorKey":
        """Return the key that the file of a command-line argument has."""
        try:
            return cls.read(Path(text))
        except (OSError, ValueError, KeyError) as error:
            raise argparse.ArgumentTypeError(f"{text!r} is no file with an access key ({error})") from None

    def variables(self) -> Mapping[str, str]:
        """Return the environment by which AWS's clients find it."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
