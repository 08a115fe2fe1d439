"""How an addition takes the place of moto's own class, and the one version of moto that this is true of."""

from importlib import metadata
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.exceptions import ServiceException
from moto.core.responses import BaseResponse

MOTO_VERSION = "5.2.5"


class AwsError(ServiceException):
    """A request that AWS refuses, with AWS's error code and wording: `AwsError(code, message)`."""


def require_moto() -> None:
    """Refuse any moto but the one that the additions override the internals of.

    Raise SystemExit with one sentence.
    """
    found = metadata.version("moto")
    if found != MOTO_VERSION:
        raise SystemExit(
            f"devcloud's AWS emulator is written against moto {MOTO_VERSION}, and moto {found} is "
            f"installed: install moto=={MOTO_VERSION} (pyproject.toml pins it), or try the additions in "
            "devcloud/emulator against the new version and change MOTO_VERSION."
        )


def install(backends: BackendDict[Any], backend: type[Any], urls: Any, response: type[BaseResponse]) -> None:
    """Let `backend` and `response` answer at the addresses that moto's own classes answered at.

    To be called before the first request: moto makes a backend when an account first uses a service.
    `urls` is moto's module of the service's addresses. `backend` names it as its `_url_module`, since moto
    would derive that from the module of the class.
    """
    backends.backend = backend
    urls.url_paths = dict.fromkeys(urls.url_paths, response.dispatch)
