"""`python -m app.worker --self-test`: are the models in this image there, whole, themselves, and of use?

No network, no settings. It is what a rollout asks of a new image before any task runs it.
"""

import hashlib
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.worker.categoriser import Categoriser, Prototypes
from app.worker.encoder import Encoder
from app.worker.meaning import LEAST_MARGIN, likeness, margin

# Names that every model must know: they, or nearly they, are among its prototypes.
KNOWN = {
    "HbA1c": "diabetes",
    "LDL Cholesterol": "lipids",
    "serum creatinine level": "kidney",
    "Alanine Aminotransferase (ALT)": "liver",
    "TSH": "thyroid",
    "platelets": "blood_count",
    "Serum Ferritin": "iron",
    "troponin I": "cardiac",
}
# The exported model against the original, as it is and from the center (app/worker/meaning.py): 0.99 and 0.98
# measured with int8; shuffled weights: 0.88 and -0.1.
LEAST_LIKENESS = 0.9
LEAST_CENTRED_LIKENESS = 0.8
NOT_TRAINED = "left out: the model's weights are random, as its name says, so it knows no meanings"


def checks(folder: Path) -> dict[str, dict[str, Any]]:
    """Each check of the encoder in `folder` by name, with `ok` and what was found; `ok` is missing from a check that
    was left out.

    Raises whatever a missing or broken file raises.
    """
    encoder = Encoder(folder)
    prototypes = Prototypes.load(folder / "prototypes")
    found = {"files": check_files(folder), "likeness": check_likeness(encoder)}
    if not encoder.model["trained"]:
        return found | {"meaning": {"left_out": NOT_TRAINED}, "categories": {"left_out": NOT_TRAINED}}
    return found | {
        "meaning": check_meaning(encoder, prototypes),
        "categories": check_categories(Categoriser(encoder, prototypes)),
    }


def check_files(folder: Path) -> dict[str, Any]:
    """The files are byte for byte what the build wrote."""
    written: dict[str, str] = json.loads((folder / "model.json").read_text())["sha256"]
    changed = [
        name for name, sha256 in written.items() if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256
    ]
    return {"ok": not changed, "changed": changed}


def check_likeness(encoder: Encoder) -> dict[str, Any]:
    """The vectors are those that the original model gave for the same texts, when the image was built."""
    probes = encoder.model["probes"]
    plain, from_center = likeness(encoder.embed(probes["texts"]), np.asarray(probes["vectors"], np.float32))
    return {
        "ok": plain >= LEAST_LIKENESS and from_center >= LEAST_CENTRED_LIKENESS,
        "cosine": round(plain, 4),
        "centred_cosine": round(from_center, 4),
    }


def check_meaning(encoder: Encoder, prototypes: Prototypes) -> dict[str, Any]:
    """Related pairs are nearer than unrelated ones, on the average, by a margin."""
    found = margin(encoder, prototypes.center)
    return {"ok": found >= LEAST_MARGIN, "margin": round(found, 4)}


def check_categories(categoriser: Categoriser) -> dict[str, Any]:
    """The names that every model must know come out right."""
    found = [category.name for category in categoriser.categorise(list(KNOWN))]
    wrong = {name: got for (name, expected), got in zip(KNOWN.items(), found, strict=True) if got != expected}
    return {"ok": not wrong, "wrong": wrong}


def other_models(folder: Path) -> list[Path]:
    """The folders of the models that the image carries beside the encoder in `folder`: /opt/models/*."""
    return sorted(file.parent for file in (folder.parent / "models").glob("*/model.json"))


def check_other(folder: Path) -> dict[str, Any]:
    """A model beside the encoder's: its files, and its vectors where those are whole."""
    found = check_files(folder)
    return {**found, **check_likeness(Encoder(folder))} if found["ok"] else found


def run(folder: Path) -> tuple[bool, str]:
    """Whether all is well with the encoder in `folder` and the models beside it, and one line of JSON that says what
    was found."""
    started = time.monotonic()
    try:
        found = checks(folder)
        for other in other_models(folder):
            found[other.name] = check_other(other)
        model = json.loads((folder / "model.json").read_text())
        report: dict[str, Any] = {
            "ok": all(check.get("ok", True) for check in found.values()),
            "model": {key: model[key] for key in ("name", "revision", "dimension", "trained")},
            "checks": found,
        }
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the image is the finding
        report = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    report["seconds"] = round(time.monotonic() - started, 2)
    report["peak_rss_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return report["ok"], json.dumps(report)
