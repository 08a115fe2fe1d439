"""`python -m app.worker --self-test`: is the model in this image there, whole, itself, and of use?

No network, no settings. It is what a rollout asks of a new image before any task runs it.
"""

import hashlib
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.worker.categoriser import Categoriser, Prototypes, centred
from app.worker.encoder import Encoder

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
# Alike in meaning and not in letters, and unlike in both: weights that are not a trained model's cannot part
# them.
RELATED = [
    ("kidney failure", "renal insufficiency"),
    ("heart attack", "myocardial infarction"),
    ("physician", "doctor"),
    ("high blood pressure", "hypertension"),
    ("liver inflammation", "hepatitis"),
]
UNRELATED = [
    ("kidney failure", "train timetable"),
    ("heart attack", "office furniture"),
    ("physician", "orange juice"),
    ("high blood pressure", "wooden table"),
    ("liver inflammation", "football match"),
]
# MiniLM reaches about 0.5; shuffled or random weights stay near 0.
LEAST_MARGIN = 0.1
# int8 against the float model that it was made from: 0.97 and more; another model's weights: near 0.
LEAST_LIKENESS = 0.9


def checks(folder: Path) -> dict[str, Any]:
    """Each check by name, with `ok` and what was found. Raises whatever a missing or broken file raises."""
    encoder = Encoder(folder)
    prototypes = Prototypes.load(folder / "prototypes")
    return {
        "files": check_files(folder, encoder.model),
        "likeness": check_likeness(encoder),
        "meaning": check_meaning(encoder, prototypes),
        "categories": check_categories(Categoriser(encoder, prototypes)),
    }


def check_files(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """The files are byte for byte what the build wrote."""
    changed = [
        name
        for name, sha256 in model["sha256"].items()
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256
    ]
    return {"ok": not changed, "changed": changed}


def check_likeness(encoder: Encoder) -> dict[str, Any]:
    """The vectors are those that the original model gave for the same texts, when the image was built."""
    probes = encoder.model["probes"]
    found = encoder.embed(probes["texts"])
    least = float((found * np.asarray(probes["vectors"], np.float32)).sum(axis=1).min())
    return {"ok": least >= LEAST_LIKENESS, "cosine": round(least, 4)}


def check_meaning(encoder: Encoder, prototypes: Prototypes) -> dict[str, Any]:
    """Related pairs are nearer than unrelated ones, on the average, by a margin."""

    def nearness(pairs: list[tuple[str, str]]) -> float:
        left = centred(encoder.embed([one for one, _ in pairs]), prototypes.center)
        right = centred(encoder.embed([other for _, other in pairs]), prototypes.center)
        return float((left * right).sum(axis=1).mean())

    margin = nearness(RELATED) - nearness(UNRELATED)
    return {"ok": margin >= LEAST_MARGIN, "margin": round(margin, 4)}


def check_categories(categoriser: Categoriser) -> dict[str, Any]:
    """The names that every model must know come out right."""
    found = [category.name for category in categoriser.categorise(list(KNOWN))]
    wrong = {name: got for (name, expected), got in zip(KNOWN.items(), found, strict=True) if got != expected}
    return {"ok": not wrong, "wrong": wrong}


def run(folder: Path) -> tuple[bool, str]:
    """Whether all is well, and one line of JSON that says what was found."""
    started = time.monotonic()
    try:
        found = checks(folder)
        model = json.loads((folder / "model.json").read_text())
        report: dict[str, Any] = {
            "ok": all(check["ok"] for check in found.values()),
            "model": {key: model[key] for key in ("name", "revision", "dimension")},
            "checks": found,
        }
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the image is the finding
        report = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    report["seconds"] = round(time.monotonic() - started, 2)
    report["peak_rss_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return report["ok"], json.dumps(report)
