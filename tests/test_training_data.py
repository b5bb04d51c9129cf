"""The data of a training: features, cache, batches, splits, and errors of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.gap import GapHead, GapNetwork
from cam_cli.models.hooks import TargetLayer
from cam_cli.models.layouts import Layout
from cam_cli.training.batches import Order
from cam_cli.training.cache import FeatureStore
from cam_cli.training.data import find_dataset
from cam_cli.training.head import FeatureHead
from cam_cli.training.job import TrainJob
from cam_cli.training.pictures import Pictures
from cam_cli.training.run import train

from .training_support import RESNET, Stacked, StopsAfter, data, job, make_data, one_thread  # noqa: F401 - fixtures are found by their names


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
def test_store_gives_the_features_of_the_image_and_of_its_mirror_image(data: str, tmp_path: Path, limit: int) -> None:
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
    "one class": (_only_red, "only one class folder .*red"),
    "other classes": (
        lambda f: (f / "val" / "red").rename(f / "val" / "rot"),
        "'red' is only in train/; 'rot' is only in val/",
    ),
    "no val": (lambda f: (f / "val").rename(f / "elsewhere"), "has train/ but no val/"),
    "no train": (lambda f: (f / "train").rename(f / "elsewhere"), "has val/ but no train/"),
    "all unreadable": (_spoil_val_red, "'red' in val/ can be read.*not an image"),
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
