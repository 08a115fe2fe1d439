"""Embed the categories' names with torch, in a rival's image: embed.py FOLDER."""

import sys
from pathlib import Path

from app.worker.categoriser import make_prototypes, read_categories
from app.worker.encoder import Encoder

folder = Path(sys.argv[1])
(folder / "prototypes").mkdir(parents=True, exist_ok=True)
make_prototypes(Encoder(folder), read_categories()).save(folder / "prototypes")
