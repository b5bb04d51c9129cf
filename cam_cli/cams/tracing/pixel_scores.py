"""Finds the scores per pixel in the output of a segmentation network, by evidence only."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...errors import CamxError
from ...models.layouts import Path
from ...models.tasks import AUTO, SEGMENTATION
from .scores import listed, spelled, tensors_of

#: Key of the scores in the output of torchvision's segmentation networks, and of others with their interface.
_OUT: Path = ("out",)


class PixelScores(NamedTuple):
    """The path of scores B×K×H×W in an output. binary: K is 1, the logit of one class against the rest."""

    path: Path
    binary: bool


def pixel_scores(output: Any, pictures: Tensor, wanted: str | int | None, task: str) -> PixelScores | None:
    """Finds the scores per pixel in the output for images B×C×H×W; None if the network is no segmentation.

    wanted: the output that the user names. task: with `auto`, a tensor counts as scores per pixel only if nothing else
    is likely: the output `out` of a dictionary, or a single tensor of the height and width of the images whose number
    of channels is neither 1 nor that of the images. Raises `CamxError` if a map could be scores or something else; with
    `segmentation`, if there is no such tensor, or several.
    """
    if task not in (AUTO, SEGMENTATION):
        return None
    tensors = dict(tensors_of(output))
    maps = {path: one for path, one in tensors.items() if _is_map(one, len(pictures))}
    if wanted is not None:
        maps = {path: one for path, one in maps.items() if spelled(path) == str(wanted)}
    path = _chosen(maps)
    if task == SEGMENTATION:
        if path is not None:
            return PixelScores(path, maps[path].shape[1] == 1)
        if maps:
            raise CamxError(
                f"The network returns {len(maps)} tensors that could be scores per pixel: {listed(maps)}.",
                f"Choose one: `scores={spelled(next(reversed(maps)))}`.",
                field="scores",
            )
        raise CamxError(
            f"`task=segmentation`: the network returns {listed(tensors)}, no scores of images × classes × height × "
            "width.",
            "Leave `task` out.",
            field="task",
        )
    if not maps or (wanted is None and any(not _is_map(one, len(pictures)) for one in tensors.values())):
        # Maps beside scores per image are features.
        return None
    if path == _OUT:
        return PixelScores(path, maps[path].shape[1] == 1)
    if path is not None:
        classes, size = maps[path].shape[1], maps[path].shape[2:]
        if size == pictures.shape[2:] and classes not in (1, pictures.shape[1]):
            return PixelScores(path, False)
    raise CamxError(
        f"The network returns {listed(maps)} for {'×'.join(map(str, pictures.shape[2:]))} pixels: they could be "
        "the scores of a segmentation, feature maps or images.",
        "Give `task=segmentation` if each channel is a class (a single one: the logit of the object). camx does not "
        "explain feature maps or images.",
        field="task",
    )


def pixels_as_classes(logits: Tensor) -> Tensor:
    """Returns logits z, B×1×H×W, as those of the two classes (−z/2, z/2): B×2×H×W."""
    return torch.cat([-logits / 2, logits / 2], dim=1)


def _chosen(maps: dict[Path, Tensor]) -> Path | None:
    if _OUT in maps:
        return _OUT
    return next(iter(maps)) if len(maps) == 1 else None


def _is_map(tensor: Tensor, batch: int) -> bool:
    return tensor.is_floating_point() and tensor.dim() == 4 and len(tensor) == batch and min(tensor.shape[2:]) > 1
