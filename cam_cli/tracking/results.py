"""Reads tracker values from the files and the record of a run folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..outputs.run_folder import TRAIN_GAP, RunFolder
from ..redaction import redacted_values
from .tracker import Files, ImageCell, RunInfo, identity

#: Keys of a plan that become columns in a table of runs.
_OF_PLAN = ("model", "weights", "layer", "layer_reason", "grid", "device", "precision")
#: Keys of the plan of a training that identify it.
_SAME_TRAINING = ("model", "weights", "layer", "classes", "train_images", "val_images", "freeze", "epochs", "lr")
#: Largest number of report files in the artifact; with more, only the page itself is uploaded.
_MOST_FILES = 2000


def image_cell(run: RunFolder, name: str | None) -> ImageCell | None:
    """Cell of an image file of the run; None unless camx wrote the file."""
    return ImageCell(run.file(name)) if name and run.has_picture(name) else None


def files_of(run: RunFolder, names: Iterable[str], kind: str = "results") -> Files:
    """The existing files among `names`, and the report."""
    report = run.files_in("report")
    present = [name for name in names if run.has(name)] + (report if len(report) <= _MOST_FILES else [])
    record: Mapping[str, object] = run.record
    metadata = {key: record.get(key) for key in ("model", "layer", "images", "seconds", "state")}
    return Files(kind, {name: run.file(name) for name in present}, metadata)


def run_info(output: str, record: Mapping[str, Any]) -> RunInfo:
    """Identity and configuration of a run, from its record, or from the parts of it that are known at the start.

    Runs with equal fingerprints are one run. A training has no fingerprint when it begins, so its plan identifies it.
    """
    plan, fingerprint = record.get("plan") or {}, record.get("fingerprint") or {}
    command = str(fingerprint.get("command", TRAIN_GAP))
    same: dict[str, Any] = {key: plan.get(key) for key in _SAME_TRAINING} if command == TRAIN_GAP else fingerprint
    config: dict[str, Any] = {
        "command": command,
        **{key: plan.get(key) for key in _OF_PLAN},
        "model_digest": fingerprint.get("weights"),
        "identity": identity(same),
        **{key: record[key] for key in ("plan", "fingerprint", "versions") if key in record},
        "job": {key: value for key, value in (record.get("job") or {}).items() if key != "command"},
    }
    plain = redacted_values(json.loads(json.dumps(config, default=str)))
    return RunInfo(command, output, f"{command} {plan.get('model', '')}".strip(), plain, identity(same))
