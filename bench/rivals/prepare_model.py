"""Have the model in a rival's image, as the hub gives it, with the file that tells the worker about it:

prepare_model.py --models JSON --to FOLDER

JSON is the build argument MODELS of our worker; a rival has its first model, the encoder. images/worker is on the path,
and fetches the model or makes it.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from images.worker import fetch_model
from images.worker.model_list import Model, parse

TEXTS = ("hba1c", "serum creatinine", "platelet count")


def main() -> int:
    """Fetch or make the weights, then write tokenizer.json and model.json beside them. 0, or 1 with one sentence."""
    parser = argparse.ArgumentParser(description="Have a model in an image, for torch.")
    parser.add_argument("--models", required=True)
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args()
    os.umask(0o022)
    try:
        model = parse(asked.models)[0]
        if model.source == "random":
            # Needs torch, which only a rival's image has.
            from images.worker.random_model import make

            make(model.reference, int(model.revision), asked.to)
        else:
            fetch_model.fetch(model, Path("models"), asked.to)
    except (ValueError, fetch_model.FetchError) as error:
        sys.stderr.write(f"The model could not be had: {error}\n")
        return 1
    finish(asked.to, model)
    return 0


def finish(folder: Path, model: Model) -> None:
    """The tokenizer as one file, and model.json as images/worker/export_model.py writes it."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.save(str(folder / "tokenizer.json"))
    described = {
        "name": model.name,
        "revision": model.revision,
        "trained": model.source != "random",
        "export": "float32",
        "dimension": config.hidden_size,
        "max_length": min(512, config.max_position_embeddings),
        "pooling": "mean",
        "sha256": {},
        "probes": {"texts": list(TEXTS), "vectors": []},
    }
    (folder / "model.json").write_text(json.dumps(described, indent=1) + "\n")
    for file in folder.iterdir():
        # Weights are written for their owner alone, and the worker is another user.
        file.chmod(0o644)


if __name__ == "__main__":
    sys.exit(main())
