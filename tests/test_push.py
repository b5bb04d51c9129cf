"""A push logs what the run itself would have logged, also for trainings and feature maps."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cam_cli.outputs.run_folder import RunFolder
from cam_cli.tracking import wandb_run
from cam_cli.tracking.tracker import Files, ImageCell

from .conftest import TINY
from .tracking_support import FLAGS, Camx, Recorder, nobody_logged_in, recorder  # noqa: F401 - fixtures are found by their names
from .wandb_reader import read_finished_run, read_run


@pytest.mark.slow
def test_trainings_and_sheets_reach_wandb(camx: Camx, images: Path) -> None:
    argv = ["train-gap", images, *TINY, "--freeze", "none", "--epochs", 2, "--log-cams", 2, "--image-size", 32]
    assert camx(*argv, *FLAGS, "-o", "gap") == 0
    assert camx("activations", images, *TINY, *FLAGS, "-o", "sheets") == 0
    (gap,), (sheets,) = (list(Path(out, "wandb").glob("offline-run-*")) for out in ("gap", "sheets"))
    logged = read_run(gap)
    assert (logged.run.job_type, logged.metrics["train/loss"]) == ("train-gap", "epoch")
    assert [row["epoch"] for row in logged.history if "train/loss" in row] == [1, 2]
    for epoch, table in enumerate(logged.tables("cams"), 1):
        for path, shown in zip(table.column("path"), table.column("picture"), strict=True):
            assert Path(shown["file"]).read_bytes() == Path(f"gap/cams/epoch-{epoch:03}", path).read_bytes()
    assert len(logged.tables("cams")) == 2
    assert logged.files("model") == {"model.safetensors": Path("gap/model.safetensors").absolute()}
    (model,) = (artifact for artifact in logged.artifacts.values() if artifact.type == "model")
    record = json.loads(Path("gap/run.json").read_text())
    assert json.loads(model.metadata)["val_accuracy"] == record["val_accuracy"] == logged.summary["val_accuracy"]
    assert logged.table("confusion_table").columns == ["Actual", "Predicted", "nPredictions"]
    logged = read_run(sheets)
    table = logged.table("activations")
    assert len(table.rows) == logged.summary["images"] == 7
    for path, shown in zip(table.column("path"), table.column("sheet"), strict=True):
        assert Path(shown["file"]).read_bytes() == Path("sheets/activations", f"{path}.png").read_bytes()


@pytest.mark.slow
def test_the_same_command_again_continues_the_wandb_run(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, *FLAGS, "--limit", 3, "-o", "out") == 0
    assert camx("explain", images, *TINY, *FLAGS, "-o", "out") == 0
    assert camx("explain", images, *TINY, *FLAGS, "-o", "out", "--size", 64, "--overwrite") == 0
    runs = [read_finished_run(folder) for folder in sorted(Path("out/wandb").glob("offline-run-*"))]
    first, second, other = (logged.run.run_id for logged in runs)
    assert first == second != other
    assert [logged.summary["images"] for logged in runs] == [3, 7, 7]


def test_the_same_results_are_the_same_run(tmp_path: Path) -> None:
    first = wandb_run.run_id(str(tmp_path), "a")
    assert wandb_run.run_id(str(tmp_path), "a") == first
    other = wandb_run.run_id(str(tmp_path), "b")
    assert other != first
    assert wandb_run.run_id(str(tmp_path), "b") == other
    (tmp_path / ".wandb-run").write_text("{")
    assert wandb_run.run_id(str(tmp_path), "b") != other


def test_a_run_and_a_push_log_the_same(camx: Camx, images: Path, recorder: Recorder) -> None:
    assert camx("explain", images, *TINY, "--wandb") == 0
    about, (tables, _), finished = recorder.about, recorder.logged[-1], recorder.finished
    recorder.logged.clear()
    assert camx("push", "camx-out", "--wandb") == 0
    assert recorder.about == about
    assert recorder.finished == finished
    assert recorder.logged[-1][0].keys() == tables.keys()
    assert recorder.logged[-1][0]["classes"] == tables["classes"]
    assert recorder.logged[-1][0]["results"] == tables["results"]


def test_a_folder_from_elsewhere_shows_its_overlays(
    camx: Camx, images: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    camx("explain", images, *TINY, "--no-report")
    shutil.move("camx-out", "moved")
    (images / "cat" / "0.jpg").unlink()
    assert camx("push", "moved", "--wandb", "--wandb-max-images", 7) == 0
    (table,) = recorder.values("explanations")
    cells = {r[-1]: dict(zip(table.columns, r, strict=True)) for r in table.rows}
    assert cells["cat/0.jpg"]["image"] is None
    assert cells["cat/2.jpg"]["image"].path == str(images / "cat" / "2.jpg")
    assert cells["cat/0.jpg"]["overlay"].path == "moved/overlays/cat/0.jpg.png"
    assert "1 image moved or changed since" in capsys.readouterr().err


def test_thumbnails_stand_in_for_images_that_are_gone(camx: Camx, images: Path, recorder: Recorder) -> None:
    camx("explain", images / "cat" / "1.png", *TINY)
    (images / "cat" / "1.png").unlink()
    assert camx("push", "camx-out", "--wandb") == 0
    (table,) = recorder.values("explanations")
    (written,) = map(json.loads, Path("camx-out/manifest.jsonl").read_text().splitlines())
    assert table.rows[0][0].path == f"camx-out/{written['thumb']}"


def test_a_run_that_was_stopped_has_its_exit_code_and_no_tables(camx: Camx, images: Path, recorder: Recorder) -> None:
    (images / "cat" / "0.jpg").write_bytes(b"")
    assert camx("explain", images, *TINY, "--wandb", "-o", images / "cat" / "1.png") == 2
    assert (recorder.about, recorder.finished) == (None, ({}, 2))


def test_activations_log_their_sheets(camx: Camx, images: Path, recorder: Recorder) -> None:
    (images / "cat" / "0.jpg").write_bytes(b"")
    assert camx("activations", images, *TINY, "--wandb", "-o", "out", "--wandb-max-images", 5) == 1
    assert recorder.about is not None
    assert recorder.about.command == "activations"
    (table,), (failures,), (files,) = map(recorder.values, ("activations", "failures", "results"))
    assert [r[-1] for r in table.rows] == ["cat/1.png", "cat/2.jpg", "cat/3.png", "dog/4.jpg", "dog/5.png"]
    for cells in table.rows:
        assert cells[0] == ImageCell(f"out/activations/{cells[-1]}.png")
    assert [r[0] for r in failures.rows] == ["cat/0.jpg"]
    assert set(files.paths) == {"activations.csv", "manifest.jsonl", "run.json"}
    summary, code = recorder.finished or ({}, None)
    assert (summary["images"], summary["failed"], summary["table/of"], code) == (7, 1, 6, 1)


def test_a_training_logs_every_epoch_and_its_best_network(camx: Camx, images: Path, recorder: Recorder) -> None:
    argv = ["train-gap", images, *TINY, "--freeze", "none", "--epochs", 3, "--log-cams", 2, "-o", "gap"]
    assert camx(*argv, "--image-size", 32, "--wandb") == 0
    about, trained, finished = recorder.about, list(recorder.logged), recorder.finished
    assert about is not None
    assert (about.command, about.config["plan"]["epochs"]) == ("train-gap", 3)
    losses = [(at.value, values["train/loss"]) for values, at in trained if at and "train/loss" in values]
    with open("gap/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert losses == [(int(r["epoch"]), pytest.approx(float(r["train_loss"]), rel=1e-5)) for r in rows]
    cams = [(at.value, values["cams"]) for values, at in trained if at and "cams" in values]
    assert [epoch for epoch, _ in cams] == [1, 2, 3]
    for epoch, table in cams:
        paths = [cells[0].path for cells in table.rows]
        assert len(paths) == 2
        assert all(Path(path).is_file() and f"epoch-{epoch:03}" in path for path in paths)
    (model,) = recorder.values("model")
    record = json.loads(Path("gap/run.json").read_text())
    assert model == Files("model", {"model.safetensors": "gap/model.safetensors"}, model.metadata)
    assert model.metadata["val_accuracy"] == record["val_accuracy"]
    summary, code = finished or ({}, None)
    assert code == 0
    assert {"price_of_cam", "original_accuracy", "best_epoch"} <= set(summary)
    assert summary["val_accuracy"] == record["val_accuracy"]

    recorder.logged.clear()
    assert camx("push", "gap", "--wandb") == 0
    assert recorder.about is not None
    assert recorder.about.identity == about.identity
    again = [(at.value, values["cams"]) for values, at in recorder.logged if at and "cams" in values]
    assert again == cams
    assert recorder.finished == finished


def test_feature_maps_of_epochs_are_logged_beside_the_cams(tmp_path: Path) -> None:
    from cam_cli.tracking.training_log import epoch_pictures

    for kind in ("cams", "activations"):
        path = tmp_path / kind / "epoch-002" / "cat" / "0.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(path)
        (path.parent / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    run = RunFolder(str(tmp_path), "train-gap", {})
    tables = epoch_pictures(run, 2)
    assert set(tables) == {"cams", "activations", "previews/cam"}
    assert all([row[2] for row in tables[kind].rows] == ["cat/0.png"] for kind in ("cams", "activations"))  # type: ignore[union-attr]
    assert epoch_pictures(run, 1) == {}
