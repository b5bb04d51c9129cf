"""Figures and images of the report: classes, mean maps, failures, curves."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cam_cli.outputs.run_folder import RunFolder
from cam_cli.report import build_report
from cam_cli.report.chart import charts
from cam_cli.report.classes import CELLS, Classes, MeanMaps, areas
from cam_cli.report.failures import LISTED, Failures
from cam_cli.report.pictures import SMALL_BUDGET, embedded

from .report_support import content, row, sketch, written


def test_classes_and_what_labels_mean() -> None:
    classes = Classes()
    assert [
        classes.place(7, "crane"),
        classes.place(9, "crane"),
        classes.place(7, "crane"),
        classes.place(2, "tabby, tabby cat"),
    ] == [0, 1, 0, 2]
    right = row("a", label="Vogel", correct=False, label_index=9)
    labels = ["", "tabby cat", "7", "unknown", "tabby cat"]
    assert [classes.label(row("x", label=text)) for text in labels] + [classes.label(right)] == [-1, 0, 1, 2, 0, 3]
    tables = classes.tables()
    assert tables["classes"] == ["crane (7)", "crane (9)", "tabby, tabby cat", "unknown"]
    assert tables["labels"] == [2, 0, 3, 1]


def test_mean_maps_average_over_relative_positions() -> None:
    for cells in (1, 5, 18, 24):
        assert np.allclose(areas(cells).sum(1), 1)
        assert np.allclose(areas(cells) @ np.ones(cells), 1)
    means = MeanMaps()
    for width, height, correct in ((24, 12, True), (12, 24, False), (6, 6, None)):
        sketch = np.zeros((height, width), np.uint8)
        sketch[: height // 2, : width // 2] = 255
        values = base64.b64encode(sketch.tobytes()).decode()
        means.add({"method": "m", "sketch": {"width": width, "height": height, "values": values}}, 4, correct)
    means.add({"method": "m"}, 4, True)
    part = means.as_part()["m"]
    assert part["4"] == part["-1"]
    for (count, peak, packed, signed), expected in zip(part["4"], (3, 1, 1)):
        assert (count, peak, signed) == (expected, 1.0, False)
        cells = np.frombuffer(base64.b64decode(packed), np.uint8).reshape(CELLS, CELLS)
        assert (cells[:12, :12] == 255).all()
        assert cells.sum() == 144 * 255


def test_mean_maps_keep_signs_unless_a_sketch_has_none() -> None:
    means = MeanMaps()
    means.add({"method": "m", "sketch": sketch(1, 255, signed=True)}, 4, True)
    means.add({"method": "m", "sketch": sketch(1, 128, signed=True)}, 4, False)
    means.add({"method": "m", "sketch": sketch(255, 0)}, 5, False)
    part = means.as_part()["m"]

    def mean(target: int, group: int) -> tuple[int, float, list[int], bool]:
        count, peak, packed, signed = part[str(target)][group]
        cells = np.frombuffer(base64.b64decode(packed), np.uint8).reshape(CELLS, CELLS)
        return count, peak, [int(cells[0, 0]), int(cells[0, -1])], signed

    assert mean(4, 0) == (2, -1.0, [1, round(128 + 127 / 2)], True), "half of the peak speaks for the class"
    assert mean(4, 1) == (1, -1.0, [1, 255], True)
    assert mean(5, 0) == (1, 1.0, [255, 0], False)
    assert mean(-1, 0) == (3, 1.0, [255, round(255 / 3)], False), "strengths, since the signs of one are not known"
    assert mean(-1, 1) == (1, -1.0, [1, 255], True)


def test_a_page_knows_which_maps_have_signs(tmp_path: Path) -> None:
    two_sided = row("b.jpg", index=1)
    two_sided["maps"] = [{**two_sided["maps"][0], "sketch": sketch(1, 255, signed=True)}]
    data = content(Path(build_report(str(written(tmp_path / "out", [row("a.jpg"), two_sided])))))
    assert data["signs"] == {"strength": 1, "signed": 1}
    assert data["parts"]["more-0"][1]["maps"][0]["sketch"]["signed"] is True
    assert len(base64.b64decode(data["twoSided"])) == 768


def test_failures_are_counted_by_reason() -> None:
    failures = Failures()
    for index in range(LISTED + 5):
        failures.add("truncated", str(index))
    failures.add("empty", "x")
    assert [(reason, count, len(names)) for reason, count, names in failures] == [
        ("truncated", LISTED + 5, LISTED),
        ("empty", 1, 1),
    ]


def test_images_are_made_to_fit_one_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=95)
    names = []
    for index in range(60):
        os.link(tmp_path / "noise.jpg", tmp_path / f"{index}.jpg")
        names.append(f"{index}.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert (tmp_path / "noise.jpg").stat().st_size * 60 > SMALL_BUDGET
    addresses = embedded(RunFolder(str(tmp_path), "explain", {}), [*names, "broken.jpg", "missing.jpg"], 512)
    assert sorted(addresses) == sorted(names)
    assert sum(map(len, addresses.values())) < SMALL_BUDGET * 1.35


def test_curves_have_round_axes() -> None:
    metrics: list[Any] = [
        {"epoch": e, "train_loss": 2 / e, "val_loss": 3 / e, "train_accuracy": 0.7 + e / 50, "val_accuracy": 0.7}
        for e in (1, 2, 3)
    ]
    del metrics[1]["val_loss"]
    loss, accuracy = charts(metrics, 10, 3)
    assert [text for _, text in loss.x] == [str(e) for e in range(1, 11)]
    assert [epoch for _, _, epoch, _ in loss.lines["validation"]] == [1, 3]
    assert loss.lines["training"][1][3] == "1"
    assert accuracy.y[0][1] == "70\u202f%"
    assert loss.best == loss.lines["training"][2][0]
    assert charts([], 10, None) == []
