"""Cells of the target layer's grid: maps on it, the order of its cells, and images in which some are exchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate

#: Standard deviation of the blur of an image, and of the Gaussian in the middle, as shares of a side.
_BLUR, _CENTRE = 0.05, 0.25


def on_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps N×h×w on another grid: means of the cells of a finer one, bilinear from a coarser one."""
    if tuple(maps.shape[1:]) == grid:
        return maps
    if maps.shape[1] >= grid[0] and maps.shape[2] >= grid[1]:
        return adaptive_avg_pool2d(maps[:, None], grid)[:, 0]
    return interpolate(maps[:, None], grid, mode="bilinear", align_corners=False)[:, 0]


def heat(maps: Tensor) -> Tensor:
    """The positive part of maps …×h×w divided by its peak; zero stays zero."""
    shown = maps.clamp_min(0)
    peak = shown.amax((-2, -1), keepdim=True)
    return torch.where(peak > 0, shown / peak.clamp_min(1e-38), 0.0)


def centre_map(grid: tuple[int, int]) -> Tensor:
    """The baseline that always looks at the middle: a Gaussian h×w."""
    y, x = ((torch.arange(side) + 0.5) / side - 0.5 for side in grid)
    return torch.exp(-(y[:, None] ** 2 + x**2) / (2 * _CENTRE**2))


def generator(key: str, seed: int, draw: int) -> torch.Generator:
    """Random numbers that depend on the name of an image alone, and on the number of the draw."""
    digest = hashlib.sha256(f"{seed} {draw} {key}".encode("utf-8", "surrogateescape")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def random_maps(keys: Sequence[str], grid: tuple[int, int], seed: int, draw: int) -> Tensor:
    """The baseline that looks anywhere: B×h×w, other numbers in every draw."""
    return torch.stack([torch.rand(grid, generator=generator(key, seed, draw)) for key in keys])


def ranks(maps: Tensor, ties: Tensor) -> Tensor:
    """The place of each cell of maps N×h×w in the order of their values, from 0 for the hottest: N×h×w.

    Equal cells come in the order of `ties` N×h×w, so that no side of the image comes first.
    """
    first = ties.flatten(1).argsort(1)
    then = maps.flatten(1).gather(1, first).argsort(dim=1, descending=True, stable=True)
    return first.gather(1, then).argsort(1).view_as(maps)


def blurred(pictures: Tensor) -> Tensor:
    """Images B×C×H×W blurred by three box filters: nearly a Gaussian of 5 % of the side."""
    soft = pictures
    sides = [2 * round((4 * (_BLUR * side) ** 2 + 1) ** 0.5 / 2 - 0.5) + 1 for side in pictures.shape[2:]]
    for _ in range(3):
        padding = [side // 2 for side in sides]
        soft = avg_pool2d(soft, sides, stride=1, padding=padding, count_include_pad=False)
    return soft


def mean_colour(pictures: Tensor) -> Tensor:
    """Images that are the mean colour everywhere: 0 after normalisation."""
    return torch.zeros_like(pictures)


def enlarged(cells: Tensor, size: Sequence[int]) -> Tensor:
    """Booleans N×h×w as N×1×H×W: each pixel has the value of the cell that it lies in."""
    return interpolate(cells[:, None].float(), tuple(size), mode="nearest-exact") > 0.5


def exchanged(
    pictures: Tensor, fill: Tensor, gone: Callable[[slice], Tensor], owner: Tensor
) -> Callable[[slice], Tensor]:
    """Makes a slice of N images at a time: image `owner[n]` of B, with `fill` in the cells `gone`."""

    def make(part: slice) -> Tensor:
        own = owner[part]
        return torch.where(enlarged(gone(part), pictures.shape[2:]), fill[own], pictures[own])

    return make
