"""Start the current release when the host boots, and look after it each minute."""

from __future__ import annotations

import sys

from infra.host import commands, containers, front, log_shipping, metrics, secrets, serve, tls, units
from infra.host import release as releases
from infra.host.aws import AwsError
from infra.host.generation import Generation
from infra.host.host import Host
from infra.host.outcome import HostError


def boot(host: Host) -> None:
    """Serve the current release from local state alone, then compare it with the parameter.

    Raises HostError if the host has no release and AWS cannot be asked for one, or if another release is under way;
    systemd then starts it again.
    """
    before, under_way = host.store.current(), host.store.open_release()
    _finish_open_release(host)
    with host.store.lock(wait=True):
        current = host.store.current()
        if current is not None:
            host.say(f"starting release {current.release.id}")
            serve.ensure(host, current)
    if current is not None and (under_way or current != before):
        # `up` writes the parameter after the release: it may still name the one before.
        host.say(f"release {current.release.id} serves; `pulumi up` compares it with {host.graph.parameter}")
        return
    try:
        text = host.aws.parameter(host.graph.parameter)
    except AwsError as error:
        if current is None:
            raise HostError(f"The host has no release yet, and AWS {error}.") from None
        host.say(f"the parameter {host.graph.parameter} cannot be compared: AWS {error}")
        return
    if text is None:
        host.say(f"there is no parameter {host.graph.parameter}: waiting for the first release")
    elif current is not None and releases.parse(text).program != host.program_name:
        host.say(f"the parameter {host.graph.parameter} needs another program: `pulumi up` hands its release over")
    elif current is None or text != current.release.text:
        answer = commands.submit(host, text)
        if answer["busyWith"] not in (None, answer["release"]):
            raise HostError(f"The release {answer['busyWith']} is under way: the parameter is compared after it.")
        host.say(f"the parameter {host.graph.parameter} names release {answer['release']}: {answer['state']}")


def _finish_open_release(host: Host) -> None:
    """Undo or finish a release that the end of the last boot interrupted, by its own program."""
    program = host.store.open_program()
    if program is None:
        return
    host.must([sys.executable, program, "resume"], "Continuing the interrupted release", seconds=1800)


def tend(host: Host) -> None:
    """Publish metrics, renew credentials, keep the public port, continue a release, send logs, limit certificates."""
    problems = []
    for job in (metrics.publish, _renew_credentials, _keep_serving, log_shipping.ship, tls.limit):
        try:
            job(host)
        except Exception as error:  # noqa: BLE001 - what a container shows or logs must not keep the other jobs from their turn
            problems.append(error.cause if isinstance(error, HostError) else f"{type(error).__name__}: {error}")
    if problems:
        raise HostError(" ".join(problems))


def _renew_credentials(host: Host) -> None:
    for service in host.graph.services.values():
        file = host.credentials_folder(service.name) / secrets.CREDENTIALS
        age = host.machine.now() - file.stat().st_mtime if file.exists() else secrets.RENEW_SECONDS
        if service.role and file.parent.is_dir() and age >= secrets.RENEW_SECONDS:
            containers.prepare_credentials(host, service, required=False)


def _keep_serving(host: Host) -> None:
    """Keep the rule of the public port, or continue a release whose unit is gone."""
    if host.store.open_release() is not None:
        units.start_release(host)
        return
    with host.store.lock(wait=False) as free:
        current = host.store.current()
        if not free or current is None:
            return
        where = front.target(current)
        if where is not None and not front.leads_to(host, where):
            host.say("the rule of the public port was gone; it is set again")
            front.turn(host, where)
        if _lacks_data(host, current):
            serve.ensure(host, current)


def _lacks_data(host: Host, generation: Generation) -> bool:
    """Return True if a service with a volume does not run: Docker starts it again after a crash, but not without data.

    The volume may be back, such as at a replaced host.
    """
    states = host.states(generation.containers)
    return any(
        not (state := states.get(placed.container)) or not state.running
        for name, placed in generation.services.items()
        if name in host.graph.services and host.graph.services[name].volume
    )
