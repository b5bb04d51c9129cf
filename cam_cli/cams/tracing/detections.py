"""Boxes of a detector, with scores through which gradients pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...errors import CamxError
from ...models.hooks import hooked

#: Attribute of modules of torchvision's detectors: boxes with at most this score are left out.
_THRESHOLD = "score_thresh"
#: Keys of the dictionary that a detector returns for each image.
_KEYS = {"boxes", "scores", "labels"}
#: Smallest distance of a probability from 0 and 1: that of 1 from the float32 below it.
_MARGIN = 2.0**-24


@dataclass(frozen=True)
class Detections:
    """The boxes of one image, best first.

    boxes: N×4 float32: left, top, right and bottom in pixels of the detector's input. labels: N int64, the classes.
    scores: N float32 in [0, 1], with their graph.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor

    @property
    def log_odds(self) -> Tensor:
        """ln(p / (1 − p)) of the scores p, N, with their graph: the logit itself where p is a sigmoid of one."""
        shares = self.scores.clamp(_MARGIN, 1 - _MARGIN)
        return shares.log() - (-shares).log1p()

    def similarity(self, others: Detections) -> Tensor:
        """Returns the similarity N×M of these N boxes and M others: IoU × score of the other, 0 between classes.

        That is the similarity of D-RISE (Petsiuk et al. 2021) for detectors that return one class per box: the cosine
        of two such vectors of classes is 1 or 0.
        """
        same = self.labels[:, None] == others.labels[None]
        return _overlaps(self.boxes, others.boxes) * others.scores * same


def _overlaps(some: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of N and M boxes, N×M; 0 for those without an area."""
    ends = torch.minimum(some[:, None, 2:], others[None, :, 2:])
    shared = (ends - torch.maximum(some[:, None, :2], others[None, :, :2])).clamp_min(0).prod(2)
    first, second = ((one[:, 2:] - one[:, :2]).clamp_min(0).prod(1) for one in (some, others))
    return shared / (first[:, None] + second[None] - shared).clamp_min(1e-9)


def is_detected(output: Any) -> bool:
    """Whether a network returns boxes: for each image a dictionary with `boxes`, `scores` and `labels`."""
    return (
        isinstance(output, (list, tuple))
        and len(output) > 0
        and all(isinstance(one, Mapping) and one.keys() >= _KEYS for one in output)
    )


def detections_of(output: Any) -> list[Detections]:
    """Returns the boxes of each image in a detector's output. Raises `CamxError` for any other output."""
    if not is_detected(output):
        raise CamxError(
            "The network returns no boxes: `task=detection` needs, for each image, a dictionary with boxes, scores "
            "and labels, as the detectors of torchvision return it.",
            "Leave `task` out.",
            field="task",
        )
    found = []
    for one in output:
        order = one["scores"].detach().argsort(descending=True, stable=True)
        found.append(Detections(one["boxes"][order].float(), one["labels"][order], one["scores"][order].float()))
    return found


def as_columns_of_boxes(found: Sequence[Detections]) -> Tensor:
    """Returns the log-odds of the boxes of B images as scores B×M; M is the largest number of boxes, and at least 1.

    Columns without a box are 0 and have no gradient.
    """
    most = max(1, *(len(one.scores) for one in found))
    scores = torch.stack([pad(one.log_odds, (0, most - len(one.scores))) for one in found])
    if torch.is_grad_enabled() and not scores.requires_grad:
        # Without any box the scores have no graph, and could not be differentiated.
        scores = scores + torch.zeros_like(scores, requires_grad=True)
    return scores


class BoxScores:
    """Runs a detector and keeps the boxes of its last forward.

    least: keep boxes with scores from here on, if the detector's own threshold is higher; 0 for all. found: the boxes
    of each image, in pixels of the detector's input. shares: for each image, width and height of the tensor that the
    layers read, divided by those of the part that the image fills, from the upper left; 1 if the detector does not
    report sizes.
    """

    def __init__(self, least: float = 0.0) -> None:
        self.least = least
        self.found: list[Detections] = []
        self.shares: list[tuple[float, float]] = []

    def scores_of(self, network: nn.Module, pictures: Tensor) -> Tensor:
        """Returns a column of log-odds for each box of images B×C×H×W; see `as_columns_of_boxes`."""
        self.shares = [(1.0, 1.0)] * len(pictures)
        with _keeping(network, self.least), hooked(dict(network.named_children()), self._read_sizes):
            output = network(list(pictures))
        self.found = detections_of(output)
        return as_columns_of_boxes(self.found)

    def _read_sizes(self, _name: str, _call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        """Forward hook. Reads the sizes from a module's output that is an `ImageList` of torchvision."""
        images = output[0] if isinstance(output, tuple) and output else output
        tensors, sizes = getattr(images, "tensors", None), getattr(images, "image_sizes", None)
        if isinstance(tensors, Tensor) and isinstance(sizes, list):
            height, width = tensors.shape[-2:]
            self.shares = [(width / own[1], height / own[0]) for own in sizes]


@contextlib.contextmanager
def _keeping(module: nn.Module, least: float) -> Iterator[None]:
    """While active, a detector keeps boxes with scores of `least` and more; a lower threshold of its own stays."""
    before = [(one, vars(one)[_THRESHOLD]) for one in module.modules() if isinstance(vars(one).get(_THRESHOLD), float)]
    try:
        for one, own in before:
            # torchvision keeps scores above the threshold, so one of 0 would leave out boxes with a score of 0.
            setattr(one, _THRESHOLD, min(own, least if least > 0 else -1.0))
        yield
    finally:
        for one, own in before:
            setattr(one, _THRESHOLD, own)
