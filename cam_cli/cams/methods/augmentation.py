"""Test-time augmentation: maps averaged over several views of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .fusion import Maps


@dataclass(frozen=True)
class Augmentation:
    """A view of an image.

    apply: changes a normalised batch B×C×H×W. undo: turns maps B×T×h×w of the view into maps of the image, exactly.
    """

    apply: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor], Tensor]


def _mirrored(tensor: Tensor) -> Tensor:
    return tensor.flip(-1)


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


def _contrast(factor: float, *, mirrored: bool = False) -> Callable[[Tensor], Tensor]:
    return lambda tensor: (tensor.flip(-1) if mirrored else tensor) * factor


_MIRROR = Augmentation(_mirrored, _mirrored)
_CONTRASTS = tuple(
    Augmentation(_contrast(factor, mirrored=mirrored), _mirrored if mirrored else _unchanged)
    for mirrored in (False, True)
    for factor in (0.9, 1.1)
)
#: By the name of a smoothing: the views in addition to the image: its mirror image, and both with ±10 % of contrast.
VIEWS: dict[str, tuple[Augmentation, ...]] = {"none": (), "flip": (_MIRROR,), "aug": (_MIRROR, *_CONTRASTS)}


def average_views(maps: Sequence[Maps], views: Sequence[Augmentation]) -> Maps:
    """Averages the maps of an image, which come first, and of its views; `scores` are those of the image."""
    values = [maps[0].values, *(view.undo(one.values) for view, one in zip(views, maps[1:], strict=True))]
    energies = torch.stack([one.energies for one in maps]).mean(dim=0)
    return Maps(torch.stack(values).mean(dim=0), energies, maps[0].scores)
