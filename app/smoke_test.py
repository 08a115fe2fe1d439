"""Try what was deployed, as a person would: `python -m app.smoke_test http://127.0.0.1:8080`.

A lab panel goes in at the front door and comes out categorised by the worker. Each step is a line, `what<TAB>text`; a
failure is one sentence on standard error and exit status 1.
"""

import secrets
import sys
import time
from typing import Any

import httpx

DONE_SECONDS = 120
PANEL = {
    "patient_reference": "proof",
    "tests": [
        {"name": "HbA1c", "value": 6.1, "unit": "%"},
        {"name": "LDL cholesterol", "value": 130, "unit": "mg/dL"},
        {"name": "TSH", "value": 2.4, "unit": "mIU/L"},
    ],
}
EXPECTED = {"HbA1c": "diabetes", "LDL cholesterol": "lipids", "TSH": "thyroid"}


class SmokeTestError(Exception):
    """Something answered otherwise than it should; the message is one sentence."""


def main(arguments: list[str]) -> int:
    """Run against the address given, and return the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m app.smoke_test ADDRESS\n")
        return 2
    try:
        with httpx.Client(base_url=arguments[0], timeout=10, trust_env=False) as client:
            run(client)
    except (SmokeTestError, httpx.HTTPError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def run(client: httpx.Client) -> None:
    """Sign up, send a panel, wait for the worker's categories, and sign out. Raises SmokeTestError."""
    if client.get("/api/labs").status_code != httpx.codes.UNAUTHORIZED:
        raise SmokeTestError("The API answers GET /labs to whoever has no token: it must be 401.")
    authorised = {"Authorization": f"Bearer {sign_in(client)}"}
    answer = client.post("/api/labs", json=PANEL, headers=authorised)
    if answer.status_code != httpx.codes.ACCEPTED:
        raise SmokeTestError(f"The API refused the lab panel ({answer.status_code}): {answer.text[:300]}")
    panel = answer.json()["id"]
    say("queue", f"lab panel {panel} accepted")
    started = time.monotonic()
    result = wait_done(client, panel, authorised)
    say("worker", f"worked it off: {time.monotonic() - started:.1f} s")
    categories = {test["name"]: test["category"] for test in result["tests"]}
    say("api", f"GET /labs/{panel}: " + ", ".join(f"{name} -> {found}" for name, found in categories.items()))
    if categories != EXPECTED:
        raise SmokeTestError(f"The worker put the panel's tests into {categories}; right would be {EXPECTED}.")
    client.post("/auth/sign-out", headers=authorised).raise_for_status()


def sign_in(client: httpx.Client) -> str:
    """Return the token of an account that nobody else can use: its password is known to this call alone."""
    account = {"email": f"proof-{secrets.token_hex(8)}@example.com", "password": secrets.token_urlsafe(24)}
    for path, expected in (("/auth/sign-up", httpx.codes.CREATED), ("/auth/sign-in", httpx.codes.OK)):
        answer = client.post(path, json=account)
        if answer.status_code != expected:
            # Only the reason: an answer of another kind might hold what was sent.
            reason = answer.json().get("detail", "") if "json" in answer.headers.get("Content-Type", "") else ""
            raise SmokeTestError(f"POST {path} answered {answer.status_code}, not {expected:d}: {str(reason)[:300]}")
    say("auth", f"{account['email']} signed up and in")
    token: str = answer.json()["token"]
    return token


def wait_done(client: httpx.Client, panel: str, authorised: dict[str, str]) -> dict[str, Any]:
    """Return the panel once the worker has done it."""
    deadline = time.monotonic() + DONE_SECONDS
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        found = client.get(f"/api/labs/{panel}", headers=authorised).json()
        if found.get("status") == "done":
            return found
        time.sleep(0.2)
    raise SmokeTestError(f"The panel was not done within {DONE_SECONDS} s: it is {found.get('status', found)}.")


def say(what: str, text: str) -> None:
    """Print a step."""
    sys.stdout.write(f"{what}\t{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
