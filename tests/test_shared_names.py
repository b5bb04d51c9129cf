"""Classes that share a name, like the two cranes of ImageNet, stay two in every output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import Image

from cam_cli.outputs.run_folder import RunFolder
from cam_cli.report.classes import Classes
from cam_cli.tracking.explain_log import explain_log
from cam_cli.tracking.tracker import Confusion, Table

from .run_folders import image_row, run_folder


def cranes() -> list[dict[str, Any]]:
    """Three images of the bird and one of the machine; one bird is predicted as the machine."""
    rows = [image_row(f"{place}.jpg", *pair) for place, pair in enumerate([(0, 0), (0, 0), (0, 1), (1, 1)])]
    for row in rows:
        row["label"] = row["top"][0]["name"] = "crane"
    return rows


def test_the_tables_of_a_tracker_go_by_index(tmp_path: Path) -> None:
    values, summary, _ = explain_log(RunFolder.read(str(run_folder(tmp_path / "out", cranes()))), 10)
    confusion, classes = values["confusion"], values["classes"]
    assert isinstance(confusion, Confusion)
    assert isinstance(classes, Table)
    # 0.1.0: one class `crane` with 4 of 4 on the diagonal.
    assert {pair: count for pair, count in confusion.counts.items() if count} == {
        ("crane (0)", "crane (0)"): 2, ("crane (0)", "crane (1)"): 1, ("crane (1)", "crane (1)"): 1,
    }  # fmt: skip
    assert [row[:4] for row in classes.rows] == [["crane (0)", 2, 3, 2], ["crane (1)", 2, 1, 1]]
    assert summary["accuracy@1"] == 0.75


def test_the_image_under_the_masks_is_the_one_that_they_lie_on(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "0.jpg")
    state = os.stat(tmp_path / "0.jpg")
    known = {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    for pixels, exif, shown in (
        ({}, "apply", True),
        ({"orientation": 6}, "apply", True),
        ({"orientation": 6}, "ignore", False),
        ({"bands": [3, 2, 1]}, "apply", False),
        ({"levels": [0, 4095]}, "apply", False),
    ):
        fingerprint = {"inputs": str(tmp_path), "pixels": {"exif": exif}}
        out = run_folder(tmp_path / "out", [image_row("0.jpg", pixels=pixels, **known)], fingerprint=fingerprint)
        values, _, words = explain_log(RunFolder.read(str(out)), 10)
        assert isinstance(values["explanations"], Table)
        assert (values["explanations"].rows[0][0] is not None) == shown, pixels
        assert ("moved or changed" in " ".join(words)) != shown


def test_the_report_goes_by_index() -> None:
    classes = Classes()
    for row in cranes():
        classes.place(row["top"][0]["index"], "crane")
        classes.label({**row, "label": f"crane {row['label_index']}"})
    assert classes.tables() == {"classes": ["crane (0)", "crane (1)"], "labels": [0, 1]}
    # A label that could be both classes is neither.
    classes.label({"image": "x.jpg", "status": "ok", "label": "Crane"})
    assert classes.tables() == {"classes": ["crane (0)", "crane (1)", "Crane"], "labels": [0, 1, 2]}
