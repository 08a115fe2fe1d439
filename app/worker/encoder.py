"""Text to vectors: the ONNX model of the image, its tokenizer, mean pooling, unit length.

The models stage of the image uses this file too, so that a prototype and a lab test's name come out the same
way.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.common.names import normalise

Vectors = NDArray[np.float32]

# More at once is no faster on half a core and takes more memory (BERT-base, 8 x 512 tokens: 533 MiB).
BATCH = 8


class Embeds(Protocol):
    """What turns texts into vectors of unit length."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row for each text."""


def pool(hidden: NDArray[Any], mask: NDArray[Any]) -> Vectors:
    """The mean over each text's own tokens (`mask` 1), at unit length."""
    weights = mask[..., None].astype(np.float32)
    means = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    unit = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit, dtype=np.float32)


class Encoder:
    """The model in a folder:

    encoder.onnx, encoder.data (its weights), tokenizer.json, model.json (as images/worker/export_model.py writes it).
    """

    def __init__(self, folder: Path) -> None:
        # Here, not above: the rest of the worker is tested without them, and --health starts without them.
        import onnxruntime
        from tokenizers import Tokenizer

        self.model: dict[str, Any] = json.loads((folder / "model.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_length=self.model["max_length"])
        self._tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        # Half a core and little memory: a second thread only waits, and the arena only grows.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        # The graph was optimised when the image was built, and ONNX Runtime maps the file with the weights, as it maps
        # no weights that are in the graph's own file: BERT-base is there in 0.1 CPU-seconds instead of 0.3.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            str(folder / "encoder.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {node.name for node in self._session.get_inputs()}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row for each text, of the model's dimension and unit length; BATCH texts at most at once."""
        rows = [self._embed_batch(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return np.concatenate(rows) if rows else np.zeros((0, self.model["dimension"]), np.float32)

    def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        encodings = self._tokenizer.encode_batch([normalise(text) for text in texts])
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = self._session.run(["last_hidden_state"], {name: feeds[name] for name in self._inputs})
        return pool(hidden, mask)
