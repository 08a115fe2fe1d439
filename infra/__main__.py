"""The entry point that Pulumi runs."""

import sys
from pathlib import Path

# Pulumi runs this file by its path, which puts its own folder on the module path and not the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.program import main

main()
