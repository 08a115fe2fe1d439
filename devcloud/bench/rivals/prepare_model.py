"""Have the model in a rival's image, as the hub gives it, with the file that tells the worker about it:

prepare_model.py --source SOURCE --reference REF --revision REV --sha256 SUM --name NAME --to FOLDER
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TEXTS = ("hba1c", "serum creatinine", "platelet count")


def main() -> int:
    """Fetch or make the weights, then write tokenizer.json and model.json beside them."""
    parser = argparse.ArgumentParser(description="Have a model in an image, for torch.")
    for name in ("source", "reference", "revision", "sha256", "name"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args()
    if asked.source == "random":
        # Beside this file in an image: images/worker/random_model.py.
        from random_model import make  # type: ignore[import-not-found]

        make(asked.reference, int(asked.revision or 0), asked.to)
    else:
        words = ["--source", asked.source, "--reference", asked.reference, "--revision", asked.revision]
        fetch = [sys.executable, str(HERE / "fetch_model.py"), *words, "--sha256", asked.sha256]
        subprocess.run([*fetch, "--to", str(asked.to)], check=True)
    finish(asked.to, asked.name, asked.revision)
    return 0


def finish(folder: Path, name: str, revision: str) -> None:
    """The tokenizer as one file, and model.json as images/worker/export_model.py writes it."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    model = {
        "name": name,
        "revision": revision,
        "dimension": config.hidden_size,
        "max_length": min(512, config.max_position_embeddings),
        "pooling": "mean",
        "trained": "random" not in name,
        "sha256": {},
        "probes": {"texts": list(TEXTS), "vectors": []},
    }
    (folder / "model.json").write_text(json.dumps(model, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
