"""Write what a container is given: its environment, and credentials of its role. Both stay off the disk.

The environment goes to Docker by a file for root alone, never by the command line, which every process can read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from infra.host import docker, tls
from infra.host.graph import Graph, Service
from infra.host.host import Host
from infra.host.outcome import HostError
from infra.host.release import Release, digest_of
from infra.host.sigv4 import Credentials
from infra.host.store import write

FOLDER_IN_CONTAINER = "/run/aws"
CREDENTIALS, CONFIG = "credentials.json", "config"
RENEW_SECONDS = 20 * 60


def parameter_names(graph: Graph, service: Service, release: Release) -> dict[str, str]:
    """Return, for each secret variable of a service, the parameter and its version that hold the value."""
    return {
        variable: f"{graph.parameter_path}/{key}:{release.secrets[key]}" for variable, key in service.secrets.items()
    }


def environment(
    graph: Graph,
    service: Service,
    release: Release,
    *,
    secrets: Mapping[str, str],
    upstreams: Mapping[str, str],
) -> dict[str, str]:
    """Return a container's environment.

    `secrets` are values by parameter and version, `upstreams` addresses by service.
    """
    values = dict(service.environment)
    values["IMAGE_DIGEST"] = digest_of(release.images[service.name])
    # The metadata service would give a container the host's own credentials.
    values["AWS_EC2_METADATA_DISABLED"] = "true"
    if service.role:
        values["AWS_CONFIG_FILE"] = f"{FOLDER_IN_CONTAINER}/{CONFIG}"
    if service.edge:
        values.update({f"{name.upper().replace('-', '_')}_UPSTREAM": where for name, where in upstreams.items()})
        values.update(tls.environment(graph.tls) if graph.tls else {})
    values.update({name: secrets[where] for name, where in parameter_names(graph, service, release).items()})
    return values


def environment_file(service: str, values: Mapping[str, str]) -> str:
    """Return the text of Docker's file of an environment. Raises HostError for a value that it cannot hold."""
    for name, value in values.items():
        if "\n" in value or "\r" in value:
            raise HostError(
                f"The value of {name} for {service} has more than one line, which Docker's environment files cannot "
                "hold: encode it, for example in base64.",
                service=service,
            )
    return "".join(f"{name}={value}\n" for name, value in sorted(values.items()))


def in_use(host: Host) -> frozenset[str]:
    """Return the values of secrets that the stack's containers were started with. Raises HostError."""
    names = host.containers()
    found = docker.environments(host.run_docker(docker.inspect(names)).stdout) if names else []
    services = host.graph.services
    return frozenset(
        value
        for service, environment in found
        for variable, value in environment.items()
        if service in services and variable in services[service].secrets
    )


def credentials_file(credentials: Credentials) -> str:
    """Return the credentials as an AWS SDK reads them from a `credential_process`."""
    return json.dumps(
        {
            "Version": 1,
            "AccessKeyId": credentials.access_key,
            "SecretAccessKey": credentials.secret_key,
            "SessionToken": credentials.token,
            "Expiration": credentials.expiration,
        }
    )


def config_file(region: str, endpoint: str | None) -> str:
    """Return the configuration of AWS's SDKs in a container.

    A `credential_process`, because the SDKs read a file of shared credentials only once: they would fail after an hour.
    A process is asked again before its credentials expire.
    """
    lines = [
        "[default]",
        f"region = {region}",
        f"credential_process = cat {FOLDER_IN_CONTAINER}/{CREDENTIALS}",
        *([f"endpoint_url = {endpoint}"] if endpoint else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def write_credentials(folder: Path, credentials: Credentials, config: str) -> None:
    """Write a container's folder of credentials. Its user is not root, and may read it; on the host only root can."""
    write_config(folder, config)
    write(folder / CREDENTIALS, credentials_file(credentials), 0o644)


def write_config(folder: Path, config: str) -> None:
    """Write a container's folder with its configuration alone: it can start before AWS gave credentials."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    write(folder / CONFIG, config, 0o644)


def docker_login(registry: str, token: str) -> str:
    """Return Docker's configuration with a registry's login."""
    return json.dumps({"auths": {registry: {"auth": token}}})
