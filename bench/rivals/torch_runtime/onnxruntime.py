"""ONNX Runtime's interface, as far as the worker uses it, answered by torch: for the rivals of `make bench` alone.

Under ONNX Runtime's name, so that the rivals run the worker's own code, with the model as the hub gives it. One thread,
as the worker has it: on half a core, more only wait.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoModel

__version__ = "torch"


class GraphOptimizationLevel:
    """The one that the worker asks for."""

    ORT_DISABLE_ALL = 0


class SessionOptions:
    """Takes what the worker sets; torch has no such settings."""

    intra_op_num_threads = 1

    def add_session_config_entry(self, name: str, value: str) -> None:
        """Nothing: torch has no such entries."""


class InferenceSession:
    """The model beside the file that ONNX Runtime would open."""

    def __init__(self, path: str, _options: SessionOptions | None = None, **_settings: object) -> None:
        torch.set_num_threads(1)
        self._model: Any = AutoModel.from_pretrained(Path(path).parent).eval()

    def get_inputs(self) -> list[SimpleNamespace]:
        """The names of what a BERT takes."""
        return [SimpleNamespace(name=name) for name in ("input_ids", "attention_mask", "token_type_ids")]

    def run(self, _outputs: object, feeds: dict[str, Any]) -> list[Any]:
        """The last hidden state, as the exported model gives it."""
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(value) for name, value in feeds.items()}
            return [self._model(**tensors).last_hidden_state.numpy()]
