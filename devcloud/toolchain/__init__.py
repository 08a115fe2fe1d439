"""The toolchain: every program that devcloud runs, found on this machine or made.

`ensure` has it all in one cache folder, keyed by version: the first run takes minutes, any later one is instant.
"""

from devcloud.toolchain.assembly import Toolchain, ensure, is_ready, some
from devcloud.toolchain.machine import check_machine

__all__ = ["Toolchain", "check_machine", "ensure", "is_ready", "some"]
