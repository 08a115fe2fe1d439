"""Export the fetched models for the worker, at build: ONNX, int8, optimised, checked against the originals.

    python -m images.worker.export_model --models JSON --fetched FOLDER --encoder FOLDER --others FOLDER

JSON is as model_list.py says; each model is in a folder of its name below `--fetched` (one of source `random` is made
here). The first comes to `--encoder`, each other to a folder of its name below `--others`: encoder.onnx, encoder.data
(its weights), tokenizer.json and model.json, which holds name, revision, trained, export, dimension, max_length,
pooling, sha256 of the files, and the original's own vectors for a few texts, which the worker's self-test compares
with. Fails, in one sentence that names the model, where weights are missing or broken or the exported model is not
like the original.
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
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from app.common.names import normalise
from app.worker.encoder import Encoder, pool
from images.worker import random_model
from images.worker.model_list import Model, parse

# More tokens than the worker ever gives it: a name has 200 characters at most, a report is read in pieces.
MOST_TOKENS = 512
# Measured on MiniLM: 0.98 and more. Below this, the categories are no longer the original's.
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
    if not folder.is_dir():
        raise ExportError(f"it was not fetched: there is no {folder}")
    try:
        model, found = AutoModel.from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            attn_implementation="eager",
            dtype=torch.float32,
        )
    except Exception as error:
        raise ExportError(f"its weights could not be loaded: {type(error).__name__}: {error}") from error
    # A pooler comes after the hidden states that we take: BioBERT and others have none.
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    mismatched = sorted(str(key) for key in found["mismatched_keys"])
    if missing or mismatched:
        raise ExportError(f"these weights are missing or of another shape: {listed(missing + mismatched)}")
    broken = sorted(name for name, weight in model.named_parameters() if not torch.isfinite(weight).all())
    if broken:
        raise ExportError(f"these weights hold values that are no numbers: {listed(broken)}")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def original_vectors(model: Any, tokenizer: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the original says to TEXTS, pooled as the worker pools.

    In double precision, for processors differ in the last digits of single: rounded, these are the same on all.
    """
    batch = tokenizer([normalise(text) for text in TEXTS], return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = model.double()(**batch).last_hidden_state
    model.float()
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
    most = min(MOST_TOKENS, int(model.config.max_position_embeddings))
    shape = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", max=most)}
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


def optimise(source: Path, to: Path) -> None:
    """The graph as ONNX Runtime would make it at each start, and its weights in a file of their own, which it maps.

    Level "extended": the next one lays weights out for the processor that this build happens to run on. Not in ONNX
    Runtime's own format, whose bytes differ from one run to the next.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(source.with_name("optimised.onnx"))
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_prepacking", "1")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    onnx.save(
        onnx.load(options.optimized_model_filepath),
        to / "encoder.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="encoder.data",
    )


def convert(model: Model, folder: Path, to: Path) -> float:
    """Export the model in `folder` into `to`; its likeness (the least cosine over TEXTS) to the original."""
    original, tokenizer = load(folder)
    vectors = original_vectors(original, tokenizer)
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "float.onnx"
        export(original, exported)
        anonymise(exported)
        if model.export == "int8":
            quantised = Path(scratch) / "int8.onnx"
            quantise(exported, quantised)
            exported = quantised
        optimise(exported, to)
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.save(str(to / "tokenizer.json"))
    files = ("encoder.onnx", "encoder.data", "tokenizer.json")
    described = {
        "name": model.name,
        "revision": model.revision,
        "trained": model.source != "random",
        "export": model.export,
        "dimension": int(vectors.shape[1]),
        "max_length": min(MOST_TOKENS, int(original.config.max_position_embeddings)),
        "pooling": "mean",
        "sha256": {file: hashlib.sha256((to / file).read_bytes()).hexdigest() for file in files},
        "probes": {"texts": TEXTS, "vectors": [[round(float(value), 4) for value in row] for row in vectors]},
    }
    (to / "model.json").write_text(json.dumps(described, indent=1) + "\n")
    likeness = float((Encoder(to).embed(TEXTS) * vectors).sum(axis=1).min())
    # Not "likeness < LEAST": a model that gives no numbers is not like any other either.
    if not likeness >= LEAST_LIKENESS:
        raise ExportError(
            f"the exported model is not like the original: cosine {likeness:.3f}, at least {LEAST_LIKENESS} is"
        )
    return likeness


def export_one(model: Model, fetched: Path, to: Path) -> float:
    """Export one model of the list into `to`; ExportError where that fails."""
    if model.source != "random":
        return convert(model, fetched / model.name, to)
    with tempfile.TemporaryDirectory() as scratch:
        random_model.make(model.reference, int(model.revision), Path(scratch))
        return convert(model, Path(scratch), to)


def main() -> int:
    """0, or 1 with one sentence."""
    parser = argparse.ArgumentParser(description="Export the models of an image.")
    parser.add_argument("--models", required=True)
    parser.add_argument("--fetched", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    asked = parser.parse_args()
    os.umask(0o022)
    # The exporter speaks of torchvision, pre-processing and its own future at length; what is wrong raises.
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers_logging.disable_progress_bar()
    try:
        models = parse(asked.models)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for number, model in enumerate(models):
        to = asked.encoder if number == 0 else asked.others / model.name
        try:
            likeness = export_one(model, asked.fetched, to)
        except ExportError as error:
            sys.stderr.write(f"The model {model.name} could not be exported: {error}\n")
            return 1
        sys.stdout.write(f"{model.name}: exported, cosine to the original at least {likeness:.4f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
