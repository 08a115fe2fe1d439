"""The emulator answers programs of this machine, and no web page."""

import pytest

from devcloud.emulator.callers import Callers, is_own


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:4566", True),
        ("172.17.0.1:4566", True),
        ("169.254.169.254", True),
        ("localhost:4566", True),
        ("host.docker.internal:4566", True),
        ("attacker.example:4566", False),
        ("127.0.0.1.attacker.example", False),
        ("", False),
    ],
)
def test_a_name_that_leads_here_by_foreign_dns_is_none_of_ours(host: str, own: bool) -> None:
    assert is_own(host) is own


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"HTTP_HOST": "127.0.0.1:4566"}, "200 OK"),
        ({"HTTP_HOST": "127.0.0.1:4566", "HTTP_ORIGIN": "https://attacker.example"}, "403 Forbidden"),
        ({"HTTP_HOST": "attacker.example"}, "403 Forbidden"),
    ],
)
def test_a_page_in_a_browser_gets_no_answer(headers: dict[str, str], status: str) -> None:
    said: list[str] = []

    def application(_environ: object, start_response: object) -> list[bytes]:
        said.append("200 OK")
        return [b""]

    list(Callers(application)(headers, lambda found, *_: said.append(found)))  # type: ignore[arg-type]
    assert said == [status]
