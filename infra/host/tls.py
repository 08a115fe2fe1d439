"""HTTPS on the host's domain: the edges' shared folder of certificates, and why there is no certificate.

The edge gets and renews its certificates itself. Old and new edge share the folder, where one leaves its answer to the
ACME server's question for the other: whichever has the public port answers for both.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from infra.host import data, docker, firewall, untrusted
from infra.host.generation import Generation, Placed
from infra.host.graph import Service, Tls
from infra.host.host import Host
from infra.host.machine import TIMED_OUT, UnfitCertificateError
from infra.host.outcome import HostError
from infra.host.store import write

FOLDER = data.FOLDER / ".certificates"
"""On the data volume, beside the folders of services, whose names begin with a letter."""
FOLDER_IN_CONTAINER, ROOT_IN_CONTAINER = "/certificates", "/run/acme"
ROOT = "root.pem"
MOST_MIB, MOST_FILES = 16, 1000
"""Of all certificates, keys, accounts and locks, which need a twentieth. The databases have the same volume."""
ANSWER_SECONDS, POLL_SECONDS = 5.0, 1.0
DAY_SECONDS = 24 * 3600
OVERFLOW = (
    f"The edge kept more in the folder of certificates than the {MOST_MIB} MiB and {MOST_FILES} files that it may, so "
    "the folder was emptied to keep the volume for the data: deploy an edge that keeps its certificates alone."
)
"""Said, and reported as a certificate that is missing, for a day."""
LOG_LINES = 2000
"""Lines of the edge's log that are searched for a reason: each request is one."""
ERROR_CHARACTERS = 300
LATE = 1 / 6
"""The part of its lifetime that a certificate has left if it should have been renewed: Caddy does at a third."""
PROBLEM = re.compile(r"urn:ietf:params:acme:error:(\w+)(?: - )?(.*?)(?: \((?:ca|order)=|$)", re.DOTALL)
"""A problem that an ACME server reports (RFC 8555, 6.7), in an error of the edge."""
NOT_REACHED = "authorization failed"
"""The edge's words for a challenge that the server did not find solved."""


def environment(given: Tls) -> dict[str, str]:
    """Return what the edge is told of its domain."""
    values = {
        "SCHEME": "https",
        "DOMAIN": given.domain,
        "ACME_DIRECTORY": given.directory,
        "CERTIFICATES": FOLDER_IN_CONTAINER,
    }
    return {**values, "ACME_ROOT": f"{ROOT_IN_CONTAINER}/{ROOT}"} if given.root else values


def folder(given: Tls) -> str:
    """Return the folder of an ACME server's certificates: another's are of no use, and must not redirect to HTTPS."""
    return str(FOLDER / re.sub("[^a-z0-9.]+", "-", given.directory.partition("://")[2].lower()).strip("-"))


def prepare(host: Host, service: Service, image: str) -> None:
    """Have the folder of certificates before an edge starts, for the user of its image. Raises HostError."""
    given = host.graph.tls
    if given is None or not service.edge:
        return
    data.mount(host)
    user, _, group = host.must(docker.user_of_image(image), "Asking for the edge's user").strip().partition(":")
    owner = [f"--owner={user or 0}", f"--group={group or 0}"]
    host.must(["install", "--directory", "--mode=0700", *owner, folder(given)], "Making the folder of certificates")
    if given.root:
        where = _root_folder(host)
        where.mkdir(parents=True, exist_ok=True)
        where.chmod(0o755)
        write(where / ROOT, given.root, 0o644)


def mounts(host: Host, service: Service) -> list[docker.Mount]:
    """Return the folders of certificates that a container is given: none but the edge's."""
    given = host.graph.tls
    if given is None or not service.edge:
        return []
    found = [docker.Mount(folder(given), FOLDER_IN_CONTAINER, read_only=False)]
    if given.root:
        found.append(docker.Mount(str(_root_folder(host)), ROOT_IN_CONTAINER, read_only=True))
    return found


def limit(host: Host) -> None:
    """Empty the folder of certificates if an edge keeps more there than certificates need. Raises HostError then."""
    if host.graph.tls is None or not data.is_mounted(host):
        return
    if _taken(host, "--block-size=1M") <= MOST_MIB and _taken(host, "--inodes") <= MOST_FILES:
        return
    empty = ["find", str(FOLDER), "-mindepth", "2", "-delete"]
    host.must(empty, "Emptying the folder of certificates", seconds=data.FORMAT_SECONDS)
    write(host.store.root / "certificates.json", json.dumps({"emptied": host.machine.now()}))
    raise HostError(OVERFLOW)


def answers(host: Host, address: str, domain: str) -> bool:
    """Return True if an edge answers by HTTPS at an address, with a certificate of the domain that may have ended."""
    try:
        _lifetime(host, address, domain)
    except OSError:
        return False
    return True


def check_before_turn(host: Host, new: Generation, current: Generation | None) -> None:
    """Wait for the certificate if what serves has one, so that nobody is cut off. Raises HostError.

    Without one today nobody loses anything, and a first release has no edge yet that the ACME server could ask.
    """
    if current is None or current.domain is None or not _is_good(host, _edge(current).address, current.domain):
        return
    address = _edge(new).address
    if not _wait(host, address, str(new.domain)):
        raise HostError(problem(host, new, address) or f"{new.domain} has its certificate too late.", service=new.edge)


def wait_after_turn(host: Host, new: Generation, old: Generation | None) -> None:
    """Wait for a first certificate, and say why there is none: until then the edge serves by HTTP.

    An edge that tries already goes on until it is stopped, and holds the lock for it: only its log has a reason.
    """
    trying = old if old and old.domain == new.domain else None
    own, domain = host.machine.own_address(), str(new.domain)
    if not (_is_good(host, own, domain) if trying else _wait(host, own, domain)):
        host.say(problem(host, trying or new) or f"{domain} has its certificate.")


def problem(host: Host, generation: Generation | None, address: str | None = None) -> str | None:
    """Return why the domain of a generation has no good certificate, or soon none; None if all is well.

    By default the edge at the host's own address is asked, which is the one that serves.
    """
    if generation is None or generation.domain is None:
        return None
    domain, now = generation.domain, host.machine.now()
    if address is None and _was_emptied(host):
        return OVERFLOW
    try:
        begin, end = _lifetime(host, address or host.machine.own_address(), domain)
    except UnfitCertificateError as error:
        return f"The edge shows a certificate that is of no use for {domain} ({error}): deploy an edge with its own."
    except OSError:
        return f"{domain} has no certificate: {reason(_log(host, generation))}"
    if now < begin:
        return f"The certificate of {domain} is not valid yet: the host's clock may be wrong (`chronyc tracking`)."
    left = end - now
    if left >= (end - begin) * LATE:
        return None
    days = max(left, 0) / DAY_SECONDS
    return f"The certificate of {domain} ends in {days:.1f} days: {reason(_log(host, generation))}"


def life_left_percent(host: Host, generation: Generation | None) -> float | None:
    """Return the part of its life that the certificate of what serves has left; 0 for none, None without a domain."""
    if generation is None or generation.domain is None:
        return None
    if _was_emptied(host):
        return 0.0
    try:
        begin, end = _lifetime(host, host.machine.own_address(), generation.domain)
    except OSError:
        return 0.0
    now = host.machine.now()
    return 100 * (end - now) / (end - begin) if begin <= now < end else 0.0


def reason(log: str) -> str:
    """Return the last reason that an edge's log gives for a certificate that it did not get, and what to do."""
    error = ""
    for line in log.split("\n"):
        entry = untrusted.json_object(line)
        if str(entry.get("logger")).startswith("tls") and entry.get("error"):
            error = str(entry["error"])
    if not error:
        return "the edge still tries; the next `pulumi up` says what came of it."
    found = PROBLEM.search(error)
    kind, said = (found[1], found[2]) if found else ("", error)
    said = " ".join(said.split())[:ERROR_CHARACTERS]
    if kind and NOT_REACHED in error:
        return (
            f"the ACME server did not reach this host by the domain ({said}): have its A record name the output "
            "apiAddress, and let it in on port 80 (network.ingressCidrs); the edge tries again by itself."
        )
    if kind:
        return f"the ACME server refuses it, {kind} ({said}): mend that, or wait; the edge tries again by itself."
    return (
        f"the ACME server cannot be used ({said}): check host.acmeDirectory and host.acmeRoot, or wait; the edge tries "
        "again by itself."
    )


def _root_folder(host: Host) -> Path:
    return host.store.memory / "acme"


def _taken(host: Host, unit: str) -> float:
    """Return the size of the folder of certificates in a unit: infinity if counting takes too long, 0 if it fails."""
    done = host.machine.run(["du", "--summarize", unit, str(FOLDER)])
    if done.code == TIMED_OUT:
        return math.inf
    found = done.stdout.partition("\t")[0]
    return int(found) if found.isdigit() else 0


def _was_emptied(host: Host) -> bool:
    at = host.store.notes("certificates").get("emptied")
    return isinstance(at, float) and at > host.machine.now() - DAY_SECONDS


def _lifetime(host: Host, address: str, domain: str) -> tuple[float, float]:
    """Return when the certificate that an edge shows at an address begins and ends. Raises OSError."""
    return host.machine.certificate(address, firewall.HTTPS, domain, ANSWER_SECONDS)


def _is_good(host: Host, address: str, domain: str) -> bool:
    """Return True if an edge shows a certificate that people can use today."""
    try:
        begin, end = _lifetime(host, address, domain)
    except OSError:
        return False
    return begin <= host.machine.now() < end


def _log(host: Host, generation: Generation) -> str:
    # Requests are logged to the standard output, and what Caddy itself has to say to the other one.
    return host.run_docker(docker.logs(_edge(generation).container, LOG_LINES)).stderr


def _edge(generation: Generation) -> Placed:
    return generation.services[str(generation.edge)]


def _wait(host: Host, address: str, domain: str) -> bool:
    """Return True once an edge has a good certificate of its domain; False if that takes too long."""
    end = host.machine.now() + host.graph.seconds.certificate
    while not _is_good(host, address, domain):
        if host.machine.now() >= end:
            return False
        host.machine.sleep(POLL_SECONDS)
    return True
