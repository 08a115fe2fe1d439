"""Whether a domain leads to the host, as this machine sees it."""

import socket
from typing import Any

import pytest

from infra.lib import domain_name

ADDRESS = "203.0.113.7"
A_RECORD = f"have its A record name {ADDRESS}"


def answers(monkeypatch: pytest.MonkeyPatch, answer: list[str] | OSError) -> None:
    """Let the resolver answer with addresses, or fail."""

    def resolve(name: str, *_: Any, **__: Any) -> Any:
        assert name == "labs.example.com"
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in answer]

    monkeypatch.setattr(domain_name.socket, "getaddrinfo", resolve)


@pytest.mark.parametrize("found", [[ADDRESS], ["198.51.100.1", ADDRESS]])
def test_a_domain_that_leads_to_the_host_needs_no_note(monkeypatch: pytest.MonkeyPatch, found: list[str]) -> None:
    answers(monkeypatch, found)
    assert domain_name.note("labs.example.com", ADDRESS) is None


@pytest.mark.parametrize(
    ("found", "leads", "remedy"),
    [
        (["198.51.100.2", "198.51.100.1"], "leads to 198.51.100.1, 198.51.100.2 and not to this host", A_RECORD),
        (["198.51.100.1", "2001:db8::1"], "leads to 198.51.100.1 and not to this host", A_RECORD),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "has no A record", A_RECORD),
        (
            [ADDRESS, "2001:db8::1"],
            "has an AAAA record too (2001:db8::1), which Let's Encrypt prefers, and this host has no IPv6",
            "remove that record",
        ),
    ],
)
def test_a_domain_that_leads_elsewhere_is_a_note_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, found: list[str] | OSError, leads: str, remedy: str
) -> None:
    answers(monkeypatch, found)
    assert domain_name.note("labs.example.com", ADDRESS) == (
        f"host.domain: labs.example.com {leads}, as this machine sees it: {remedy}. Until then there is no "
        "certificate, and Let's Encrypt refuses more after 5 failed tries in an hour."
    )


def test_a_resolver_that_does_not_answer_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    assert domain_name.note("labs.example.com", ADDRESS) is None


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = domain_name.threading.Event()

    def resolve(*_: Any) -> Any:
        waiting.wait(30)
        return []

    monkeypatch.setattr(domain_name.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(domain_name, "PATIENCE_SECONDS", 0.05)
    assert domain_name.note("labs.example.com", ADDRESS) is None
    waiting.set()
