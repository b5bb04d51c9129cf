"""Score-CAM with weights averaged over several variants of each channel's mask: B×T×h×w."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import method
from .perturbation import channel_masks, channel_sum

#: SS-CAM: noisy copies of a mask in [0, 1], and the standard deviation of their noise.
SAMPLES, NOISE = 10, 2.0
#: IS-CAM: steps from an empty mask to the whole one.
STEPS = 10

#: (masks n×1×H×W in [0, 1], the index of each copy: n) → the masks of the copies.
Change = Callable[[Tensor, Tensor], Tensor]


@method(
    "sscam",
    summary="Score-CAM with the mean score of noisy masks",
    paper="Wang et al. 2020 (SS-CAM)",
    equation="Σ_k softmax_k(mean_n y_c(x⊙(U(A_k) + δ_n)))·A_k, δ_n ~ N(0, 2²)",
    forwards=f"{SAMPLES}·C",
    gradients=False,
)
def sscam(trace: Trace, classes: Tensor) -> Tensor:
    """Score-CAM with the mean score of masks U(A_k) + δ_n over N noises δ_n ~ N(0, σ²) (Wang et al. 2020, SS-CAM).

    All channels get the same N noises, so their scores are comparable.
    """
    replay = trace.replay
    noise = (torch.randn(SAMPLES, 1, *replay.inputs.shape[2:], generator=replay.generator()) * NOISE).to(replay.inputs)
    return _averaged(trace, classes, SAMPLES, lambda masks, copies: masks + noise[copies])


@method(
    "iscam",
    summary="Score-CAM with the mean score of masks that grow from nothing to full strength",
    paper="Naidu et al. 2020",
    equation="Σ_k softmax_k(mean_n y_c(x⊙(n/N)·U(A_k)))·A_k, n = 1 … N",
    forwards=f"{STEPS}·C",
    gradients=False,
)
def iscam(trace: Trace, classes: Tensor) -> Tensor:
    """Score-CAM with the mean score of the masks (n/N)·U(A_k), n = 1 … N (Naidu et al. 2020)."""
    return _averaged(trace, classes, STEPS, lambda masks, copies: masks * (copies + 1).view(-1, 1, 1, 1) / STEPS)


def _averaged(trace: Trace, classes: Tensor, count: int, change: Change) -> Tensor:
    """Σ_k α_k A_k, α the softmax over channels of the mean score of `count` changed copies of each mask."""

    def weights(image: int) -> Tensor:
        picture, channels = trace.replay.inputs[image : image + 1], trace.features[image]
        size = (picture.shape[2], picture.shape[3])

        def masked(part: slice) -> Tensor:
            numbers = torch.arange(part.start, part.stop, device=channels.device)
            masks = channel_masks(channels[numbers // count], size)
            return picture * change(masks, numbers % count)

        scores = trace.replay.scores(len(channels) * count, masked, image)[:, classes[image]]
        means = scores.reshape(len(channels), count, -1).mean(dim=1)
        return (trace.sign * means).softmax(dim=0).T

    return channel_sum(trace, weights)
