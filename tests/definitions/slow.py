"""The network, image and class of a slow definition, in float64, and functions that definitions share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cam_cli.models.hooks import TargetLayer


class Slow:
    """A network in float64 with one image C×H×W and one class."""

    def __init__(self, module: nn.Module, picture: Tensor, layer: TargetLayer, wanted: int) -> None:
        self.module = copy.deepcopy(module).double().eval()
        self.x, self.layer, self.c = picture.double(), layer, wanted
        self.A, self.g = (one.numpy() for one in self.features_and_gradient(self.x, lambda scores: scores[wanted]))
        self.y = self.scores(self.x)

    def scores(self, picture: Tensor) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = self.module(picture[None])[0].numpy()
        return found

    def p(self, scores: np.ndarray) -> float:
        shifted = np.exp(scores - scores.max())
        return float(shifted[self.c] / shifted.sum())

    def features_and_gradient(self, picture: Tensor, value: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        kept: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            output.retain_grad()
            kept.append(output)
            return output.clone()

        handle = self.module.get_submodule(self.layer.name).register_forward_hook(keep)
        value(self.module(picture[None].requires_grad_())[0]).backward()
        handle.remove()
        assert kept[0].grad is not None
        to_nchw = self.layer.layout.to_nchw
        return to_nchw(kept[0].detach())[0], to_nchw(kept[0].grad)[0]

    def scores_with(self, activations: np.ndarray) -> np.ndarray:
        """The scores with other activations at the layer. For maps only, not for tokens."""

        def put(_module: nn.Module, _inputs: Any, _output: Tensor) -> Tensor:
            return torch.from_numpy(activations)[None].clone()

        handle = self.module.get_submodule(self.layer.name).register_forward_hook(put)
        found = self.scores(self.x)
        handle.remove()
        return found

    def pixel_gradient(self, picture: Tensor) -> np.ndarray:
        leaf = picture.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.module(leaf[None])[0, self.c], leaf)
        return gradient.numpy()


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)


def weighted(weights: list[Any], A: np.ndarray) -> np.ndarray:
    total = np.zeros(A.shape[1:])
    for w, channel in zip(weights, A):
        total += w * channel
    return total


def bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarges values: interpolates between the centres of the cells, constant beyond them."""

    def at(cells: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(cells) + 0.5, (np.arange(pixels) + 0.5) * cells / pixels

    (y, wanted_y), (x, wanted_x) = at(values.shape[0], height), at(values.shape[1], width)
    rows = np.stack([np.interp(wanted_x, x, row) for row in values])
    return np.stack([np.interp(wanted_y, y, column) for column in rows.T]).T
