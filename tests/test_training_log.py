"""Values that a training gives to a tracker: previews with captions, both heads in one chart, mistakes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.outputs.captions import read_captions
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.report import build_report
from cam_cli.tracking.tracker import Chart, Gallery, ImageCell, Table
from cam_cli.tracking.training_log import epochs, training_log
from cam_cli.training.job import TrainJob
from cam_cli.training.run import train

from .report_support import content
from .training_support import RESNET, data, job, make_data, one_thread  # noqa: F401 - fixtures are found by their names


@pytest.fixture
def trained(job: TrainJob, tmp_path: Path) -> RunFolder:
    """Two epochs on few images that leave mistakes; the original network knows both classes."""
    folder = str(make_data(tmp_path / "data", {"blue": 3, "red": 3}, {"blue": 5, "red": 4}))
    shutil.copy(f"{folder}/val/red/00.png", f"{folder}/val/blue/99.png")  # one of the two is wrong after any training
    names = tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue\n")
    spec = replace(RESNET, args={"num_classes": 3}, class_names=str(names))
    train(replace(job, data=folder, model=spec, epochs=2, log_cams=3, lr=1e-4))
    return RunFolder.read(job.output)


def test_a_training_gives_previews_both_heads_and_mistakes(trained: RunFolder) -> None:
    explainer = Explainer(load_model(trained.path), ExplainOptions(device="cpu"))
    best = trained.record["best_epoch"]
    for (values, at), row in zip(epochs(trained), trained.metrics, strict=True):
        assert at.value == row["epoch"]
        cam, gradcam = values["previews/cam"], values["previews/gradcam"]
        assert isinstance(cam, Gallery)
        assert isinstance(gradcam, Gallery)
        assert [one.caption for one in cam.images] == [one.caption for one in gradcam.images]
        assert {Path(one.path).relative_to(trained.path).parts[0] for one in gradcam.images} == {"gradcams"}
        if at.value != best:
            continue
        for one in cam.images:
            name, words = one.caption.split(": ")
            (explained,) = explainer([str(Path(trained.record["job"]["data"], "val", name))])
            top = explained.ranking[0]
            right = "right" if top.name == Path(name).parent.name else "wrong"
            said, share, verdict = words.replace(",", "").split()
            assert (said, verdict) == (top.name, right)
            assert float(share.rstrip("%")) == pytest.approx(100 * top.probability, abs=0.2)
    values, _, _ = training_log(trained)
    heads = values["heads"]
    assert isinstance(heads, Chart)
    assert heads.lines["GAP head"] == ([1, 2], [row["val_accuracy"] for row in trained.metrics])
    assert heads.lines["original head"] == ([1, 2], [trained.record["original_accuracy"]] * 2)


def test_the_mistakes_are_those_of_the_best_network(trained: RunFolder) -> None:
    explainer = Explainer(load_model(trained.path), ExplainOptions(device="cpu"))
    wrong: dict[str, tuple[str, str, float]] = {}
    for path in sorted(Path(trained.record["job"]["data"], "val").rglob("*.png")):
        (explained,) = explainer([str(path)])
        top = explained.ranking[0]
        if top.name != path.parent.name:
            wrong[str(path)] = (path.parent.name, top.name, top.probability)
    found = trained.record["misclassified"]
    assert {one["image"] for one in found} == {*wrong}
    assert len(found) == sum(
        n for i, row in enumerate(trained.record["confusion"] or ()) for j, n in enumerate(row) if i != j
    )
    for one in found:
        label, predicted, prob = wrong[one["image"]]
        assert (one["label"], one["predicted"], one["prob"]) == (label, predicted, pytest.approx(prob, abs=2e-3))
    assert [one["prob"] for one in found] == sorted((one["prob"] for one in found), reverse=True)
    assert found
    Path(found[0]["image"]).write_bytes(b"another file")
    table = training_log(trained)[0]["misclassified"]
    assert isinstance(table, Table)
    assert table.rows[0][0] is None, "a file that has changed since is not shown as the one that was judged"
    assert all(isinstance(row[0], ImageCell) for row in table.rows[1:])


def test_the_page_shows_the_prediction_of_each_preview(trained: RunFolder) -> None:
    shown = content(Path(build_report(trained.path)))
    assert {*shown["samples"]} == {"cams", "gradcams"}
    for image, by_epoch in shown["captions"].items():
        assert [*by_epoch] == ["1", "2"]
        assert read_captions(trained, 1)[f"{image}.png"]["name"] == by_epoch["1"][0]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a.png": 3}', '{"a.png": {"name": 1, "prob": 2, "right": true}}', "[" * 100]
)
def test_damaged_captions_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cams" / "epoch-001" / "captions.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert read_captions(RunFolder(str(tmp_path), "train-gap", {}), 1) == {}


@pytest.mark.slow
def test_a_wandb_run_has_the_previews_as_a_panel_over_the_epochs(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.main import run

    from .wandb_reader import read_finished_run

    monkeypatch.setenv("WANDB_MODE", "offline")
    argv = ["push", trained.path, "--wandb", "--wandb-group", "heads", "--wandb-tags", "cam,gap"]
    assert run(argv) == 0
    (folder,) = Path(trained.path, "wandb").glob("offline-run-*")
    logged = read_finished_run(folder)
    assert (logged.run.run_group, list(logged.run.tags)) == ("heads", ["cam", "gap"])
    panels: list[dict[str, Any]] = [item for item in logged.history if "previews/cam._type" in item]
    assert [item["epoch"] for item in panels] == [1, 2]
    for epoch, item in enumerate(panels, 1):
        assert item["previews/cam._type"] == item["previews/gradcam._type"] == "images/separated"
        said = {text.split(": ")[1].split(" ")[0] for text in item["previews/cam.captions"]}
        assert said == {one["name"] for one in read_captions(trained, epoch).values()}
        for name in item["previews/cam.filenames"]:
            with Image.open(folder / "files" / name) as picture:
                assert picture.size == (96, 72)
    assert logged.metrics["previews/cam"] == "epoch"
    assert any(name.startswith("heads") for item in logged.history for name in item), json.dumps([*logged.history[-1]])
