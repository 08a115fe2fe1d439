"""The forms of names and references, and the types of single settings that they make."""

from typing import Annotated

from pydantic import AfterValidator, Field

from infra.lib.schema import Legal
from infra.settings import checks

NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
HOST = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?"
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = rf"^({LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?$"
# One separator at a time, as ECR has it (Docker alone would take more in a row).
IMAGE_PATH = r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*"
IMAGE_TAG = r":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
IMAGE_DIGEST = r"@sha256:[0-9a-f]{64}"
FOLDER = r"^[A-Za-z0-9._][A-Za-z0-9._/-]*$"
SEMVER = r"(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}"

StackName = Annotated[
    str,
    Field(pattern=NAME, max_length=20),
    Legal("1 to 20 characters: lower-case letters, digits and single hyphens, a letter first"),
]
Cidr = Annotated[str, AfterValidator(checks.ingress_cidr), Legal("an IPv4 network such as 203.0.113.0/24")]
ImageReference = Annotated[
    str,
    Field(pattern=f"^({HOST}/)?{IMAGE_PATH}({IMAGE_TAG}({IMAGE_DIGEST})?|{IMAGE_DIGEST})$", max_length=255),
    Legal("an image reference with a tag, @sha256: and 64 hex digits, or both, such as python:3.11-slim"),
]
BuildSecretName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64),
    Legal("a name of lower-case letters, digits and underscores, such as hf_token"),
]
EnvironmentName = Annotated[
    str,
    Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100),
    Legal("the name of an environment variable, such as HF_TOKEN, never the secret itself", hide=True),
]
EmailAddress = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$", max_length=200),
    Legal("an e-mail address, such as team@example.com"),
]
SizeMb = Annotated[int, Field(ge=1, le=20_000)]
LimitMib = Annotated[int, Field(ge=1, le=10_000)]
