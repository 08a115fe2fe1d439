"""Secrets that the program composes: the addresses of services that run on the host in place of managed ones."""

from collections.abc import Iterator, Mapping

from infra.product import Hosted
from infra.settings.models import Settings, key_of_secret


def parameters(settings: Settings) -> dict[str, str]:
    """Return the values of all secrets by their parameters' names, those that are composed among them."""
    found = {name: settings.secret(name) for name in settings.product.secrets if settings.is_set(name)}
    for name in settings.product.secrets:
        if hosted := settings.hosted(name):
            found[name] = _address(settings, hosted, hosted.service)
    for name, hosted in _of_worker(settings):
        found[worker_parameter(settings, name)] = _address(settings, hosted, settings.network.host_address)
    return found


def worker_parameter(settings: Settings, secret: str) -> str:
    """Return the name of the parameter with the worker's value of a secret.

    It is one of its own for a service of the host, which the worker reaches by the host's private address.
    """
    return f"worker/{secret}" if settings.hosted(secret) else secret


def worker_services(settings: Settings) -> Mapping[str, int]:
    """Return the services of the host that the worker reaches, and their ports."""
    return {hosted.service: _port(settings, hosted) for _, hosted in _of_worker(settings)}


def passwords(settings: Settings) -> Mapping[str, str]:
    """Return the services of the host that have a password, by the secret that is their password."""
    found = {}
    for password, address in settings.product.passwords.items():
        if hosted := settings.hosted(address):
            found[password] = hosted.service
    return found


def problems(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each password that is missing, or that no service of the host has."""
    for password, address in settings.product.passwords.items():
        hosted = settings.product.secrets[address].hosted
        if hosted is None or settings.is_set(password) != settings.is_set(address):
            continue
        key, other = (f"{settings.project}:{key_of_secret(name)}" for name in (password, address))
        if settings.is_set(password):
            yield (
                f"{key} is set, and {other} too; it must be left out, since with an address the host runs no "
                f"{hosted.service}."
            )
        else:
            yield (
                f"{key} is not set; set it with `pulumi config set --secret {key} --stack {settings.stack}` for a "
                f"{hosted.service} on the host, or set {other} for one elsewhere."
            )


def _of_worker(settings: Settings) -> Iterator[tuple[str, Hosted]]:
    worker = settings.product.worker
    for name in worker.secrets if worker else ():
        if hosted := settings.hosted(name):
            yield name, hosted


def _address(settings: Settings, hosted: Hosted, host: str) -> str:
    password = settings.secret(hosted.password) if hosted.password else ""
    return hosted.fill(host, _port(settings, hosted), password)


def _port(settings: Settings, hosted: Hosted) -> int:
    port = settings.product.services[hosted.service].port
    assert port is not None  # noqa: S101 - for mypy: product.yaml refuses a hosted service without a port
    return port
