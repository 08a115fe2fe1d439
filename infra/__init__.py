"""The Pulumi program. `program.deploy` is the architecture; the packages are layers, each may import those after it:

program, placement | components | releases | builds | settings | product, outputs | lib
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
