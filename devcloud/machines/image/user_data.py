"""Stand in for cloud-init: run the instance's user data once, at its first boot.

Only a script (`#!`) is taken; cloud-init's other kinds are refused on the console. What the script prints goes to the
console and to /var/log/cloud-init-output.log, as with cloud-init.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

METADATA = "169.254.169.254"
INSTANCE = Path("/var/lib/cloud/instance")
LOG = Path("/var/log/cloud-init-output.log")
WAIT_SECONDS = 120


def ask(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
    """Return the status and the body of an answer of the metadata service. Raise OSError if there is none."""
    connection = http.client.HTTPConnection(METADATA, timeout=5)
    try:
        connection.request(method, f"/latest/{path}", headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from None
    finally:
        connection.close()


def fetch() -> str | None:
    """Return the user data from the metadata service, or None if the instance has none. Wait for the service."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            status, token = ask("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
            if status == http.HTTPStatus.OK:
                status, text = ask("GET", "user-data", {"X-aws-ec2-metadata-token": token})
                return text if status == http.HTTPStatus.OK else None
            problem = f"it answered {status}"
        except OSError as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise SystemExit(f"cloud-init (stand-in): the metadata service did not answer: {problem}")
        time.sleep(0.2)


def main() -> int:
    """Run the user data. Return its exit code."""
    text = fetch()
    INSTANCE.mkdir(parents=True, exist_ok=True)
    # Before it runs: user data that was killed in the middle does not run again.
    (INSTANCE / "user-data-ran").touch()
    if text is None:
        print("cloud-init (stand-in): no user data")
        return 0
    script = INSTANCE / "user-data.txt"
    script.write_text(text)
    script.chmod(0o700)
    if not text.startswith("#!"):
        print(f"cloud-init (stand-in): only scripts (#!) are run, and the user data begins {text[:20]!r}")
        return 1
    with LOG.open("a") as log:
        process = subprocess.Popen([str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in process.stdout or ():
            sys.stdout.write(line)
            log.write(line)
            log.flush()
            sys.stdout.flush()
        code = process.wait()
    print(f"cloud-init (stand-in): user data {'ran' if code == 0 else 'FAILED'}, exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
