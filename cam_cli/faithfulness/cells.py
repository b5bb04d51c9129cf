"""Cells of the target layer's grid: resizes maps to it, ranks cells, and replaces cells in images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate

#: Standard deviations of the blur and of the centre baseline, as shares of a side.
_BLUR, _CENTRE = 0.05, 0.25


def on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resizes maps N×h×w to another grid: means when it is coarser, bilinear when it is finer."""
    if tuple(maps.shape[1:]) == grid:
        return maps
    if maps.shape[1] >= grid[0] and maps.shape[2] >= grid[1]:
        return adaptive_avg_pool2d(maps[:, None], grid)[:, 0]
    return interpolate(maps[:, None], grid, mode="bilinear", align_corners=False)[:, 0]


def heat(maps: Tensor) -> Tensor:
    """Positive part of maps …×h×w, divided by its peak; zero stays zero."""
    shown = maps.clamp_min(0)
    peak = shown.amax((-2, -1), keepdim=True)
    return torch.where(peak > 0, shown / peak.clamp_min(1e-38), 0.0)


def centre_map(grid: tuple[int, int]) -> Tensor:
    """Centre baseline: a Gaussian h×w."""
    y, x = ((torch.arange(side) + 0.5) / side - 0.5 for side in grid)
    return torch.exp(-(y[:, None] ** 2 + x**2) / (2 * _CENTRE**2))


def generator(key: str, seed: int, draw: int) -> torch.Generator:
    """Random generator that depends only on seed, image name and number of the draw."""
    digest = hashlib.sha256(f"{seed} {draw} {key}".encode("utf-8", "surrogateescape")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def random_maps(keys: Sequence[str], grid: tuple[int, int], seed: int, draw: int) -> Tensor:
    """Random baseline B×h×w, different in every draw."""
    return torch.stack([torch.rand(grid, generator=generator(key, seed, draw)) for key in keys])


def ranks(maps: Tensor, ties: Tensor) -> Tensor:
    """Rank of each cell of maps N×h×w, from 0 for the hottest: N×h×w.

    Equal cells are ordered by `ties` N×h×w, so that no side of the image is preferred.
    """
    first = ties.flatten(1).argsort(1)
    then = maps.flatten(1).gather(1, first).argsort(dim=1, descending=True, stable=True)
    return first.gather(1, then).argsort(1).view_as(maps)


def blurred(pictures: Tensor) -> Tensor:
    """Blurs images B×C×H×W by three box filters: nearly a Gaussian of 5 % of the side."""
    soft = pictures
    sides = [2 * round((4 * (_BLUR * side) ** 2 + 1) ** 0.5 / 2 - 0.5) + 1 for side in pictures.shape[2:]]
    for _ in range(3):
        padding = [side // 2 for side in sides]
        soft = avg_pool2d(soft, sides, stride=1, padding=padding, count_include_pad=False)
    return soft


def mean_colour(pictures: Tensor) -> Tensor:
    """Images of the mean colour: 0 after normalisation."""
    return torch.zeros_like(pictures)


def enlarged(cells: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarges booleans N×h×w to N×1×H×W: each pixel has the value of its cell."""
    return interpolate(cells[:, None].float(), tuple(size), mode="nearest-exact") > 0.5


def exchanged(
    pictures: Tensor, fill: Tensor, gone: Callable[[slice], Tensor], owner: Tensor
) -> Callable[[slice], Tensor]:
    """Returns a function that creates a slice of N images: image `owner[n]` of B with `fill` in the cells `gone`."""

    def make(part: slice) -> Tensor:
        own = owner[part]
        return torch.where(enlarged(gone(part), pictures.shape[2:]), fill[own], pictures[own])

    return make
