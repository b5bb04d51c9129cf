"""Slow definitions of methods that weight the activations by gradients of a score."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .slow import Slow, bilinear, relu, weighted


def gradcam(s: Slow) -> np.ndarray:
    return weighted([g.mean() for g in s.g], s.A)


def cam(s: Slow) -> np.ndarray:
    w = s.module.get_parameter("fc.weight").detach().numpy()
    return weighted(list(w[s.c]), s.A)


def gradcampp(s: Slow) -> np.ndarray:
    weights = []
    for A, g in zip(s.A, s.g):
        alpha = np.zeros_like(g)
        for ij in np.ndindex(g.shape):
            if g[ij] != 0:
                alpha[ij] = g[ij] ** 2 / (2 * g[ij] ** 2 + A.sum() * g[ij] ** 3)
        weights.append((alpha * relu(g)).sum())
    return weighted(weights, s.A)


def smooth_gradcampp(s: Slow) -> np.ndarray:
    noise = torch.randn(8, *s.x.shape, generator=torch.Generator().manual_seed(0)).double()
    spread = s.x.max() - s.x.min()
    copies = [
        s.features_and_gradient(s.x + 0.15 * spread * one, lambda scores: scores[s.c])[1].numpy() for one in noise
    ]
    d1, d2, d3 = (np.mean([g**power for g in copies], axis=0) for power in (1, 2, 3))
    weights = []
    for A, one, two, three in zip(s.A, d1, d2, d3):
        below = 2 * two + A.sum() * three
        alpha = np.divide(two, below, out=np.zeros_like(two), where=below != 0)
        weights.append((alpha * relu(one)).sum())
    return weighted(weights, s.A)


def xgradcam(s: Slow) -> np.ndarray:
    return weighted([sum(A[ij] / A.sum() * g[ij] for ij in np.ndindex(A.shape)) for A, g in zip(s.A, s.g)], s.A)


def hirescam(s: Slow) -> np.ndarray:
    return weighted(list(s.g), s.A)


def layercam(s: Slow) -> np.ndarray:
    return weighted([relu(g) for g in s.g], s.A)


def elementwise(s: Slow) -> np.ndarray:
    return np.sum([relu(g * A) for A, g in zip(s.A, s.g)], axis=0)


def finercam(s: Slow) -> np.ndarray:
    others = sorted((k for k in range(len(s.y)) if k != s.c), key=lambda k: abs(s.y[k] - s.y[s.c]))[:3]
    shares = np.exp(s.y[others]) / np.exp(s.y[others]).sum()

    def value(scores: Tensor) -> Tensor:
        return sum(float(share) * (scores[s.c] - scores[d]) for share, d in zip(shares, others))  # type: ignore[return-value] # sum starts with the int 0

    A, g = s.features_and_gradient(s.x, value)
    return weighted([one.mean() for one in g.numpy()], A.numpy())


def shapleycam(s: Slow) -> np.ndarray:
    """H·A by central differences of the gradient of u along A."""

    def gradient(step: float) -> np.ndarray:
        kept: list[Tensor] = []

        def put(_module: nn.Module, _inputs: Any, _output: Tensor) -> Tensor:
            kept.append(torch.from_numpy(s.A * (1 + step)).clone().requires_grad_())
            return kept[0][None].clone()

        handle = s.module.get_submodule(s.layer.name).register_forward_hook(put)
        scores = s.module(s.x[None])[0]
        handle.remove()
        (scores[s.c] + scores.log_softmax(0)[s.c]).backward()
        assert kept[0].grad is not None
        return kept[0].grad.numpy()

    curve = (gradient(1e-5) - gradient(-1e-5)) / 2e-5
    return weighted([one.mean() for one in gradient(0.0) - curve / 2], s.A)


def refinecam(s: Slow) -> np.ndarray:
    """Two layers: the target layer, and the ReLU in the middle of it with a grid twice as fine."""
    early = Slow(s.module, s.x, dataclasses.replace(s.layer, name=f"{s.layer.name}.1"), s.c)
    late, fine = (relu(found) / found.max() for found in (gradcampp(s), gradcampp(early)))
    return bilinear(late, *fine.shape) * fine


def _starts(whole: int, side: int) -> list[int]:
    return [min(start, whole - side) for start in range(0, whole, side)]


def sess(s: Slow) -> np.ndarray:
    height, width = s.x.shape[1:]
    windows = []
    for scale in range(12):
        high, wide = (round(side * (7 + 2 * scale) / 7) for side in (height, width))
        large = torch.nn.functional.interpolate(s.x[None], (high, wide), mode="bilinear", align_corners=False)[0]
        for top in _starts(high, height):
            for left in _starts(wide, width):
                window = large[:, top : top + height, left : left + width].clone()
                windows.append((s.p(s.scores(window)), window, (high, wide, top, left)))
    windows.sort(key=lambda one: -one[0])
    size = (4 * s.A.shape[1], 4 * s.A.shape[2])
    total, count = np.zeros(size), np.zeros(size)
    for chance, window, (high, wide, top, left) in windows[:13]:
        A, g = (one.numpy() for one in s.features_and_gradient(window, lambda scores: scores[s.c]))
        found = relu(weighted([one.mean() for one in g], A))
        for i, j in np.ndindex(*size):
            y = ((i + 0.5) / size[0] * high - top) / height
            x = ((j + 0.5) / size[1] * wide - left) / width
            if 0 <= y <= 1 and 0 <= x <= 1 and found.max() > 0:
                rows = [np.interp(x * A.shape[2], np.arange(A.shape[2]) + 0.5, row) for row in found]
                value = np.interp(y * A.shape[1], np.arange(A.shape[1]) + 0.5, rows) / found.max()
                total[i, j] += chance / windows[0][0] * value
                count[i, j] += value > 0
    return np.divide(total, count, out=np.zeros(size), where=count > 0)
