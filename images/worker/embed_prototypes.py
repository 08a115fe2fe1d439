"""Embed the categories' names with the exported encoder, at build:

python -m images.worker.embed_prototypes --model FOLDER --to FOLDER

Fails, in one sentence, where the encoder was trained and yet does not know what words mean: its weights are
shuffled, or another model's.
"""

import argparse
import os
import sys
from pathlib import Path

from app.worker.categoriser import make_prototypes, read_categories
from app.worker.encoder import Encoder
from app.worker.meaning import LEAST_MARGIN, margin


def main() -> int:
    """Write prototypes.npy and prototypes.json."""
    parser = argparse.ArgumentParser(description="Embed the categories' prototypes.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args()
    os.umask(0o022)
    asked.to.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(asked.model)
    prototypes = make_prototypes(encoder, read_categories())
    prototypes.save(asked.to)
    sys.stdout.write(f"{len(prototypes.labels)} prototypes, threshold {prototypes.threshold}\n")
    if not encoder.model["trained"]:
        sys.stdout.write(f"{encoder.model['name']} has random weights: what it knows of meaning is not checked.\n")
        return 0
    found = margin(encoder, prototypes.center)
    if not found >= LEAST_MARGIN:
        sys.stderr.write(
            f"The model {encoder.model['name']} does not know what words mean: related words are nearer than unrelated "
            f"ones by {found:.3f}, and {LEAST_MARGIN} is the least. Its weights are shuffled, or another model's.\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
