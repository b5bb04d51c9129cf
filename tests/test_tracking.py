"""A run logs config, table, charts and artifacts to W&B and TensorBoard."""

from __future__ import annotations

import base64
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.images.listing import find
from cam_cli.tracking.pictures import level_names, levels_of
from cli.main import run

from .conftest import TINY
from .tracking_support import FLAGS, SAMPLES, Camx, Recorder, nobody_logged_in, recorder  # noqa: F401 - fixtures are found by their names
from .wandb_reader import LoggedRun, read_run

MORE = (
    "--wandb-entity",
    "zoo",
    "--wandb-tags",
    "one, two",
    "--wandb-name",
    "a name",
    "--wandb-max-images",
    4,
    "--tensorboard",
)


@dataclass
class Tracked:
    """A run of `explain` that was logged offline and to TensorBoard."""

    images: Path
    out: Path
    code: int

    @property
    def journal(self) -> dict[str, dict[str, Any]]:
        lines = (self.out / "manifest.jsonl").read_text().splitlines()
        return {row["image"]: row for row in map(json.loads, lines)}

    @property
    def logged(self) -> LoggedRun:
        (folder,) = (self.out / "wandb").glob("offline-run-*")
        return read_run(folder)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """Seven images in class folders, two of them in the wrong one, and a broken file; the table holds four rows."""
    folder = tmp_path_factory.mktemp("tracked")
    images = folder / "images"
    for path in sorted(SAMPLES.glob("*.jpg"))[:7]:
        words = path.stem.split("-")
        target = images / ("car" if path.stem in ("bird", "cat") else words[0]) / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (images / "car" / "broken.jpg").write_bytes(b"no picture")
    argv = ["explain", images, "--labels", "folder", "--model", "demo", "-o", folder / "out", *FLAGS, *MORE]
    return Tracked(images, folder / "out", run([str(word) for word in argv]))


def test_a_run_logs_its_identity(tracked: Tracked) -> None:
    logged = tracked.logged
    assert tracked.code == logged.exit_code == 1  # one image failed
    who = logged.run
    assert (who.project, who.run_group, list(who.tags)) == ("animals", "g1", ["one", "two"])
    assert (who.entity, who.display_name, who.job_type) == ("zoo", "a name", "explain")
    config, record = logged.config, json.loads((tracked.out / "run.json").read_text())
    assert (config["command"], config["model"], config["layer"]) == ("explain", "demo", "maps")
    assert config["model_digest"] == record["fingerprint"]["weights"]
    assert config["fingerprint"] == record["fingerprint"]
    assert config["versions"] == record["versions"]
    assert config["job"]["labels"] == "folder"
    assert "command" not in config["job"]


def test_the_table_shows_the_rows_worth_looking_at(tracked: Tracked) -> None:
    table, journal = tracked.logged.table("explanations"), tracked.journal
    wrong = [name for name, row in journal.items() if row.get("correct") is False]
    assert len(table.rows) == 4
    assert table.column("path")[: len(wrong)] == sorted(wrong, key=lambda name: -journal[name]["top"][0]["prob"])
    assert set(table.column("chosen")[: len(wrong)]) == {"wrong"}
    for number, name in enumerate(table.column("path")):
        row = dict(zip(table.columns, table.rows[number], strict=True))
        written = journal[name]
        shown = written["maps"][0]
        assert (row["label"], row["correct"], row["status"]) == (written["label"], written["correct"], "ok")
        assert (row["prediction"], row["probability"]) == (written["top"][0]["name"], written["top"][0]["prob"])
        assert (row["top3_name"], row["top3_prob"]) == (written["top"][2]["name"], written["top"][2]["prob"])
        for measure in ("peak", "area", "center_x", "center_y", "border", "entropy"):
            assert row[f"cam_{measure}"] == shown[measure]
        assert (row["method"], row["layer"], row["target"]) == ("gradcam", "maps", shown["target_name"])


def test_images_masks_and_boxes_are_those_of_the_row(tracked: Tracked) -> None:
    table, journal = tracked.logged.table("explanations"), tracked.journal
    for shown_picture, overlay, name in zip(*(table.column(c) for c in ("image", "overlay", "path")), strict=True):
        written = journal[name]
        shown = written["maps"][0]
        with Image.open(tracked.images / name) as original, Image.open(shown_picture["file"]) as logged:
            assert max(logged.size) == min(512, max(original.size))
            small = original.resize(logged.size, Image.Resampling.BICUBIC)
            difference = np.abs(np.asarray(small, dtype=float) - np.asarray(logged, dtype=float))
            assert difference.mean() < 6 < np.asarray(logged).mean()
        assert Path(overlay["file"]).read_bytes() == (tracked.out / shown["overlay"]).read_bytes()
        ((mask_name, mask),) = shown_picture["masks"].items()
        assert mask_name == "gradcam"
        with Image.open(mask["file"]) as grid:
            levels = np.asarray(grid)
        assert max(levels.shape) == 112
        assert levels.min() == 0 < levels.max() <= 3
        # Slow definition: the cell of the sketch under each place, in quarters of the peak.
        sketch = shown["sketch"]
        cells = np.frombuffer(base64.b64decode(sketch["values"]), np.uint8).reshape(sketch["height"], sketch["width"])
        rows = (np.arange(levels.shape[0]) + 0.5) * cells.shape[0] // levels.shape[0]
        columns = (np.arange(levels.shape[1]) + 0.5) * cells.shape[1] // levels.shape[1]
        nearest = cells[rows.astype(int)][:, columns.astype(int)] // 64
        assert np.abs(nearest.astype(int) - levels).mean() < 0.12
        assert (levels == nearest).mean() > 0.85
        ((_, (box,)),) = shown_picture["boxes"].items()
        assert [box["position"][side] for side in ("minX", "minY", "maxX", "maxY")] == shown["box"]
        assert box["box_caption"].startswith(shown["target_name"])


def test_every_map_has_a_row_with_its_numbers(tracked: Tracked) -> None:
    table, journal = tracked.logged.table("maps"), tracked.journal
    shown = tracked.logged.table("explanations").column("path")
    assert [(row[0], row[1]) for row in table.rows] == [(n, k) for n in shown for k in range(len(journal[n]["maps"]))]
    for cells in table.rows:
        row = dict(zip(table.columns, cells, strict=True))
        written = journal[row["path"]]["maps"][row["map"]]
        assert (row["method"], row["target"]) == (written["method"], written["target_name"])
        assert all(row[f"cam_{name}"] == written[name] for name in ("peak", "area", "border", "entropy"))
        assert Path(row["overlay"]["file"]).read_bytes() == (tracked.out / written["overlay"]).read_bytes()


def test_columns_have_types(tracked: Tracked) -> None:
    """W&B sorts, groups and draws by columns of one type; mixed types become none."""
    types = tracked.logged.table("explanations").types
    assert not [name for name, column in types.items() if column["wb_type"] == "any"]
    kinds = {name: {one["wb_type"] for one in types[name]["params"]["allowed_types"]} for name in types}
    assert kinds["probability"] == {"none", "number"}
    assert kinds["correct"] == {"none", "boolean"}
    assert kinds["image"] == {"none", "image-file"}
    (image,) = (one for one in types["image"]["params"]["allowed_types"] if one["wb_type"] == "image-file")
    assert image["params"]["mask_layers"]["params"]["val"].keys() == {"gradcam"}


def test_several_methods_and_classes_are_several_masks(camx: Camx, images: Path, recorder: Recorder) -> None:
    methods = ("--method", "gradcam", "--method", "cam")
    assert camx("explain", images, *TINY, *methods, "--target", "top:2", "--wandb") == 0
    (table,) = recorder.values("explanations")
    for cells in table.rows:
        assert set(cells[0].masks) <= {"gradcam", "gradcam 2", "cam", "cam 2"}
    assert any(len(cells[0].masks) == 4 for cells in table.rows)


def test_levels_and_box_have_names(tracked: Tracked) -> None:
    files = tracked.logged.artifacts["0 " + next(iter(tracked.logged.artifacts)).split(" ")[1]].manifest.contents
    (path,) = (entry.local_path for entry in files if entry.path.endswith(".classes.json"))
    names = {entry["id"]: entry["name"] for entry in json.loads(Path(path).read_text())["class_set"]}
    assert names == {0: "below 25 %", 1: "25–50 %", 2: "50–75 %", 3: "75–100 %", 4: "half of the peak"}


def test_what_speaks_against_a_class_has_levels_of_its_own() -> None:
    def shown(*values: int, signed: bool) -> dict[str, Any]:
        packed = base64.b64encode(bytes(values)).decode()
        return {"sketch": {"width": len(values), "height": 1, "values": packed} | ({"signed": True} if signed else {})}

    two_sided, strength = shown(1, 40, 128, 216, 255, signed=True), shown(255, 177, 0, 177, 255, signed=False)
    for one, levels in ((two_sided, [6, 5, 0, 2, 3]), (strength, [3, 2, 0, 2, 3])):
        grid = levels_of(one, 112, 20)
        assert grid is not None
        assert grid.dtype == np.uint8
        assert grid[10, 11:112:22].tolist() == levels, "the middle of each cell"
    names = level_names([strength, two_sided])
    assert (names[3], names[6]) == ("75–100 %", "75–100 % against")
    assert len(level_names([strength])) == 4, "the masks of other runs are as before"


def test_counts_accuracy_and_confusion_are_those_of_the_journal(tracked: Tracked) -> None:
    logged, journal = tracked.logged, tracked.journal
    good = [row for row in journal.values() if row["status"] == "ok"]
    summary = logged.summary
    assert (summary["images"], summary["ok"], summary["failed"], summary["blank"]) == (8, 7, 1, 0)
    assert summary["accuracy@1"] == sum(row["correct"] for row in good) / 7
    within = [any(entry["name"] == row["label"] for entry in row["top"]) for row in good]
    assert summary["accuracy@5"] == sum(within) / 7
    assert summary["cam_border"] == pytest.approx(np.mean([row["maps"][0]["border"] for row in good]))
    assert (summary["table/rows"], summary["table/of"]) == (4, 7)
    assert summary["images_per_second"] == json.loads((tracked.out / "run.json").read_text())["images_per_second"]
    pairs = Counter((row["label"], row["top"][0]["name"]) for row in good)
    assert {(a, p): n for a, p, n in logged.table("confusion_table").rows if n} == pairs
    for name, predicted, labelled, correct, accuracy in logged.table("classes").rows:
        assert predicted == sum(row["top"][0]["name"] == name for row in good)
        assert labelled == sum(row["label"] == name for row in good)
        assert correct == pairs[name, name]
        assert accuracy == (correct / labelled if labelled else None)
    ((path, label, error),) = logged.table("failures").rows
    assert (path, label) == ("car/broken.jpg", "car")
    assert error == journal[path]["error"]


def test_throughput_has_an_axis_of_its_own(tracked: Tracked) -> None:
    logged = tracked.logged
    assert logged.metrics["throughput/images_per_second"] == "throughput/images"
    notes = [row for row in logged.history if "throughput/images" in row]
    assert notes[-1]["throughput/images"] == 8
    assert notes[-1]["throughput/images_per_second"] > 0


def test_the_results_are_an_artifact(tracked: Tracked) -> None:
    files = tracked.logged.files("results")
    assert {"predictions.csv", "manifest.jsonl", "run.json", "report/index.html"} <= set(files)
    for name, path in files.items():
        assert path.is_absolute()
        assert path == tracked.out / name


def test_all_that_is_logged_lies_in_the_output_folder_and_is_no_input(tracked: Tracked) -> None:
    for artifact in tracked.logged.artifacts.values():
        for entry in artifact.manifest.contents:
            assert Path(entry.local_path).is_relative_to(tracked.out)


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_what_trackers_leave_is_no_input(name: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").touch()
    for path in (tmp_path / "mine.png", tmp_path / name / "media" / "theirs.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [source.key for source in find([str(tmp_path)]).sources] == ["mine.png"]


def test_tensorboard_has_the_same(tracked: Tracked) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tracked.out / "tensorboard"))
    events.Reload()
    summary = tracked.logged.summary
    assert events.Scalars("summary/accuracy@1")[0].value == pytest.approx(summary["accuracy@1"])
    assert events.Scalars("throughput/images_per_second")[-1].step == 8
    shown = [tag for tag in events.Tags()["images"] if tag.startswith("explanations/")]
    names = tracked.logged.table("explanations").column("path")
    assert [tag.split(" ", 1)[1] for tag in sorted(shown)] == [name.replace(" ", "_") for name in names]
    overlay = tracked.out / tracked.journal[names[0]]["maps"][0]["overlay"]
    with Image.open(overlay) as image:
        first = events.Images(sorted(shown)[0])[0]
        assert (first.width, first.height) == image.size
