"""Training of a GAP head: exact CAM, learning, resume, command line and errors."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.gap import GapHead, GapNetwork, idle_behind
from cam_cli.models.hooks import TargetLayer, features_at
from cam_cli.models.layouts import Layout
from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.outputs.ticks import epoch_ticks, value_ticks
from cam_cli.parsers import byte_count
from cam_cli.training.job import TrainJob
from cam_cli.training.metrics import EpochMetrics, Scores
from cam_cli.training.run import train
from cli.main import run

from .training_support import RESNET, Stacked, StopsAfter, data, job, make_data, one_thread  # noqa: F401 - fixtures are found by their names


def assert_exact(folder: str, image: str) -> None:
    """Grad-CAM·H·W == ReLU(CAM) on the saved network (equality before the ReLU implies it after)."""
    explainer = Explainer(load_model(folder), ExplainOptions(methods=("gradcam", "cam"), device="cpu"))
    assert explainer.layer.name == "maps"
    gradcam, cam = explainer([Image.open(image)])[0].maps
    assert np.abs(cam.values).max() > 0
    np.testing.assert_allclose(gradcam.values.clip(0) * cam.values.size, cam.values.clip(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "gap_channels", "grid"),
    [
        ("timm/test_resnet", 0, "NCHW"),
        ("timm/test_resnet", 6, "NCHW"),
        ("timm/test_vit", 0, "NLC"),
        ("timm/test_vit", 5, "NLC"),
        ("timm/test_efficientnet", 0, "NCHW"),
    ],
)
def test_cam_is_exact_on_the_saved_file(job: TrainJob, data: str, name: str, gap_channels: int, grid: str) -> None:
    size = PreprocessingOptions(image_size=160 if "vit" in name else 64)
    made = train(
        replace(job, model=replace(RESNET, name=name, preprocessing=size), gap_channels=gap_channels, epochs=1)
    )
    assert made.best is not None
    assert made.plan.grid.split(", ")[2].startswith(grid)
    assert_exact(job.output, f"{data}/val/red/00.png")
    network = load_model(job.output)
    assert (network.classes.names, network.preprocessing.input_size) == (
        ("blue", "red"),
        size.image_size and (size.image_size,) * 2,
    )
    assert network.module.head.in_features == (gap_channels or int(made.plan.grid.split(", ")[1].split()[0]))


def test_what_lies_behind_the_layer_neither_runs_nor_stays() -> None:
    network, picture = Stacked(), torch.randn(1, 3, 20, 20)
    layer = TargetLayer("features.3", Layout("NCHW", 16, 16, 6))
    expected = network.features[:4](picture)
    ran: list[str] = []
    network.classifier.register_forward_hook(lambda *_: ran.append("classifier"))
    assert torch.equal(features_at(network, picture, layer), expected)
    assert not ran
    assert idle_behind(network, layer, picture) == ("classifier",)
    assert not any(module._forward_hooks for name, module in network.named_modules() if name != "classifier")
    gap = GapNetwork(network, GapHead(layer, dropped=("classifier",)), 2)
    assert torch.allclose(gap(picture), gap.head(expected.mean((2, 3))))
    assert not [name for name in gap.state_dict() if "classifier" in name]
    gap(picture).sum().backward()
    assert gap.backbone.features[0].weight.grad.abs().sum() > 0


def test_a_layer_that_does_not_run_is_an_error() -> None:
    network = Stacked()
    network.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(CamxError, match="'spare' does not run"):
        features_at(network, torch.randn(1, 3, 20, 20), TargetLayer("spare", Layout("NCHW", 20, 20, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["torchvision/alexnet", "torchvision/vgg11", "timm/swin_tiny_patch4_window7_224", "timm/mobilenetv3_small_050"],
)
def test_real_architectures(job: TrainJob, data: str, name: str) -> None:
    train(replace(job, model=ModelSpec(name, pretrained=False), epochs=1))
    assert_exact(job.output, f"{data}/val/red/00.png")


def test_alexnet_loses_its_fully_connected_layers(job: TrainJob, data: str) -> None:
    spec = ModelSpec("torchvision/alexnet", pretrained=False, preprocessing=PreprocessingOptions(image_size=96))
    train(replace(job, model=spec, epochs=1, augment="none"))
    assert Path(job.output, "model.safetensors").stat().st_size < 12e6  # 244 MB with them
    assert_exact(job.output, f"{data}/val/blue/01.png")


def test_the_head_learns_and_reports_it(job: TrainJob, tmp_path: Path) -> None:
    summary = train(replace(job, freeze="none", epochs=8, lr=0.01, ema=0.9))
    assert summary.best is not None
    assert summary.best.accuracy >= 0.9
    assert summary.history[-1].train_loss < summary.history[0].train_loss
    assert summary.best.confusion.sum() == 12
    assert_exact(job.output, f"{job.data}/val/red/00.png")
    record = json.loads(Path(job.output, "run.json").read_text())
    assert record["val_accuracy"] == pytest.approx(summary.best.accuracy, abs=1e-6)
    assert record["per_class_accuracy"].keys() == {"blue", "red"}
    with Image.open(Path(job.output, "curves.png")) as curves:
        assert curves.size == (1120, 460)


def test_metrics_have_a_row_per_epoch(job: TrainJob) -> None:
    summary = train(job)
    with open(Path(job.output, "metrics.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["val_loss"]) for row in rows] == pytest.approx([m.val_loss for m in summary.history], rel=1e-4)
    assert rows[0]["best"] == "1"
    # model.safetensors holds the best network: measured again from the file.
    best = max(summary.history, key=lambda m: m.rank)
    assert measured(job.output, job.data) == pytest.approx(best.val_accuracy)


def measured(folder: str, data: str) -> float:
    """Validation accuracy of a saved network, by a plain loop."""
    explainer = Explainer(load_model(folder), ExplainOptions(device="cpu"))
    right = []
    for index, name in enumerate(("blue", "red")):
        images = [Image.open(path) for path in sorted(Path(data, "val", name).iterdir())]
        right += [e.ranking[0].index == index for e in explainer(images)]
    return sum(right) / len(right)


@pytest.mark.parametrize(
    "changes",
    [
        {"freeze": "backbone"},
        {"freeze": "backbone", "gap_channels": 4},
        {"freeze": "none", "ema": 0.9, "balance": "sampler"},
    ],
)
def test_a_continued_training_ends_as_an_undisturbed_one(
    job: TrainJob, tmp_path: Path, changes: dict[str, Any]
) -> None:
    job = replace(job, **changes)
    straight = train(job)
    broken = replace(job, output=str(tmp_path / "broken"))
    stop = StopsAfter(epoch=2)
    torch.manual_seed(1)
    interrupted = train(broken, stop, stop)
    assert (interrupted.signal, len(interrupted.history)) == (2, 1)
    # After one whole epoch the last network is the best one, without the steps of the interrupted epoch.
    best, last = (load_file(tmp_path / "broken" / name) for name in ("model.safetensors", "last.safetensors"))
    assert all(torch.equal(best[key], last[key]) for key in best)
    torch.manual_seed(2)
    continued = train(replace(broken, resume=True))
    assert [m.val_loss for m in continued.history] == pytest.approx([m.val_loss for m in straight.history], abs=1e-6)
    for name in ("model.safetensors", "last.safetensors"):
        expected, found = load_file(Path(job.output, name)), load_file(tmp_path / "broken" / name)
        assert expected.keys() == found.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-6)
    finished = train(replace(broken, resume=True))
    assert finished.history == continued.history


def test_an_early_signal_leaves_nothing(job: TrainJob) -> None:
    stop = StopsAfter(epoch=1)
    assert train(job, stop, stop).best is None
    assert not Path(job.output).exists()


def test_a_training_in_the_folder_is_not_touched_unasked(job: TrainJob) -> None:
    train(replace(job, epochs=1))
    with pytest.raises(CamxError, match=r"`resume`.*`overwrite`"):
        train(job)
    with pytest.raises(CamxError, match="another epochs"):
        train(replace(job, resume=True))
    assert len(train(replace(job, overwrite=True)).history) == 3


def test_the_price_of_cam_where_the_classes_agree(job: TrainJob, tmp_path: Path) -> None:
    data = str(make_data(tmp_path / "data", {"blue": 4, "red": 4}, {"blue": 6, "red": 3}))
    job = replace(job, data=data)
    names = tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue\n")
    spec = replace(RESNET, args={"num_classes": 3}, class_names=str(names))
    summary = train(replace(job, model=spec, epochs=1))
    explainer = Explainer(load_model(spec), ExplainOptions(device="cpu", top_k=3))
    right = []
    for name in ("blue", "red"):
        images = [Image.open(path) for path in sorted(Path(data, "val", name).iterdir())]
        right += [next(p.name for p in e.ranking if p.name != "green") == name for e in explainer(images)]
    assert summary.original_accuracy == pytest.approx(sum(right) / len(right))
    assert summary.best is not None
    assert summary.price == pytest.approx(summary.original_accuracy - summary.best.accuracy)
    assert train(replace(job, epochs=1, output=str(tmp_path / "other"))).original_accuracy is None


def test_command_line_and_explain_on_the_result(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, shown = str(tmp_path / "gap"), str(tmp_path / "shown")
    config = tmp_path / "train.toml"
    config.write_text('model = "timm/test_resnet"\nno-pretrained = true\nimage-size = 64\nepochs = 1\ndevice = "cpu"\n')
    assert run(["train-gap", data, "--config", str(config), "-o", made, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["classes"], summary["state"]) == (["blue", "red"], "finished")
    assert summary["report"] == f"{made}/report/index.html"
    assert Path(summary["report"]).read_text().count("<polyline") == 4, "the page of this training"
    assert (
        run(
            [
                "explain",
                f"{data}/val",
                "--model",
                f"{made}/last.safetensors",
                "--method",
                "cam",
                "-o",
                shown,
                "-q",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    with open(Path(shown, "predictions.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["layer"] for row in rows} == {"maps"}
    assert {row["top1_name"] for row in rows} <= {"blue", "red"}
    assert run(["train-gap", data, "--model", made, "-o", str(tmp_path / "again")]) == 2
    assert run(["explain", data, "--model", "resnet18", "--checkpoint", f"{made}/model.safetensors", "-o", shown]) == 2
    assert "Give it as --model" in capsys.readouterr().err


def test_the_preset(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = str(Path(__file__).parent.parent / "configs" / "cats-vs-dogs.toml")
    small = ["--model", "timm/test_resnet", "--no-pretrained", "--image-size", "64", "--epochs", "1", "--device", "cpu"]
    assert run(["train-gap", data, "--config", preset, *small, "-o", str(tmp_path / "out"), "--precision", "bf16"]) == 0
    assert "validation accuracy" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "cams" / "epoch-001").rglob("*.png"))) == 8


@pytest.mark.parametrize(
    "arguments",
    [
        ["--freeze", "all"],
        ["--lr", "fast"],
        ["--val-fraction", "1.5"],
        ["--cache-limit", "lots"],
        ["--balance", "maybe"],
        ["--layer", "nowhere"],
    ],
)
def test_wrong_values_are_one_sentence(
    data: str, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = ["--model", "timm/test_resnet", "--no-pretrained", "-o", str(tmp_path / "out")]
    assert run(["train-gap", data, *fixed, *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_a_gap_file_from_the_future_is_refused(job: TrainJob) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    train(replace(job, epochs=1))
    path = Path(job.output, "model.safetensors")
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["camx"])
    texts = {"Update camx": {**about, "format": 99}, "damaged": {**about, "class_names": None}}
    for message, text in ({m: json.dumps(t) for m, t in texts.items()} | {"broken metadata": "{"}).items():
        save_file(load_file(path), path, {"camx": text})
        with pytest.raises(CamxError, match=message):
            load_model(str(path))


def test_figures_by_hand() -> None:
    scores = Scores(0.5, np.array([[3, 1], [2, 4]]))
    assert scores.accuracy == pytest.approx(0.7)
    assert scores.per_class == pytest.approx([0.75, 4 / 6])
    assert value_ticks(0.72, 0.98) == pytest.approx([0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0])
    assert value_ticks(0.3, 0.3, floor=0.0)[0] == 0.0
    assert epoch_ticks(10) == list(range(1, 11))
    assert epoch_ticks(30) == [1, 5, 10, 15, 20, 25, 30]
    assert byte_count("1.5GB") == 1_500_000_000
    assert byte_count("2MiB") == 2 << 20
    assert EpochMetrics(1, 0, 0, 0, 0.2, 0.9, 0, True).rank > EpochMetrics(2, 0, 0, 0, 0.3, 0.9, 0, True).rank


def test_crops_may_be_smaller_than_the_input(job: TrainJob) -> None:
    small = replace(job, freeze="none", epochs=1, train_size=48, label_smoothing=0.1)
    train(small)
    network = load_model(job.output)
    assert network.preprocessing.input_size != (48, 48), "whole pictures are seen at the size of the input"
    with pytest.raises(CamxError, match="`train_size`"):
        replace(job, freeze="backbone", train_size=48)
    with pytest.raises(CamxError, match="`label_smoothing`"):
        replace(job, label_smoothing=1.0)


def test_overwriting_checks_everything_before_it_removes_anything(job: TrainJob, tmp_path: Path) -> None:
    train(replace(job, epochs=1))
    before = Path(job.output, "model.safetensors").read_bytes()
    with pytest.raises(CamxError, match="Unknown model"):
        train(replace(job, overwrite=True, model=replace(job.model, name="resnet9999")))
    assert Path(job.output, "model.safetensors").read_bytes() == before
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "model.safetensors").write_text("yours")
    with pytest.raises(CamxError, match="which camx did not write"):
        train(replace(job, overwrite=True, output=str(mine)))
    assert (mine / "model.safetensors").read_text() == "yours"


def test_an_output_folder_inside_the_data_is_no_class(job: TrainJob) -> None:
    inside = replace(job, output=str(Path(job.data) / "camx-gap"), epochs=1, log_cams=1)
    first = train(inside)
    again = train(replace(inside, overwrite=True))
    assert first.plan.classes == again.plan.classes
