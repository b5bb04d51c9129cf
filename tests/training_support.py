"""Helpers of `test_train_gap`, `test_training_data` and `test_training_pictures`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.training.job import TrainJob
from cam_cli.training.progress import Silent, TrainProgress

RESNET = ModelSpec("timm/test_resnet", pretrained=False, preprocessing=PreprocessingOptions(image_size=64))


def draw(path: Path, kind: str, seed: int) -> None:
    """A noisy image with a red square or a blue disc at a random place."""
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
    """Runs torch on one thread: fastest for such small tensors, and idle threads would slow a busy machine."""
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
    """An observer that reports signal 2 from an epoch (from 1) on, as if it had come between its batches."""

    epoch: int
    signal: int | None = None
    stages: list[str] = field(default_factory=list)

    def advanced(self, progress: TrainProgress) -> None:
        self.stages.append(progress.stage)
        if progress.stage == "training" and progress.epoch == self.epoch and progress.done % 24:
            self.signal = 2


class Stacked(nn.Module):
    """A small VGG: convolutions, adaptive pooling, fully connected layers; one branch that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(nn.Linear(54, 8), nn.ReLU(), nn.Linear(8, 5))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.avgpool(self.features(inputs)).flatten(1))
        return scores
