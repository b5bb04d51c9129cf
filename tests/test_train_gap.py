"""`camx train-gap`: the head is exact, data errors come first, a continued training ends as an undisturbed one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
from cam_cli.features.options import Choice, ReadOptions
from cam_cli.features.reader import FeatureReader
from cam_cli.features.sheet import draw_sheet
from cam_cli.images.picture import Picture, load
from cam_cli.models.catalog import load_model
from cam_cli.models.gap import GapHead, GapNetwork, idle_behind
from cam_cli.models.hooks import TargetLayer, features_at
from cam_cli.models.layouts import Layout
from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.outputs.ticks import epoch_ticks, value_ticks
from cam_cli.parsers import byte_count
from cam_cli.training.batches import Order
from cam_cli.training.cache import FeatureStore
from cam_cli.training.data import find_dataset
from cam_cli.training.head import FeatureHead
from cam_cli.training.job import TrainJob
from cam_cli.training.metrics import EpochMetrics, Scores
from cam_cli.training.pictures import Pictures
from cam_cli.training.progress import Silent, TrainProgress
from cam_cli.training.run import train
from cli.main import run

RESNET = ModelSpec("timm/test_resnet", pretrained=False, preprocessing=PreprocessingOptions(image_size=64))


def draw(path: Path, kind: str, seed: int) -> None:
    """A noisy picture with a red square or a blue disc, somewhere."""
    chance = np.random.default_rng(seed)
    pixels = chance.integers(60, 120, (72, 96, 3))
    y, x = np.mgrid[:72, :96]
    top, left = chance.integers(8, 40), chance.integers(8, 60)
    if kind == "red":
        pixels[top : top + 24, left : left + 24] = (230, 40, 40)
    else:
        pixels[(y - top - 12) ** 2 + (x - left - 12) ** 2 < 144] = (40, 40, 230)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def make_data(folder: Path, train_counts: dict[str, int], val_counts: dict[str, int] | None) -> Path:
    """Class folders below train/ and val/, or directly in the folder without `val_counts`."""
    parts = {"train": train_counts, "val": val_counts} if val_counts else {"": train_counts}
    for offset, (part, counts) in enumerate(parts.items()):
        for name, count in (counts or {}).items():
            for i in range(count):
                draw(folder / part / name / f"{i:02}.png", name, 1000 * offset + i + (100 if name == "red" else 0))
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Such small tensors are quickest so, and threads that wait for each other would slow a busy machine down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_data(tmp_path_factory.mktemp("data"), {"blue": 12, "red": 12}, {"blue": 6, "red": 6}))


@pytest.fixture
def job(data: str, tmp_path: Path) -> TrainJob:
    return TrainJob(data, RESNET, str(tmp_path / "out"), epochs=3, batch_size=8, device="cpu", workers=2)


@dataclass
class StopsAfter(Silent):
    """An observer that is its own signal: it comes while an image of that epoch (from 1) is trained on."""

    epoch: int
    signal: int | None = None
    stages: list[str] = field(default_factory=list)

    def advanced(self, progress: TrainProgress) -> None:
        self.stages.append(progress.stage)
        if progress.stage == "training" and progress.epoch == self.epoch and progress.done % 24:
            self.signal = 2


@dataclass
class Warned(Silent):
    """An observer that keeps what it is warned of."""

    warnings: list[str] = field(default_factory=list)

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def assert_exact(folder: str, image: str) -> None:
    """Grad-CAM·H·W == ReLU(CAM) on the network as it was saved (equality before the ReLU implies it after)."""
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


class Stacked(nn.Module):
    """VGG in small: convolutions, adaptive pooling, fully connected layers; one branch that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(nn.Linear(54, 8), nn.ReLU(), nn.Linear(8, 5))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.avgpool(self.features(inputs)).flatten(1))
        return scores


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


def test_the_head_learns_and_tells_it(job: TrainJob, tmp_path: Path) -> None:
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
    # The best network is what model.safetensors holds, measured again from the file.
    best = max(summary.history, key=lambda m: m.rank)
    assert measured(job.output, job.data) == pytest.approx(best.val_accuracy)


def measured(folder: str, data: str) -> float:
    """Validation accuracy of a saved network, the obvious way."""
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
    # After one whole epoch the last network is the best one; steps of the epoch that was broken off are not in it.
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


@pytest.mark.parametrize("gap_channels", [0, 3])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_features_beyond_the_cache_are_the_same(job: TrainJob, tmp_path: Path, gap_channels: int, share: float) -> None:
    cached = train(replace(job, gap_channels=gap_channels))
    assert (cached.cached, cached.cache_bytes > 0) == (36, True)
    limit = int(cached.cache_bytes * share)
    partly = train(replace(job, gap_channels=gap_channels, cache_limit=limit, output=str(tmp_path / "other")))
    assert partly.cache_bytes <= limit
    assert partly.cached < 36
    assert [m.train_loss for m in partly.history] == pytest.approx([m.train_loss for m in cached.history], abs=1e-4)
    assert not [path for path in Path(job.output).iterdir() if path.name.startswith(".")]


def test_augmentation_caches_both_flips(job: TrainJob, tmp_path: Path) -> None:
    plain = train(replace(job, augment="none", epochs=1))
    both = train(replace(job, augment="basic", epochs=1, output=str(tmp_path / "other")))
    assert both.cache_bytes / plain.cache_bytes == pytest.approx((24 * 2 + 12) / 36)


@pytest.mark.parametrize("limit", [10**6, 3 * 2 * 3 * 4, 0])
def test_store_gives_the_features_of_the_picture_and_of_its_mirror_image(data: str, tmp_path: Path, limit: int) -> None:
    network = load_model(RESNET)
    samples = find_dataset(data, 0.2, 0).train[10:16]
    with Pictures(network.preprocessing, 2, torch.device("cpu")) as pictures:
        # The mean of each colour in the left half: the mirror image has that of the right half.
        store = FeatureStore(
            samples, pictures, lambda x: x[..., :32].mean((2, 3)), (3,), flips=True, limit=limit, folder=str(tmp_path)
        )
        with store:
            assert store.fill(4, lambda _: None) == []
            assert store.cached == {10**6: 6, 3 * 2 * 3 * 4: 3, 0: 0}[limit]
            found = store.batch(np.array([4, 0, 2, 5]), np.array([1, 0, 1, 0]))
            inputs = pictures.normalised(list(pictures.plain(samples)))
    halves = [inputs[..., :32].mean((2, 3)), inputs[..., 32:].mean((2, 3))]
    expected = torch.stack([halves[1][4], halves[0][0], halves[1][2], halves[0][5]])
    torch.testing.assert_close(found, expected)
    assert list(tmp_path.iterdir()) == []


def test_folded_head_equals_the_one_that_was_trained() -> None:
    layer = TargetLayer("features.3", Layout("NCHW", 16, 16, 6))
    network = GapNetwork(Stacked(), GapHead(layer), 3).eval()
    head = FeatureHead(network)
    nn.init.normal_(head.linear.weight)
    pooled = network.features(torch.randn(50, 3, 20, 20)).mean((2, 3)).detach()
    head.standardise(pooled.mean(0), pooled.std(0))
    picture = torch.randn(2, 3, 20, 20)
    head.write_into(network)
    torch.testing.assert_close(network(picture), head(network.features(picture).mean((2, 3))), rtol=1e-4, atol=1e-5)


def test_balance(job: TrainJob, tmp_path: Path) -> None:
    labels = np.array([0] * 90 + [1] * 10)
    drawn = np.concatenate([labels[b] for epoch in range(20) for b in Order(labels, 16, 0, balanced=True).of(epoch)])
    assert 0.45 < drawn.mean() < 0.55
    plain = np.concatenate(list(Order(labels, 16, 0).of(3)))
    assert sorted(plain.tolist()) == list(range(100))
    folder = make_data(tmp_path / "unequal", {"blue": 15, "red": 3}, {"blue": 3, "red": 3})
    assert find_dataset(str(folder), 0.2, 0).class_weights == [18 / (2 * 15), 18 / (2 * 3)]
    losses = {
        balance: train(replace(job, data=str(folder), balance=balance, output=str(tmp_path / balance)))
        .history[-1]
        .train_loss
        for balance in ("none", "loss", "sampler")
    }
    assert len(set(losses.values())) == 3


def test_order_depends_on_seed_and_epoch_alone() -> None:
    labels = np.zeros(33, int)
    order = Order(labels, 32, seed=5)
    first = [batch.tolist() for batch in order.of(2)]
    assert first == [batch.tolist() for batch in order.of(2)]
    assert first != [batch.tolist() for batch in order.of(3)]
    assert [len(batch) for batch in first] == [17, 16]


def test_split_takes_its_share_of_every_class(tmp_path: Path) -> None:
    folder = str(make_data(tmp_path, {"blue": 10, "red": 5}, None))
    one, again, other = (find_dataset(folder, 0.3, seed) for seed in (0, 0, 1))
    assert one == again != other
    assert [sum(s.label == c for s in one.val) for c in (0, 1)] == [3, 2]
    assert {s.source.path for s in one.train}.isdisjoint(s.source.path for s in one.val)
    assert len(one.train) + len(one.val) == 15


def _only_red(folder: Path) -> None:
    for part in ("train", "val"):
        (folder / part / "blue").rename(folder / f"{part}-blue")


def _spoil_val_red(folder: Path) -> None:
    for path in (folder / "val" / "red").iterdir():
        path.write_bytes(b"x")


DATA_ERRORS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty class": (lambda f: (f / "train" / "green").mkdir(), "No images in the class folder .*green"),
    "one class": (_only_red, "one class only .*red"),
    "other classes": (
        lambda f: (f / "val" / "red").rename(f / "val" / "rot"),
        "'red' is only in train/; 'rot' is only in val/",
    ),
    "no val": (lambda f: (f / "val").rename(f / "elsewhere"), "has train/ but no val/"),
    "no train": (lambda f: (f / "train").rename(f / "elsewhere"), "has val/ but no train/"),
    "all unreadable": (_spoil_val_red, "'red' in the val part can be read.*not an image"),
}


@pytest.mark.parametrize("case", DATA_ERRORS)
@pytest.mark.parametrize("freeze", ["backbone", "none"])
def test_data_errors_come_before_training(job: TrainJob, tmp_path: Path, case: str, freeze: str) -> None:
    folder = make_data(tmp_path / "data", {"blue": 3, "red": 3}, {"blue": 2, "red": 2})
    spoil, message = DATA_ERRORS[case]
    spoil(folder)
    seen = StopsAfter(epoch=99)
    with pytest.raises(CamxError, match=message):
        train(replace(job, data=str(folder), freeze=freeze), seen)
    assert "training" not in seen.stages
    assert not Path(job.output).exists()


@pytest.mark.parametrize("freeze", ["backbone", "none"])
def test_unreadable_images_are_left_out_and_counted(job: TrainJob, tmp_path: Path, freeze: str) -> None:
    folder = make_data(tmp_path / "data", {"blue": 4, "red": 4}, {"blue": 2, "red": 2})
    (folder / "train" / "red" / "00.png").write_bytes(b"no image")
    (folder / "val" / "blue" / "01.png").write_bytes(b"")
    summary = train(replace(job, data=str(folder), epochs=1, freeze=freeze))
    assert {Path(one.source.path).name: one.reason for one in summary.unreadable}["01.png"] == "the file is empty"
    assert (summary.plan.train_images, summary.plan.val_images) == (7, 3)
    assert summary.best is not None
    assert summary.best.confusion.sum() == 3
    assert json.loads(Path(job.output, "run.json").read_text())["unreadable"] == 2


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


def test_cams_of_the_same_images_after_every_epoch(job: TrainJob) -> None:
    train(replace(job, log_cams=3, epochs=2))
    for epoch in ("epoch-001", "epoch-002"):
        names = sorted(
            p.relative_to(Path(job.output, "cams", epoch)).as_posix()
            for p in Path(job.output, "cams", epoch).rglob("*.png")
        )
        assert names == ["blue/00.png.png", "blue/01.png.png", "red/00.png.png"]
        with Image.open(Path(job.output, "cams", epoch, "red/00.png.png")) as shown:
            assert shown.size == (96, 72)


def sheets(folder: str) -> dict[str, bytes]:
    """The files of all feature map sheets of a training, by name."""
    root = Path(folder, "activations")
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*.png"))}


def test_feature_maps_of_the_same_images_after_every_epoch(job: TrainJob) -> None:
    whole = replace(job, freeze="none", log_activations=3, epochs=2)
    stopped = StopsAfter(2)
    train(whole, stopped, stopped)
    assert set(sheets(job.output)) == {f"epoch-001/{n}.png.png" for n in ("blue/00", "blue/01", "red/00")}
    train(replace(whole, resume=True))
    resumed = sheets(job.output)
    assert {name.split("/")[0] for name in resumed} == {"epoch-001", "epoch-002"}
    assert resumed["epoch-001/red/00.png.png"] != resumed["epoch-002/red/00.png.png"], "the filters have moved"
    train(replace(whole, overwrite=True))
    assert sheets(job.output) == resumed
    train(replace(whole, overwrite=True, log_activations=0))
    assert not Path(job.output, "activations").exists()


def test_feature_maps_of_a_frozen_convolution_are_drawn_once(job: TrainJob) -> None:
    observer = Warned()
    train(replace(job, log_activations=1, epochs=3), observer)
    assert list(sheets(job.output)) == ["epoch-001/blue/00.png.png"]
    assert "drawn once" in observer.warnings[0]
    reader = FeatureReader(load_model(job.output), ReadOptions(choice=Choice("index"), device="cpu"))
    picture = load(find_dataset(job.data, 0.2, 0).val[0].source, reader.network.preprocessing)
    assert isinstance(picture, Picture)
    (reading,) = reader.read([picture])
    assert reading.maps is not None
    with Image.open(Path(job.output, "activations/epoch-001/blue/00.png.png")) as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(draw_sheet(reading.maps, picture.input)))


def test_command_line_and_explain_on_the_result(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, shown = str(tmp_path / "gap"), str(tmp_path / "shown")
    config = tmp_path / "train.toml"
    config.write_text('model = "timm/test_resnet"\nno-pretrained = true\nimage-size = 64\nepochs = 1\ndevice = "cpu"\n')
    assert run(["train-gap", data, "--config", str(config), "-o", made, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["classes"], summary["state"]) == (["blue", "red"], "finished")
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
    assert capsys.readouterr().err.startswith("error: ")


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
