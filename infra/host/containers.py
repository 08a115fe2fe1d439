"""Start containers and wait for them, with one clear sentence for each way to fail."""

from __future__ import annotations

from collections.abc import Mapping

from infra.host import data, docker, log_shipping, probes, secrets, tls
from infra.host.aws import AwsError
from infra.host.generation import Placed
from infra.host.graph import Service
from infra.host.host import Host
from infra.host.outcome import HostError
from infra.host.probes import Answer
from infra.host.release import Release
from infra.host.store import write

POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0
"""Time between two looks at a container's state: a command of Docker costs more than a request."""
ANSWER_SECONDS = 5.0
PROBE_TRIES = 3
KILLED = 137


def secret_values(host: Host, services: list[Service], release: Release) -> Mapping[str, str]:
    """Return the values of the services' secrets, by parameter and version."""
    wanted = {where for service in services for where in secrets.parameter_names(host.graph, service, release).values()}
    return host.ask_aws(lambda: host.aws.secrets(sorted(wanted)), "Reading the secrets") if wanted else {}


def prepare_credentials(host: Host, service: Service, *, required: bool) -> None:
    """Write the credentials of a service's role; without AWS only a release fails, a boot does not."""
    if service.role is None:
        return
    folder, role = host.credentials_folder(service.name), service.role
    config = secrets.config_file(host.graph.region, host.machine.environment("AWS_ENDPOINT_URL"))
    session = f"{host.graph.name}-{service.name}"[:64]
    try:
        if required:
            found = host.ask_aws(lambda: host.aws.assume(role, session), f"Taking the role of {service.name}")
        else:
            found = host.aws.assume(role, session)
    except AwsError as error:
        secrets.write_config(folder, config)
        host.say(f"{service.name} has no fresh AWS credentials: AWS {error}")
    else:
        secrets.write_credentials(folder, found, config)


def create(
    host: Host,
    service: Service,
    placed: Placed,
    release: Release,
    values: Mapping[str, str],
    upstreams: Mapping[str, str],
) -> None:
    """Start a service's container under its name and address. Raises HostError."""
    data.prepare(host, service)
    tls.prepare(host, service, placed.image)
    environment = secrets.environment(host.graph, service, release, secrets=values, upstreams=upstreams)
    file = host.store.memory / f"{placed.container}.env"
    write(file, secrets.environment_file(service.name, environment))
    mounts = []
    if service.role:
        source = str(host.credentials_folder(service.name))
        mounts.append(docker.Mount(source, secrets.FOLDER_IN_CONTAINER, read_only=True))
    if service.volume:
        mounts.append(docker.Mount(data.folder(service), service.volume, read_only=False))
    mounts += tls.mounts(host, service)
    command = docker.run(
        docker.Container(
            name=placed.container,
            image=placed.image,
            stack=host.graph.name,
            service=service.name,
            address=placed.address,
            memory_mib=placed.memory_mib,
            stop_seconds=round(host.graph.seconds.request),
            environment_file=str(file),
            user=service.user,
            alias=service.name if service.stateful else None,
            mounts=tuple(mounts),
            tmpfs=service.tmpfs,
            publish=f"{host.graph.host_address}:{service.port}:{service.port}" if service.published else None,
            command=service.command,
        )
    )
    try:
        leftover = docker.remove([placed.container])
        host.must(leftover, f"Removing a leftover of {service.name}")
        done = host.run_docker(command, undo=leftover)
    finally:
        file.unlink(missing_ok=True)
    if done.code != 0:
        reason = docker.last_line(done.stderr)
        raise HostError(f"{service.name} cannot be started: {reason}.", service=service.name, exit_code=done.code)


def run_once(host: Host, service: Service, placed: Placed) -> None:
    """Wait until a container that runs to its end did so, and remove it. Raises HostError."""
    limit = host.graph.seconds.once
    end = host.machine.now() + limit
    while (state := host.states([placed.container]).get(placed.container)) and state.running:
        if host.machine.now() >= end:
            raise HostError(
                f"{service.name} did not end within {limit:g} s, and was stopped; its log says how far it came.",
                service=service.name,
                log=host.log_end(placed.container),
            )
        host.machine.sleep(POLL_SECONDS)
    if state is None or state.exit_code != 0:
        raise ended(host, service, placed, state)
    log_shipping.ship(host, [placed.container])
    host.must(docker.remove([placed.container]), f"Removing {service.name}")


def ended(host: Host, service: Service, placed: Placed, state: docker.State | None) -> HostError:
    """Return the failure of a container that does not run."""
    name, log = service.name, host.log_end(placed.container) if state else ""
    if state is None:
        cause = f"The container of {name} was removed by another program: deploy again"
    elif state.out_of_memory or (state.exit_code == KILLED and "MemoryError" in log):
        cause = (
            f"{name} needed more than its {placed.memory_mib} MiB of memory and was killed: "
            f"raise services.{name}.memory_mib in product.yaml, or let it use less"
        )
    elif state.restarts:
        cause = f"{name} crashed and was restarted; the end of its log may say why"
    elif "exec format error" in log:
        cause = f"{name} is built for another processor than the host's ({host.machine.architecture()}): build it again"
    else:
        cause = f"{name} ended with exit code {state.exit_code}; the end of its log may say why"
    return HostError(
        f"{cause}.",
        service=name,
        exit_code=state.exit_code if state else None,
        out_of_memory=bool(state and state.out_of_memory),
        log=log,
    )


def check_running(host: Host, started: Mapping[str, Placed], services: Mapping[str, Service]) -> None:
    """Raise HostError if one of the containers does not run, or was restarted."""
    states = host.states([placed.container for placed in started.values()])
    for name, placed in started.items():
        state = states.get(placed.container)
        if state is None or not state.running or state.restarts:
            raise ended(host, services[name], placed, state)


def wait_until_ready(host: Host, service: Service, placed: Placed, old: Placed | None) -> None:
    """Wait until a container is ready, then send its probes. Raises HostError.

    `old` is the container that serves today: ready is also one that fails only in what that one fails in.
    """
    limit = host.graph.seconds.ready
    now = host.machine.now()
    end, look = now + limit, now
    while True:
        if now >= look:
            check_running(host, {service.name: placed}, {service.name: service})
            look = now + LOOK_SECONDS
        reason = unready(host, service, placed, old)
        if reason is None:
            break
        if now >= end:
            raise HostError(
                f"{service.name} was not ready within {limit:g} s: {reason}.",
                service=service.name,
                log=host.log_end(placed.container),
            )
        host.machine.sleep(POLL_SECONDS)
        now = host.machine.now()
    for probe in service.probes:
        _probe(host, service, placed, probe.path, probe.status)
    if service.on_start:
        _finish_start(host, service, placed)
    data.keep(host, service)


def _finish_start(host: Host, service: Service, placed: Placed) -> None:
    """Run a service's command of each start, such as one that sets a password. Raises HostError."""
    done = host.run_docker(docker.execute(placed.container, service.on_start))
    if done.code != 0:
        raise HostError(
            f"The command on_start of {service.name} failed: {docker.last_line(done.stderr)}.",
            service=service.name,
            exit_code=done.code,
            log=host.log_end(placed.container),
        )


def unready(host: Host, service: Service, placed: Placed, old: Placed | None) -> str | None:
    """Return why a container is not ready; None if it is."""
    if service.check:
        done = host.run_docker(docker.execute(placed.container, service.check), seconds=ANSWER_SECONDS)
        output = docker.last_line(done.stderr or done.stdout)
        return None if done.code == 0 else f"its check `{' '.join(service.check)}` failed ({output})"
    if service.port is None:
        return None
    if service.ready is None:
        if host.machine.connects(placed.address, service.port, ANSWER_SECONDS):
            return None
        return f"nothing accepts connections on its port {service.port}"
    answer, error = _ask(host, placed, service.port, service.ready)
    if answer is None:
        if isinstance(error, ConnectionRefusedError):
            return f"nothing listens on its port {service.port}{_other_ports(host, placed)}"
        return f"GET {service.ready} on port {service.port} got no answer ({error})"
    old_answer = None
    if answer.status != 200 and old is not None and old.port is not None:
        old_answer, _ = _ask(host, old, old.port, service.ready)
    if probes.ready(answer, old_answer):
        return None
    return f"GET {service.ready} answered {answer.brief}"


def _ask(host: Host, placed: Placed, port: int, path: str) -> tuple[Answer | None, OSError | None]:
    try:
        return host.machine.get(placed.address, port, path, ANSWER_SECONDS), None
    except OSError as error:
        return None, error


def _probe(host: Host, service: Service, placed: Placed, path: str, expected: tuple[int, ...]) -> None:
    assert service.port is not None  # noqa: S101 - for mypy: product.yaml refuses probes without a port
    found = ""
    for _ in range(PROBE_TRIES):
        answer, error = _ask(host, placed, service.port, path)
        if answer is not None and answer.status in expected:
            return
        found = f"answered {answer.brief}" if answer else f"got no answer ({error})"
        host.machine.sleep(POLL_SECONDS)
    statuses = " or ".join(map(str, expected))
    raise HostError(
        f"The probe GET {path} of {service.name} {found}, but product.yaml expects {statuses}.",
        service=service.name,
        log=host.log_end(placed.container),
    )


def _other_ports(host: Host, placed: Placed) -> str:
    """Return the ports that a container listens on instead, for a sentence."""
    state = host.states([placed.container]).get(placed.container)
    try:
        ports = probes.listening_ports(host.machine.tcp_table(state.pid)) if state and state.running else frozenset()
    except OSError:
        return ""
    # Docker's own resolver listens in the container too, on a high port of 127.0.0.11.
    own = sorted(port for port in ports if port < 32768)
    return f" (it listens on {', '.join(map(str, own))})" if own else ""
