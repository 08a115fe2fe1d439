"""No package of an image has a known vulnerability, wherever the database of those can be asked."""

import subprocess
from collections.abc import Callable

import pytest

from images.lock import CPU, LOCKS, ROOT

# Needs no cloud, but the network: not for `make check`.
pytestmark = pytest.mark.cloud

PROBE = "images/api/installer.lock"
"""One package, which every database knows."""
# The CPU build of torch has a version of its own, which no database knows; the other lock has the same packages.
AUDITED = [lock.path for lock in LOCKS if lock.path != CPU]


def audit(lock: str) -> subprocess.CompletedProcess[str]:
    command = ["pip-audit", "--strict", "--progress-spinner", "off", "--disable-pip", "--require-hashes", "-r", lock]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def database(note: Callable[[str], None]) -> None:
    """The database; where it cannot be asked, the run says so at its end."""
    done = audit(PROBE)
    if done.returncode != 0 and "known vulnerabilit" not in done.stdout + done.stderr:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        note(f"pip-audit cannot ask its database from here, so {len(AUDITED)} locks were not audited ({reason})")
        pytest.skip("pip-audit cannot ask its database from here")


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("lock", AUDITED)
def test_no_package_of_a_lock_has_a_known_vulnerability(lock: str) -> None:
    done = audit(lock)
    assert done.returncode == 0, done.stdout + done.stderr
