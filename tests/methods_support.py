"""Helpers of `test_methods`, `test_method_options` and `test_method_runs`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.methods import coalitions, guided_path, perturbation, segmented

from .networks import PLAIN, network


class Small(nn.Module):
    """Convolutions with ReLUs and a non-linear head at 24×24 pixels; a 6×6 grid of 6 channels."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, 2, 1), nn.ReLU(inplace=True))
        self.mix = nn.Conv2d(6, 6, 3, 1, 1)
        self.fc = nn.Linear(6, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.first(pictures)
        return self.fc((features + self.mix(features).tanh()).mean((2, 3)) * 8)


class Pooled(Small):
    """A network with only average pooling and a linear layer behind its features."""

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.first(pictures).mean((2, 3)))


def small(module: type[nn.Module] = Small) -> nn.Module:
    torch.manual_seed(3)
    return module().eval()


@pytest.fixture
def few_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation, "MASKS", 40)
    monkeypatch.setattr(guided_path, "STEPS", 20)
    monkeypatch.setattr(coalitions, "SAMPLES", 300)
    monkeypatch.setattr(segmented, "SUPERPIXELS", 6)


def explainer(module: nn.Module, *names: str, side: int = 24, **options: object) -> Explainer:
    if names == ("refinecam",):
        # RefineCAM multiplies the maps of several layers: also needs the first ReLU.
        early = next(name for name, one in module.named_modules() if isinstance(one, nn.ReLU))
        options.setdefault("layers", ("auto", early))
    preprocessing = dataclasses.replace(PLAIN, input_size=(side, side), resize=(side, side))
    return Explainer(network(module, preprocessing), ExplainOptions(methods=names, device="cpu", **options))  # type: ignore[arg-type]


def layers_of(name: str) -> tuple[str, ...]:
    """Target layers of `Small` for the definition of a method."""
    return ("first", "first.1") if name == "refinecam" else ("first",)


def assert_close(found: np.ndarray, slow: np.ndarray, tolerance: float = 1e-4) -> None:
    assert found.shape == slow.shape
    assert np.abs(slow).max() > 0
    assert np.abs(found - slow).max() <= tolerance * np.abs(slow).max()


def vit(**args: object) -> nn.Module:
    torch.manual_seed(1)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=64, embed_dim=32, num_heads=2, depth=3, num_classes=5, **args
    ).eval()
