"""Slow definitions of methods by gradients at the pixels, along paths and with noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cam_cli.cams.methods.graph_segments import segments

from .coalitions import pixels_of
from .slow import Slow


def saliency(s: Slow) -> np.ndarray:
    found: np.ndarray = np.abs(s.pixel_gradient(s.x)).max(0)
    return found


def noisy_gradients(s: Slow) -> np.ndarray:
    noise = torch.randn(16, *s.x.shape, generator=torch.Generator().manual_seed(0)).double()
    return np.stack([s.pixel_gradient(s.x + 0.15 * (s.x.max() - s.x.min()) * one) for one in noise])


def smoothgrad(s: Slow) -> np.ndarray:
    found: np.ndarray = np.abs(noisy_gradients(s).mean(0)).max(0)
    return found


def smoothgrad_squared(s: Slow) -> np.ndarray:
    found: np.ndarray = (noisy_gradients(s) ** 2).mean(0).max(0)
    return found


def vargrad(s: Slow) -> np.ndarray:
    found: np.ndarray = noisy_gradients(s).var(0).max(0)
    return found


def integrated_gradients(s: Slow) -> np.ndarray:
    black = torch.full_like(s.x, -1.0)  # mean and deviation are 0.5
    total = np.zeros(s.x.shape)
    for step in range(32):
        total += s.pixel_gradient(black + (step + 0.5) / 32 * (s.x - black)) / 32
    found: np.ndarray = (total * (s.x - black).numpy()).sum(0)
    return found


def gradient_shap(s: Slow) -> np.ndarray:
    draw = torch.Generator().manual_seed(0)
    colours = torch.rand(32, 1, len(s.x), 1, 1, generator=draw).double()[:, 0]
    chances = torch.rand(32, generator=draw).double().numpy()
    total = np.zeros(s.x.shape)
    for n, (colour, chance) in enumerate(zip(colours, chances)):
        start = (2 * colour - 1).expand_as(s.x)  # mean and deviation are 0.5
        share = (n + chance) / 32
        total += (s.x - start).numpy() * s.pixel_gradient(start + share * (s.x - start)) / 32
    found: np.ndarray = total.sum(0)
    return found


def diffused(x: Tensor, deviation: float) -> Tensor:
    """The diffusion equation on the pixels for the time deviation²/2, without flow across the edges."""

    def spread(side: int) -> Tensor:
        flow = torch.diag(torch.ones(side - 1), 1) + torch.diag(torch.ones(side - 1), -1)
        flow = flow.double() - torch.diag(flow.double().sum(1))
        return torch.linalg.matrix_exp(deviation**2 / 2 * flow)

    return spread(x.shape[1]) @ x @ spread(x.shape[2]).T


def blur_ig(s: Slow) -> np.ndarray:
    largest = max(s.x.shape[1:]) / 6
    total = np.zeros(s.x.shape)
    for step in range(32):
        sharp, middle, soft = (diffused(s.x, largest * ((step + t) / 32) ** 2) for t in (0, 0.5, 1))
        total += (sharp - soft).numpy() * s.pixel_gradient(middle)
    found: np.ndarray = total.sum(0)
    return found


def guided_ig(s: Slow, steps: int = 20) -> np.ndarray:
    """Algorithm 1 of the paper with the authors' bounds: a quarter of the values at a time, 0.02 from the straight path."""
    black, wanted = np.full(s.x.numel(), -1.0), s.x.numpy().ravel()
    x, total = black.copy(), np.zeros(s.x.numel())
    whole = np.abs(wanted - black).sum()
    for step in range(1, steps + 1):
        g = s.pixel_gradient(torch.from_numpy(x.reshape(s.x.shape)).clone()).ravel()
        lowest, highest = (black + min(max(step / steps + d, 0), 1) * (wanted - black) for d in (-0.02, 0.02))
        moved = x.copy()
        behind = np.abs(moved - black) < np.abs(lowest - black)
        moved[behind] = lowest[behind]
        target = whole * (1 - step / steps)
        size = np.abs(g)
        while np.abs(wanted - moved).sum() > target + 1e-9:
            size[moved == highest] = np.inf
            least = (size <= np.quantile(size, 0.25, method="lower")) & (size < np.inf)
            gap, possible = np.abs(wanted - moved).sum() - target, np.abs(moved - highest)[least].sum()
            if possible <= gap:
                moved[least] = highest[least]
            else:
                moved[least] += gap / possible * (highest - moved)[least]
        total += (moved - x) * g
        x = moved
    return total.reshape(s.x.shape).sum(0)


def from_colour(s: Slow, value: float) -> np.ndarray:
    start = torch.full_like(s.x, value)
    gradients = [s.pixel_gradient(start + (step + 0.5) / 32 * (s.x - start)) for step in range(32)]
    found: np.ndarray = (np.mean(gradients, axis=0) * (s.x - start).numpy()).sum(0)
    return found


def xrai(s: Slow) -> np.ndarray:
    values = (from_colour(s, -1.0) + from_colour(s, 1.0)) / 2
    regions = []
    for labels in segments(pixels_of(s), (50, 100, 150, 250, 500, 1200), 150):
        for label in range(labels.max() + 1):
            padded = np.pad(labels == label, 1)
            own = padded[1:-1, 1:-1]
            regions.append(own | padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2])
    found, taken = np.full(values.shape, np.nan), np.zeros(values.shape, bool)
    while regions := [one for one in regions if (one & ~taken).sum() >= 1]:
        means = [values[one & ~taken].mean() for one in regions]
        best = regions[int(np.argmax(means))]
        found[best & ~taken] = max(means)
        taken |= best
    return found
