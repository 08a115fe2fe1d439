"""Stand in for cloud-init: run the instance's user data once, at its first boot.

Only a script (`#!`) is taken; cloud-init's other kinds are refused on the console. What the script prints goes to the
console and to /var/log/cloud-init-output.log, as with cloud-init.
"""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

METADATA = "http://169.254.169.254/latest"
INSTANCE = Path("/var/lib/cloud/instance")
LOG = Path("/var/log/cloud-init-output.log")
WAIT_SECONDS = 120


def fetch() -> str | None:
    """Return the user data from the metadata service, or None if the instance has none. Wait for the service."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            request = urllib.request.Request(
                f"{METADATA}/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
            )
            token = urllib.request.urlopen(request, timeout=5).read().decode()
            request = urllib.request.Request(f"{METADATA}/user-data", headers={"X-aws-ec2-metadata-token": token})
            found: bytes = urllib.request.urlopen(request, timeout=5).read()
            return found.decode()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            problem: OSError = error
        except OSError as error:
            problem = error
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
