"""Trackers of a run with an evaluation: the truth over its images, and the figures of the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.evaluation.marks import MARKS, read_marks
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.tracking.explain_log import explain_log
from cam_cli.tracking.tracker import Chart, ImageCell, Table
from tools.truth_scenes import write_scenes

from .evaluate_support import LEFT, SIZE, box, boxes_file, out, truth  # noqa: F401 - a fixture is found by its name - fixtures are found by their names
from .tracking_support import Recorder, recorder  # noqa: F401 - a fixture is found by its name
from .wandb_reader import LoggedRun, read_run

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]


class TestMarks:
    def test_boxes_and_a_grid_of_each_image_are_kept(self, camx: Camx, out: Path, truth: str) -> None:
        assert camx("evaluate", out, "--truth", truth, "--no-report", "-q") == 0
        found = read_marks(RunFolder.read(str(out)), {"00.jpg", "39.jpg"})
        assert {*found} == {"00.jpg", "39.jpg"}
        mark = found["39.jpg"]
        assert mark.boxes == ((tuple(np.array(LEFT) / (SIZE * 2)), "cat"),)
        rows, columns = np.nonzero(mark.grid)
        edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / (mark.grid.shape[::-1] * 2)
        assert edges == pytest.approx(np.array(LEFT) / (SIZE * 2), abs=0.006)

    def test_a_truth_of_another_run_and_damaged_lines_are_left_out(self, camx: Camx, out: Path, truth: str) -> None:
        assert camx("evaluate", out, "--truth", truth, "--no-report", "-q") == 0
        path = out / "evaluate" / MARKS
        lines = path.read_text().splitlines()
        bad = ["", "{", "[]", '{"image": "00.jpg"}', lines[1].replace('"inside": [', '"inside": [-7, ')]
        path.write_text("\n".join([*bad, *lines[2:]]))
        images = {f"{number:02d}.jpg" for number in range(40)}
        assert {*read_marks(RunFolder.read(str(out)), images)} == images - {"00.jpg", "01.jpg"}
        record = json.loads((out / "run.json").read_text())
        record["fingerprint"]["weights"] = "others"
        (out / "run.json").write_text(json.dumps(record))
        assert read_marks(RunFolder.read(str(out)), images) == {}


def test_evaluate_logs_its_figures_itself(camx: Camx, out: Path, truth: str, recorder: Recorder) -> None:
    assert camx("evaluate", out, "--truth", truth, "--no-report", "-q", "--wandb") == 0
    assert recorder.finished is not None
    summary = json.loads((out / "evaluate" / "summary.json").read_text())["maps"][0]
    assert recorder.finished[0]["evaluate/gradcam/pointing"] == summary["own"]["metrics"]["pointing"]["value"] == 0.75
    (boxes,), (histogram,) = (
        recorder.values(f"evaluate/gradcam/{name}") for name in ("Boxes that fit", "IoU of the box")
    )
    assert isinstance(boxes, Chart)
    assert [*boxes.lines] == ["IoU 0.3", "IoU 0.5", "IoU 0.7", "always the centre, IoU 0.5"]
    assert boxes.lines["IoU 0.5"] == (summary["curves"]["thresholds"], summary["curves"]["box_accuracy"][1])
    assert [*histogram.bars.values()] == summary["curves"]["iou_histogram"]
    assert sum(histogram.bars.values()) == summary["own"]["metrics"]["box_iou"]["n"]


def test_truth_and_map_are_two_masks_with_levels_of_their_own(camx: Camx, images: Path) -> None:
    from .conftest import TINY

    assert camx("explain", images, *TINY, "--limit", "2", "-q", "--no-report") == 0
    names = [row["image"] for row in map(json.loads, Path("camx-out/manifest.jsonl").read_text().splitlines())]
    index = json.loads(Path("camx-out/manifest.jsonl").read_text().splitlines()[0])["maps"][0]["target_index"]
    truth = boxes_file(Path("t.csv"), box(names[0], str(index), (0, 0, 20, 20)))
    assert camx("evaluate", "camx-out", "--truth", truth, "-q", "--threshold", "0.2", "--no-report") == 0
    table = explain_log(RunFolder.read("camx-out"), 9)[0]["explanations"]
    assert isinstance(table, Table)
    cells = {row[table.columns.index("path")]: row[0] for row in table.rows}
    marked, other = cells[names[0]], cells[names[1]]
    assert isinstance(marked, ImageCell)
    assert isinstance(other, ImageCell)
    assert ([*marked.masks], [*other.masks]) == (["gradcam", "truth"], ["gradcam"])
    assert {marked.names[level] for level in np.unique(marked.masks["truth"])} == {"no object", "object"}
    assert {marked.names[level] for level in np.unique(marked.masks["gradcam"])} <= {*other.names}
    assert ([*marked.boxes], [*other.boxes]) == (["half of the peak", "truth"], ["half of the peak"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masks", "boxes"])
def test_wandb_shows_truth_and_map_on_each_image(camx: Camx, tmp_path: Path, kind: str) -> None:
    """One image has no truth: the others keep theirs, and the column keeps the type image."""
    write_scenes(tmp_path / "scenes", 5)
    content = json.loads((tmp_path / "scenes" / "truth.json").read_text())
    content["images"] = content["images"][:4]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] < 4]
    if kind == "boxes":
        content["annotations"] = [{**one, "segmentation": []} for one in content["annotations"]]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    run = tmp_path / "out"
    words = ("--model", "demo", "--target", "top:12", "-q", "--no-report", "-o", run)
    assert camx("explain", tmp_path / "scenes" / "images", *words) == 0
    logged = _evaluated(tmp_path, run)
    table = logged.table("explanations")
    kinds = {one["wb_type"] for one in table.types["image"]["params"]["allowed_types"]}
    assert kinds == {"none", "image-file"}
    assert len(table.rows) == 5
    for cell, path in zip(table.column("image"), table.column("path"), strict=True):
        number = int(Path(path).stem)
        assert ("truth" in cell["masks"]) == (number < 4)
        if number == 4:
            continue
        own = [one for one in content["annotations"] if one["image_id"] == number]
        with Image.open(cell["masks"]["truth"]["file"]) as mask:
            grid = np.asarray(mask)
        inside = grid == grid.max()
        left, top, right, bottom = (np.array([one["bbox"] for one in own]) @ np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])).T / 160  # fmt: skip
        rows, columns = np.nonzero(inside)
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.array(edges) / 128 == pytest.approx([left.min(), top.min(), right.max(), bottom.max()], abs=0.012)
        boxes = cell["boxes"].get("truth", [])
        assert len(boxes) == (len(own) if kind == "boxes" else 0)
    summary = json.loads((run / "evaluate" / "summary.json").read_text())["maps"][0]
    assert logged.summary["evaluate/gradcam/energy"] == summary["own"]["metrics"]["energy"]["value"]
    lines = logged.table("evaluate/gradcam/Boxes that fit_table")
    thresholds, accuracies = summary["curves"]["thresholds"], summary["curves"]["box_accuracy"][1]
    wanted = [[x, "IoU 0.5", y] for x, y in zip(thresholds, accuracies)]
    assert [row for row in lines.rows if row[1] == "IoU 0.5"] == wanted
    assert {MARKS, "summary.json"} <= {Path(name).name for name in logged.files("results")}


def _evaluated(tmp_path: Path, run: Path) -> LoggedRun:
    """The offline run of `camx evaluate --wandb`."""
    own = {"WANDB_CONFIG_DIR": str(tmp_path / "settings"), "NETRC": str(tmp_path / "netrc"), "WANDB_MODE": "offline"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | own
    argv = ["evaluate", str(run), "--truth", str(tmp_path / "truth.json"), "--wandb", "--wandb-project", "p", "-q"]
    code = "import sys; from cli.main import run; sys.exit(run(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, *argv], cwd=ROOT, env=environment, check=True)
    (folder,) = (run / "wandb").glob("offline-run-*")
    return read_run(folder)
