"""Embed the categories' names with the exported model, at build:

embed_prototypes.py --model FOLDER --to FOLDER.
"""

import argparse
import os
import sys
from pathlib import Path

from app.worker.categoriser import make_prototypes, read_categories
from app.worker.encoder import Encoder


def main() -> int:
    """Write prototypes.npy and prototypes.json."""
    parser = argparse.ArgumentParser(description="Embed the categories' prototypes.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args()
    os.umask(0o022)
    asked.to.mkdir(parents=True, exist_ok=True)
    prototypes = make_prototypes(Encoder(asked.model), read_categories())
    prototypes.save(asked.to)
    sys.stdout.write(f"{len(prototypes.labels)} prototypes, threshold {prototypes.threshold}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
