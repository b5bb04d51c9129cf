"""Networks without a map: an error at the start or in the row, never an overlay of nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cam_cli import Explainer
from cam_cli.errors import CamxError
from cam_cli.maps.heatmap import normalised
from cam_cli.pipeline import classes

from .conftest import picture
from .networks import RedDetector, network


class Flat(nn.Module):
    """A multilayer perceptron: no position anywhere."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


class OnePosition(nn.Module):
    """Convolutions with the whole image in one cell."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 64), nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.conv(pictures).relu().flatten(1))


@pytest.mark.parametrize("kind", [Flat, OnePosition])
def test_a_network_without_a_spatial_layer_is_refused_at_the_start(kind: type[nn.Module]) -> None:
    with pytest.raises(CamxError):
        Explainer(network(kind().eval()))


class OddOnRed(RedDetector):
    """Fails in its own way on images that are mostly red."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, pictures: Tensor) -> Tensor:
        red = pictures[:, :1].mean((1, 2, 3)) > pictures[:, 1:].mean((1, 2, 3)) + 0.5
        return torch.where(red[:, None], torch.full((), self.value), super().forward(pictures))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_not_finite_fail_their_own_image(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(classes, "load_model", lambda *_: network(OddOnRed(value).eval(), names=("red", "blue")))
    (tmp_path / "in").mkdir()
    for name, colour in (("a", "blue"), ("b", "red"), ("c", "blue")):
        image = picture()
        image.paste(colour, (0, 0, *image.size) if name == "b" else (0, 0, 20, 20))
        image.save(tmp_path / "in" / f"{name}.png")
    assert camx("explain", "in", "--model", "odd") == 1
    with open("camx-out/predictions.csv", newline="", encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert rows["b.png"]["status"] == "failed"
    assert rows["b.png"]["error"] == "the network returned NaN or infinite scores"
    assert (rows["b.png"]["top1_prob"], rows["b.png"]["overlay"]) == ("", "")
    assert not Path("camx-out/overlays/b.png.png").exists()
    assert {rows[name]["status"] for name in ("a.png", "c.png")} <= {"ok", "blank"}


@pytest.mark.parametrize("values", [[[0.0, 0.0]], [[-1.0, -2.0]], [[torch.nan, 1.0]], [[torch.inf, 1.0]]])
def test_a_map_with_nothing_to_show_has_no_image(values: list[list[float]]) -> None:
    assert normalised(torch.tensor(values).numpy()) is None
