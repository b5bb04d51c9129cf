"""Maps without gradients, from scores of images and activations without a part of them: B×T×h×w.

One image after the other, in chunks that the memory budget allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from ..tracing.detections import BoxScores, Detections
from ..tracing.replay import Replay
from ..tracing.trace import Trace
from .method import method

#: RISE: the number of masks, their cells per side, and the share of an image that a mask keeps.
MASKS, CELLS, KEPT = 1000, 7, 0.5
#: Cells for boxes, which are smaller than images (D-RISE, section 4).
_BOX_CELLS = 16


@method(
    "scorecam",
    summary="channels as masks on the image",
    paper="Wang et al. 2020",
    equation="Σ_k softmax_k(y_c(x⊙U(A_k)))·A_k",
    forwards="C",
    gradients=False,
)
def scorecam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k α_k A_k, α the softmax over channels k of the score of X ⊙ U(A_k) (Wang et al. 2020, algorithm 1).

    U enlarges a channel to the image (between cell centres) and scales it to [0, 1].
    """

    def weights(image: int) -> Tensor:
        picture, channels = trace.replay.inputs[image : image + 1], trace.features[image]
        size = (picture.shape[2], picture.shape[3])

        def masked(part: slice) -> Tensor:
            return picture * channel_masks(channels[part], size)

        scores = trace.replay.scores(len(channels), masked, image)
        return (trace.sign * scores[:, classes[image]]).softmax(dim=0).T

    return channel_sum(trace, weights)


@method(
    "ablationcam",
    summary="drop of the score without a channel",
    paper="Desai and Ramaswamy 2020",
    equation="Σ_k (y_c − y_c(A_k=0))·A_k",
    forwards="1 + C head",
    gradients=False,
)
def ablationcam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k A_k, w_k = y_c − y_c(A_k = 0), the drop of the score without channel k (Desai and Ramaswamy 2020).

    The paper divides all w_k by y_c. That changes no heatmap if y_c is positive, and would invert it if y_c is
    negative.
    """

    def weights(image: int) -> Tensor:
        features = trace.features[image : image + 1]
        count = features.shape[1]

        def without(part: slice) -> Tensor:
            channels = torch.arange(part.start, part.stop, device=features.device)
            rows = torch.arange(len(channels), device=features.device)
            ablated = features.repeat(len(channels), 1, 1, 1)
            ablated[rows, channels] = 0
            return ablated

        scores = trace.head_scores(image, count, without)[:, classes[image]]
        complete = trace.head_scores(image, 1, lambda part: features)[:, classes[image]]
        return (trace.sign * (complete - scores)).T

    return channel_sum(trace, weights)


@method(
    "reciprocam",
    summary="score with one position alone",
    paper="Byun and Lee 2024",
    equation="p_c(A⊙G_ij) at ij, less its minimum; G_ij a 3×3 Gaussian",
    forwards="1 + h·w head",
    gradients=False,
)
def reciprocam(trace: Trace, classes: Tensor) -> Tensor:
    """p_c(A ⊙ G_ij) at each position ij, G_ij a 3×3 Gaussian there (Byun and Lee 2024).

    Subtracts the minimum of each map, as in the paper.
    """
    height, width = trace.features.shape[2:]
    masks = _gaussians(height, width).to(trace.features)

    def one(image: int) -> Tensor:
        features = trace.features[image : image + 1]
        scores = trace.head_scores(image, len(masks), lambda part: features * masks[part, None])
        found = trace.replay.probabilities(scores)[:, classes[image]].T.reshape(-1, height, width)
        return trace.sign * found

    maps = torch.stack(each_image(trace, one))
    return maps - maps.amin(dim=(2, 3), keepdim=True)


@method(
    "rise",
    summary="random masks on the image; the network as a black box",
    paper="Petsiuk et al. 2018",
    equation="Σ_n (p_n − p̄)·(M_n − E M) / (N·var M)",
    forwards=str(MASKS),
    gradients=False,
    reads_layer=False,
)
def rise(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_n (p_n − p̄)(M_n − E M) / (N·var M) over N random masks M_n on the image (Petsiuk et al. 2018).

    This is the paper's Σ p_n M_n / (N·E M) without its constant part, so zero means no influence. Where a mask covers
    the image, it has the mean colour. Boxes of a detector have maps of D-RISE.
    """
    replay = trace.replay
    if replay.boxes is not None:
        return _drise(trace, classes, replay.boxes)
    masks = _RandomMasks(replay, CELLS)

    def one(image: int) -> Tensor:
        picture = replay.inputs[image : image + 1]
        scores = replay.scores(MASKS, lambda part: picture * masks(part), image)
        return trace.sign * masks.weighted(replay.probabilities(scores)[:, classes[image]])

    return torch.stack(each_image(trace, one))


def channel_masks(channels: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns channels C×h×w as masks C×1×H×W: enlarged to the image between cell centres, then scaled to [0, 1]."""
    masks = interpolate(channels[:, None], size, mode="bilinear", align_corners=False)
    low, high = masks.amin(dim=(2, 3), keepdim=True), masks.amax(dim=(2, 3), keepdim=True)
    scaled: Tensor = (masks - low) / (high - low).clamp_min(1e-30)
    return scaled


def _drise(trace: Trace, columns: Tensor, boxes: BoxScores) -> Tensor:
    """Returns maps B×T×H×W of boxes: RISE with a similarity in the place of the score (D-RISE, Petsiuk et al. 2021).

    It is the similarity of the box to the most similar one that the detector finds under a mask.
    """
    replay = trace.replay
    masks = _RandomMasks(replay, _BOX_CELLS)

    def one(image: int) -> Tensor:
        own, picture = boxes.found[image], replay.inputs[image : image + 1]
        if not len(own.scores):
            return picture.new_zeros(columns.shape[1], *picture.shape[2:])
        found = replay.detections(MASKS, lambda part: picture * masks(part))
        wanted = Detections(*(part.detach()[columns[image]] for part in (own.boxes, own.labels, own.scores)))
        alike = [pad(wanted.similarity(other), (0, 1)).amax(1) for other in found]
        return trace.sign * masks.weighted(torch.stack(alike))

    return torch.stack(each_image(trace, one))


class _RandomMasks:
    """The random masks of RISE for the images of a batch; computed slice by slice, not kept in memory."""

    def __init__(self, replay: Replay, cells: int) -> None:
        self._like, self._cells = replay.inputs, cells
        draw = replay.generator()
        self._kept = (torch.rand(MASKS, 1, cells + 1, cells + 1, generator=draw) < KEPT).float()
        self._shifts = torch.rand(MASKS, 2, generator=draw)

    def __call__(self, part: slice) -> Tensor:
        """Returns the masks of a slice: n×1×H×W in [0, 1]."""
        size = (self._like.shape[2], self._like.shape[3])
        return _shifted(self._kept[part].to(self._like), self._shifts[part], size, self._cells)

    def weighted(self, scores: Tensor) -> Tensor:
        """Returns Σ_n (s_n − s̄)(M_n − E M) / (N·var M) of scores s, N×T: T×H×W."""
        deviation = (scores - scores.mean(dim=0)) / (MASKS * KEPT * (1 - KEPT))
        parts = [slice(start, min(MASKS, start + 50)) for start in range(0, MASKS, 50)]
        total = [torch.einsum("nt,nhw->thw", deviation[part], self(part)[:, 0] - KEPT) for part in parts]
        return torch.stack(total).sum(dim=0)


def each_image(trace: Trace, one: Callable[[int], Tensor]) -> list[Tensor]:
    """Returns the results of `one` for the images of the batch, by index, one after the other."""
    return [one(image) for image in range(len(trace.features))]


def channel_sum(trace: Trace, weights: Callable[[int], Tensor]) -> Tensor:
    """Returns maps B×T×h×w: the activations summed with the weights T×C of each image."""
    return torch.einsum("btc,bchw->bthw", torch.stack(each_image(trace, weights)), trace.features)


def _gaussians(height: int, width: int) -> Tensor:
    """Returns masks (h·w)×h×w, one per position: the 3×3 binomial kernel around it."""
    positions = torch.eye(height * width).view(-1, 1, height, width)
    edge = torch.tensor([1.0, 2.0, 1.0])
    return conv2d(positions, (edge[:, None] * edge / 16)[None, None], padding=1)[:, 0]


def _shifted(cells: Tensor, shifts: Tensor, size: tuple[int, int], across: int) -> Tensor:
    """Returns masks n×1×H×W in [0, 1]: cells n×1×(across+1)², enlarged, and cut at random shifts.

    Enlarged, they are one cell larger than the image, which is the largest shift.
    """
    cell = [math.ceil(side / across) for side in size]
    large = interpolate(cells, [(across + 1) * side for side in cell], mode="bilinear", align_corners=False)
    tops, lefts = (shifts * torch.tensor(cell)).long().unbind(1)
    cut = [m[:, t : t + size[0], s : s + size[1]] for m, t, s in zip(large, tops.tolist(), lefts.tolist())]
    return torch.stack(cut)
