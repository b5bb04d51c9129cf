"""Noisy linear imputation: replaces removed pixels by a smooth continuation of their surroundings.

ROAD (Rong et al. 2022): each removed pixel is the mean of its eight neighbours, with weights 1/6 (direct) and 1/12
(diagonal), plus a little noise. All removed pixels of a batch are solved together.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

#: Standard deviation of the noise, on normalised pixels.
NOISE = 0.01
#: The solver stops at this share of the error of the mean colour, or after this many steps. Pixels of photos of
#: 224×224 are then off by less than 0.003; with ten times the share by up to 0.05.
_ENOUGH, _MOST = 1e-4, 1000


def imputed(pictures: Tensor, gone: Tensor, noise: Tensor | None = None) -> Tensor:
    """Imputes the pixels `gone` N×1×H×W of images N×C×H×W, and adds `noise` N×C×H×W to them.

    The equations Σ w·(x_neighbour − x) = 0 are those of a graph Laplacian, solved by conjugate gradients. An image
    without remaining pixels becomes the mean colour.
    """
    degree = _neighbours(torch.ones_like(pictures[:1, :1]))
    lost = gone.to(pictures.dtype)

    def laplacian(x: Tensor) -> Tensor:
        return lost * (degree * x - _neighbours(x))

    known = pictures * (1 - lost)
    solution = _coarse(known, 1 - lost) * lost
    right = lost * _neighbours(known)
    residual = right - laplacian(solution)
    direction, size = residual / degree, _dot(residual, residual / degree)
    limit = _ENOUGH**2 * _dot(right, right / degree)
    for _ in range(_MOST):
        if bool((size <= limit).all()):
            break
        product = laplacian(direction)
        along = _dot(direction, product)
        step = torch.where(along > 0, size / along.clamp_min(1e-30), 0.0)
        solution = solution + step * direction
        residual = residual - step * product
        before, size = size, _dot(residual, residual / degree)
        direction = residual / degree + torch.where(before > 0, size / before.clamp_min(1e-30), 0.0) * direction
    filled = solution if noise is None else solution + noise
    return torch.where(gone, filled, pictures)


def _neighbours(x: Tensor) -> Tensor:
    """Weighted sum of the eight neighbours, without those beyond the edges."""
    padded = pad(x, (1, 1, 1, 1))
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:] - 4 * x) / 12


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """One number per image and channel, N×C×1×1."""
    return (a * b).sum((2, 3), keepdim=True)


def _coarse(known: Tensor, weight: Tensor) -> Tensor:
    """Initial guess: mean of the smallest block around each pixel with known pixels."""
    guess, found = known, weight
    size = 2
    while size < 2 * max(known.shape[2:]):
        sums, counts = (_blocks(one, size) for one in (known, weight))
        fresh = (found == 0) & (counts > 1e-9)
        guess = torch.where(fresh, sums / counts.clamp_min(1e-9), guess)
        found = torch.where(fresh, 1.0, found)
        size *= 2
    return guess


def _blocks(x: Tensor, size: int) -> Tensor:
    """Means of blocks, at the size of the image."""
    height, width = x.shape[2:]
    means = avg_pool2d(x, size, ceil_mode=True, count_include_pad=False)
    return interpolate(means, scale_factor=float(size), mode="nearest")[..., :height, :width]
