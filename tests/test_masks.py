"""`--save mask` and the box of the largest part, both at `--box-threshold`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.maps.measures import measured
from cam_cli.outputs.records import map_records
from cam_cli.outputs.rows import ImageRow, MapRow
from cam_cli.outputs.tables import map_table

from .conftest import TINY

Camx = Callable[..., int]


def test_the_box_of_the_largest_part_is_that_of_the_threshold() -> None:
    """A peak of 1, beside it 0.3, and apart from both another 0.3."""
    mass = np.zeros((10, 10), np.float32)
    mass[2, 2], mass[2, 3], mass[8, 8] = 1, 0.3, 0.3
    assert measured(mass).component == pytest.approx((0.2, 0.2, 0.3, 0.3))
    assert measured(mass, 0.25).component == pytest.approx((0.2, 0.2, 0.4, 0.3))
    assert measured(mass, 0.25).box == measured(mass).box


def test_a_mask_shows_what_reaches_the_threshold_in_the_place_of_the_image(camx: Camx, images: Path) -> None:
    words = ("explain", images, *TINY, "--save", "heatmap,mask", "--box-threshold", "0.2", "--no-report", "-q")
    assert camx(*words) == 0
    rows = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    for row in rows:
        (one,) = row["maps"]
        mask = np.asarray(Image.open(Path("camx-out", one["mask"])).convert("L"))
        heat = np.asarray(Image.open(Path("camx-out", one["heatmap"])).convert("L"))
        assert {*np.unique(mask)} <= {0, 255}
        assert mask.shape == heat.shape
        certain = np.abs(heat.astype(int) - 0.2 * heat.max()) > 1
        assert ((mask == 255) == (heat >= 0.2 * heat.max()))[certain].all()
        assert one["component"]["threshold"] == 0.2
    assert camx("explain", images, *TINY, "--overwrite", "--no-report", "-q") == 0
    assert not list(Path("camx-out").glob("masks/**/*.png"))


def evaluated(camx: Camx, images: Path, *words: object) -> None:
    """A run in `pilot`, scored against its own boxes, those at half the peak."""
    assert camx("explain", images, *TINY, "--no-report", "-q", "-o", "pilot") == 0
    lines = ["image,label,x0,y0,x1,y1"]
    for line in Path("pilot/manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        (one,) = row["maps"]
        left, top, right, bottom = one["component"]["box"]
        edges = (left * row["width"], top * row["height"], right * row["width"], bottom * row["height"])
        lines.append(",".join([row["image"], str(one["target_index"]), *map(str, edges)]))
    Path("truth.csv").write_text("\n".join(lines) + "\n")
    assert camx("evaluate", "pilot", "--truth", "truth.csv", *words, "--no-report", "-q") == 0


def map_rows(folder: str) -> list[dict[str, str]]:
    with open(Path(folder, "maps.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_threshold_comes_from_the_evaluation_of_another_run(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(camx, images, "--threshold", "0.13")
    words = ("explain", images, *TINY, "--save", "overlay,mask", "--no-report", "-q")
    assert camx(*words, "--box-threshold", "pilot") == 0
    journal = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    boxes = {row["image"]: one["component"] for row in journal for one in row["maps"]}
    assert {one["threshold"] for one in boxes.values()} == {0.13}
    for row in map_rows("camx-out"):
        edges = [float(row[f"box_{side}"]) for side in ("left", "top", "right", "bottom")]
        assert edges == pytest.approx(boxes[row["image"]]["box"], rel=1e-5)
        assert (row["box_threshold"], row["box_threshold_from"]) == ("0.13", "fixed")
    assert camx(*words, "--box-threshold", "0.13", "-o", "number") == 0
    assert Path("number/maps.csv").read_bytes() == Path("camx-out/maps.csv").read_bytes()
    masks = [sorted(Path(folder, "masks").rglob("*.png")) for folder in ("camx-out", "number")]
    assert [one.read_bytes() for one in masks[0]] == [one.read_bytes() for one in masks[1]]
    # Both spellings of the number give the same run.
    assert camx(*words, "--box-threshold", "0.13") == 0
    capsys.readouterr()
    assert (
        camx(*[word for word in words if word != "-q"], "--box-threshold", "pilot", "--layer", "layer3", "-o", "other")
        == 0
    )
    assert "another network or layer (layer4)" in " ".join(capsys.readouterr().err.split())


def test_a_table_marks_a_calibrated_threshold(camx: Camx, images: Path) -> None:
    evaluated(camx, images, "--calibrate", "0.9")
    (chosen,) = json.loads(Path("pilot/evaluate/summary.json").read_text())["maps"]
    assert chosen["threshold"]["how"] == "calibrated"
    assert {(row["box_threshold"], row["box_threshold_from"]) for row in map_rows("pilot")} == {("0.5", "fixed")}
    words = ("explain", images, *TINY, "--no-report", "-q", "--box-threshold", "pilot", "--table", "csv,jsonl")
    assert camx(*words) == 0
    value = f"{chosen['threshold']['value']:.6g}"
    assert {(row["box_threshold"], row["box_threshold_from"]) for row in map_rows("camx-out")} == {
        (value, "calibrated")
    }
    typed = [json.loads(line) for line in Path("camx-out/maps.jsonl").read_text().splitlines()]
    assert {(row["box_threshold"], row["box_threshold_from"]) for row in typed} == {(float(value), "calibrated")}


def test_boxes_of_older_folders_have_the_threshold_that_is_known() -> None:
    """Version 0.1.0 had the box around everything above half the peak; later versions recorded no origin of the
    threshold."""
    oldest: MapRow = {"method": "gradcam", "box": [0.0, 0.0, 0.5, 1.0]}
    later: MapRow = {**oldest, "component": {"threshold": 0.2, "box": [0.0, 0.0, 0.4, 1.0]}}
    rows: list[ImageRow] = [{"image": "a", "status": "ok", "maps": [oldest, later, {"method": "gradcam"}]}]
    table = list(csv.DictReader(b"".join(map_table(rows)).decode().splitlines()))
    assert [(row["box_right"], row["box_threshold"], row["box_threshold_from"]) for row in table] == [
        ("0.5", "0.5", "fixed"), ("0.4", "0.2", ""), ("", "", ""),
    ]  # fmt: skip
    typed = [record for row in rows for record in map_records(row)]
    assert [(one["box_right"], one["box_threshold"], one["box_threshold_from"]) for one in typed] == [
        (0.5, 0.5, "fixed"), (0.4, 0.2, None), (None, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ("auto", "neither a share of the peak nor a folder"),
        ("images", "holds no results"),
        ("bare", "has chosen no threshold for maps of gradcam"),
        ("0", "out of range"),
        ("nan", "out of range"),
    ],
)
def test_a_threshold_that_nobody_has_chosen_is_refused(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], threshold: str, message: str
) -> None:
    if threshold == "bare":
        assert camx("explain", images, *TINY, "--limit", "1", "--no-report", "-q", "-o", "bare") == 0
    named = str(images) if threshold == "images" else threshold
    assert camx("explain", images, *TINY, "--box-threshold", named) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("camx-out").exists()


def test_another_threshold_needs_another_folder(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("explain", images, *TINY, "--limit", "1", "--no-report", "-q")
    assert camx(*words) == 0
    assert "box_threshold" not in json.loads(Path("camx-out/run.json").read_text())["fingerprint"]["rendering"]
    assert camx(*words, "--box-threshold", "0.5") == 0
    assert camx(*words, "--box-threshold", "0.1") == 2
    assert "box_threshold" in capsys.readouterr().err
