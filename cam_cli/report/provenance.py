"""Provenance of a run: terms and values of its record, and commands that repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..outputs.record import Fingerprint, RunRecord, Stage
from ..outputs.run_folder import RunFolder

Section = tuple[str, list[tuple[str, str]]]

_PLAN = {
    "model": "model",
    "weights": "weights",
    "input": "input",
    "weights_notes": "read from the weights",
    "layer": "target layer",
    "layer_reason": "why this layer",
    "grid": "grid of the map",
    "device": "device",
    "precision": "precision",
    "train_images": "training images",
    "val_images": "validation images",
    "freeze": "frozen",
    "epochs": "epochs",
    "lr": "learning rate",
    "batch_size": "batch size",
}
_SETTINGS = {
    "model_args": "model arguments",
    "methods": "methods",
    "targets": "targets",
    "layers": "layers",
    "evidence": "evidence",
    "smooth": "smoothing",
    "threshold": "threshold of several labels",
    "top_k": "classes per image",
    "gap_channels": "GAP channels",
    "augment": "augmentation",
    "balance": "balance",
    "ema": "EMA decay",
    "label_smoothing": "label smoothing",
    "seed": "seed",
    "sort": "order of channels",
    "max_channels": "channels on a sheet",
    "decode": "decoding of JPEG files",
}
#: Options that set the values of the preprocessing.
_ORIGINS = {"input_size": "image_size", "resize": "crop_pct"}
_RUN = {
    "state": "ended",
    "finished": "at",
    "seconds": "seconds",
    "images_per_second": "images per second",
    "limited_by": "limited by",
}


def provenance(run: RunFolder) -> list[Section]:
    """Sections of terms and values that the record contains."""
    record = run.record
    fingerprint = record.get("fingerprint", Fingerprint())
    sections = [
        ("Model", _picked(record.get("plan", {}), _PLAN)),
        ("Preprocessing", _preprocessing(record)),
        ("Explanation" if "methods" in fingerprint else "Settings", _picked(fingerprint, _SETTINGS)),
        ("Rendering", _all(fingerprint.get("rendering", {}))),
        ("Run", [*_picked(record, _RUN), *_stages(record.get("stages", {}))]),
        ("Damaged, and left out", _damage(run)),
        ("Versions", _all(record.get("versions", {}))),
    ]
    return [(title, terms) for title, terms in sections if terms]


def _preprocessing(record: RunRecord) -> list[tuple[str, str]]:
    """Each preprocessing value with its origin."""
    origins = record.get("plan", {}).get("input_origins", {})
    values = record.get("fingerprint", Fingerprint()).get("preprocessing", {})
    return [
        (term, value + (f" (from {origin})" if (origin := origins.get(_ORIGINS.get(key, key))) else ""))
        for key, (term, value) in zip(_given(values), _all(values))
    ]


def reproduce_commands(record: RunRecord) -> list[str]:
    """Commands that install the same versions and repeat the run."""
    versions = dict(record.get("versions", {}))
    versions.pop("python", None)
    pinned = " ".join(f"{name}=={version}" for name, version in versions.items() if version != "not installed")
    return [line for line in (f"pip install {pinned}" if pinned else "", record.get("command", "")) if line]


def _damage(run: RunFolder) -> list[tuple[str, str]]:
    terms = [("lines", str(run.damaged))] if run.damaged else []
    return terms + [("in run.json", ", ".join(run.wrong_fields))] * bool(run.wrong_fields)


def _picked(content: Mapping[str, object], terms: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(term, text(content[key])) for key, term in terms.items() if content.get(key) not in (None, "", {}, [])]


def _all(content: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), text(content[key])) for key in _given(content)]


def _given(content: Mapping[str, object]) -> list[str]:
    return [key for key, value in content.items() if value not in (None, "")]


def _stages(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str]]:
    for name, stage in stages.items():
        yield name, f"{text(stage['seconds'])} s of work, {text(stage['images_per_second'])} images per second"


def text(value: object) -> str:
    """A value of the record as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text(one)}" for key, one in value.items() if one not in (None, ""))
    if isinstance(value, list):
        numbers = value and all(isinstance(one, int) for one in value)
        return (" × " if numbers and len(value) == 2 else ", ").join(map(text, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
