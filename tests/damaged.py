"""Folders of runs with damaged or hostile content."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any


def row(image: str = "a.jpg", **more: Any) -> dict[str, Any]:
    """A row of `explain` in the format of 0.1.0."""
    sketch = {"width": 2, "height": 2, "values": base64.b64encode(bytes([0, 255, 0, 0])).decode()}
    shown = {"method": "gradcam", "layer": "l", "target_index": 3, "target_name": "cat", "target_prob": 0.5, "peak": 1.0, "area": 0.25,
             "center_x": 0.5, "center_y": 0.5, "border": 0.1, "entropy": 0.5, "box": [0, 0, 1, 1], "sketch": sketch, "overlay": f"overlays/{image}.png"}  # fmt: skip
    top = [{"index": 3, "name": "cat", "prob": 0.5}]
    known = {"image": image, "index": 0, "status": "ok", "error": "", "label": "", "bytes": 9, "mtime_ns": 9, "width": 4, "height": 4}  # fmt: skip
    return {**known, "top": top, "seen": [0, 0, 1, 1], "maps": [shown], **more}


def written(folder: Path, lines: list[Any], record: object = None) -> Path:
    """Writes a run folder with these lines in its journal: rows, or raw text."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "manifest.jsonl").write_text("".join(f"{text}\n" for text in texts))
    if record is not None:
        (folder / "run.json").write_text(record if isinstance(record, str) else json.dumps(record))
    return folder


def mapped(**more: Any) -> dict[str, Any]:
    """A row whose map has other fields."""
    return row(maps=[{**row()["maps"][0], **more}])


EXPLAINED = {"fingerprint": {"command": "explain", "inputs": "/in"}, "state": "finished"}

DAMAGED = {
    "no JSON": "{",
    "no object": "[1]",
    "no name": {"status": "ok"},
    "name is a number": row(image=7),  # type: ignore[arg-type]
    "unknown status": row(status="weird"),
    "maps null": row(maps=None),
    "maps of numbers": row(maps=[7]),
    "top null": row(top=None),
    "class without a name": row(top=[{"index": 1, "prob": 0.5}]),
    "probability above one": row(top=[{"index": 1, "name": "x", "prob": 7}]),
    "index is a truth value": row(index=True),
    "thumb is a number": row(thumb=7),
    "label is a number": row(label=7),
    "error is a number": row(error=7),
    "width zero": row(width=0),
    "seen of three": row(seen=[0, 0, 1]),
    "not a number": json.dumps(row()).replace("0.25", "NaN"),
    "infinite": json.dumps(row()).replace("0.25", "1e999"),
    "nested too deep": f'{{"image":"a.jpg","status":"ok","x":{"[" * 40}{"]" * 40}}}',
    "nested beyond any stack": f'{{"image":"a.jpg","status":"ok","x":{"[" * 99999}{"]" * 99999}}}',
    "a number of 5000 digits": f'{{"image":"a.jpg","status":"ok","index":{"9" * 5000}}}',
    "a sketch that lacks cells": mapped(sketch={"width": 2, "height": 3, "values": "AP8AAA=="}),
    "a sketch that is no base64": mapped(sketch={"width": 2, "height": 2, "values": "AP8A\u00e9A=="}),
    "a box of words": mapped(box=["a", "b", "c", "d"]),
    "an overlay without a name": mapped(overlay={}),
    "channels of two lengths": mapped(channels={"mean": [1], "maximum": [1, 2], "energy": [1], "dead": [1]}),
}

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) print\n%%EOF\n"

#: Values of all types, for every field of a record.
WRONG = (7, "x", None, [], {}, [7], {"x": 7}, True, -1, 1e300, [[[]]])
FIELDS = (
    *("schema", "state", "command", "plan", "job", "versions", "finished", "images", "labelled", "accuracy", "classes", "model"),
    *("seconds", "images_per_second", "stages", "shards", "unreadable_images", "best_epoch", "confusion", "original_accuracy"),
    *("fingerprint.command", "fingerprint.inputs", "fingerprint.rendering", "fingerprint.preprocessing", "fingerprint.evidence"),
    *("fingerprint.methods", "fingerprint.top_k", "plan.model", "plan.epochs", "plan.layer"),
)  # fmt: skip


def wrong_records(command: str) -> list[dict[str, Any]]:
    """Records of a run, each with one wrong field."""
    records = []
    for field in FIELDS:
        for value in WRONG:
            record: dict[str, Any] = {"fingerprint": {"command": command, "top_k": 5}, "state": "finished"}
            *above, name = field.split(".")
            inside = record.setdefault(above[0], {}) if above else record
            inside[name] = value
            records.append(record)
    return records
