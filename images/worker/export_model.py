"""Export a fetched model for the worker, at build: ONNX, int8, checked against the original.

    export_model.py --model FOLDER --name NAME --revision REV --to FOLDER

Writes encoder.onnx, tokenizer.json and model.json (name, revision, dimension, max_length, pooling, sha256 of
the files, and the original's own vectors for a few texts, which the worker's self-test compares with). Fails,
in one sentence, where weights are missing or the int8 model is not like the original.
"""

import argparse
import hashlib
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel, AutoTokenizer

from app.worker.encoder import Encoder, normalise, pool

# More tokens than the worker ever gives it: a name has 200 characters at most, a report is read in pieces.
MOST_TOKENS = 512
# Measured on MiniLM: 0.97 and more. Below this, the categories are no longer the original's.
LEAST_LIKENESS = 0.95
TEXTS = (
    "hba1c",
    "serum creatinine",
    "thyroid stimulating hormone",
    "low density lipoprotein cholesterol [mass/volume] in serum or plasma",
    "platelet count",
    "the patient was advised to repeat the test after fasting",
    "c-reactive protein, high sensitivity",
    "annual report",
)


class ExportError(Exception):
    """The model cannot be exported. The message says why."""


def load(folder: Path) -> tuple[Any, Any]:
    """The original and its tokenizer.

    Transformers itself only warns of a missing weight, and goes on with noise.
    """
    try:
        model, found = AutoModel.from_pretrained(
            folder, output_loading_info=True, ignore_mismatched_sizes=True, attn_implementation="eager"
        )
    except Exception as error:
        raise ExportError(f"its weights could not be loaded: {type(error).__name__}: {error}") from error
    # A pooler comes after the hidden states that we take: BioBERT and others have none.
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    mismatched = sorted(str(key) for key in found["mismatched_keys"])
    if missing or mismatched:
        raise ExportError(f"these weights are missing or of another shape: {', '.join(missing + mismatched)[:500]}")
    broken = sorted(name for name, weight in model.named_parameters() if not torch.isfinite(weight).all())
    if broken:
        raise ExportError(f"these weights hold values that are no numbers: {', '.join(broken)[:500]}")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def original_vectors(model: Any, tokenizer: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the original says to TEXTS, pooled as the worker pools."""
    batch = tokenizer([normalise(text) for text in TEXTS], return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    return pool(hidden.numpy(), batch["attention_mask"].numpy())


class HiddenStates(torch.nn.Module):
    """A BERT without its pooler, whose output nothing uses."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
        """The last layer's hidden states."""
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


def export(model: Any, to: Path) -> None:
    """The model as ONNX in float, for any number of texts and tokens."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    # A tensor of its own for each: the exporter takes one tensor under three names for one input.
    examples = {name: torch.ones((2, 8), dtype=torch.long) for name in names}
    shape = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", max=MOST_TOKENS)}
    torch.onnx.export(
        HiddenStates(model).eval(),
        kwargs=examples,
        f=to,
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_shapes=dict.fromkeys(names, shape),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def anonymise(path: Path) -> None:
    """Take out what the exporter notes of itself: a stack trace changes with any line of this file."""
    model = onnx.load(path)
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        for part in [*graph.node, *graph.value_info]:
            del part.metadata_props[:]
            part.doc_string = ""
    for part in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        del part.metadata_props[:]
    del model.metadata_props[:]
    onnx.save(model, path)


def quantise(source: Path, to: Path) -> None:
    """Weights as int8, one scale for each channel. Seven bits of them: with eight, processors without VNNI
    overflow, and the same image would answer differently on another machine."""
    quantize_dynamic(source, to, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def convert(folder: Path, name: str, revision: str, to: Path) -> float:
    """Export the model in `folder` into `to`; its likeness (the least cosine over TEXTS) to the original."""
    model, tokenizer = load(folder)
    vectors = original_vectors(model, tokenizer)
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        export(model, Path(scratch) / "float.onnx")
        anonymise(Path(scratch) / "float.onnx")
        quantise(Path(scratch) / "float.onnx", to / "encoder.onnx")
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.save(str(to / "tokenizer.json"))
    files = ("encoder.onnx", "tokenizer.json")
    described = {
        "name": name,
        "revision": revision,
        "dimension": int(vectors.shape[1]),
        "max_length": min(MOST_TOKENS, int(model.config.max_position_embeddings)),
        "pooling": "mean",
        "sha256": {file: hashlib.sha256((to / file).read_bytes()).hexdigest() for file in files},
        "probes": {"texts": TEXTS, "vectors": [[round(float(value), 4) for value in row] for row in vectors]},
    }
    (to / "model.json").write_text(json.dumps(described, indent=1) + "\n")
    likeness = float((Encoder(to).embed(TEXTS) * vectors).sum(axis=1).min())
    if likeness < LEAST_LIKENESS:
        raise ExportError(
            f"the int8 model is not like the original: cosine {likeness:.3f}, at least {LEAST_LIKENESS} is"
        )
    return likeness


def main() -> int:
    """0, or 1 with one sentence."""
    parser = argparse.ArgumentParser(description="Export a model for the worker.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--revision", default="")
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args()
    os.umask(0o022)
    torch.manual_seed(0)
    # The exporter speaks of torchvision, pre-processing and its own future at length; what is wrong raises.
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    try:
        likeness = convert(asked.model, asked.name, asked.revision, asked.to)
    except ExportError as error:
        sys.stderr.write(f"The model {asked.name} could not be exported: {error}\n")
        return 1
    sys.stdout.write(f"{asked.name}: exported, cosine to the original at least {likeness:.4f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
