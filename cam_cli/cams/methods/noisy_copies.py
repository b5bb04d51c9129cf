"""Maps on the pixels from the gradients of noisy copies of an image, which the methods share: B×T×H×W."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import method
from .pixels import strongest_colour

#: Noisy copies of an image, and the standard deviation of their noise as a share of its range of values.
SAMPLES, NOISE = 16, 0.15


class _Moments(NamedTuple):
    """Three moments of the gradients of noisy copies, the strongest colour of each: B×T×H×W."""

    mean: Tensor
    square: Tensor
    variance: Tensor


@method(
    "smoothgrad",
    summary="saliency averaged over noisy copies of the image",
    paper="Smilkov et al. 2017",
    equation="max_rgb |mean_n ∂y_c/∂x (x + ε_n)|",
    forwards=str(SAMPLES),
    grid="pixels",
    reads_layer=False,
    signed=False,
)
def smoothgrad(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of |mean over noisy copies of ∂y_c/∂x| (Smilkov et al. 2017)."""
    return _moments(trace, classes).mean


@method(
    "smoothgrad-squared",
    summary="squared gradients averaged over noisy copies of the image",
    paper="Hooker et al. 2019",
    equation="max_rgb mean_n (∂y_c/∂x (x + ε_n))²",
    forwards=str(SAMPLES),
    grid="pixels",
    reads_layer=False,
    signed=False,
)
def smoothgrad_squared(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of the mean over noisy copies of (∂y_c/∂x)² (Hooker et al. 2019, SG-SQ)."""
    return _moments(trace, classes).square


@method(
    "vargrad",
    summary="variance of the gradients of noisy copies of the image",
    paper="Adebayo et al. 2018",
    equation="max_rgb var_n ∂y_c/∂x (x + ε_n)",
    forwards=str(SAMPLES),
    grid="pixels",
    reads_layer=False,
    signed=False,
)
def vargrad(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of the variance of ∂y_c/∂x over noisy copies (Adebayo et al. 2018), that of a population."""
    return _moments(trace, classes).variance


def _moments(trace: Trace, classes: Tensor) -> _Moments:
    """Returns the moments of the copies, computed once for all methods that read one of them."""
    return trace.replay.shared("noisy copies", classes, lambda: _computed_moments(trace, classes))


def _computed_moments(trace: Trace, classes: Tensor) -> _Moments:
    replay = trace.replay
    low, high = (ends(replay.inputs, dim=(1, 2, 3), keepdim=True) for ends in (torch.amin, torch.amax))
    noise = torch.randn(SAMPLES, *replay.inputs.shape[1:], generator=replay.generator()).to(replay.inputs)
    mean = deviations = torch.zeros((), device=replay.inputs.device)
    for step, one in enumerate(noise, start=1):
        gradients = replay.gradients(replay.inputs + NOISE * (high - low) * one, classes)
        # Welford's update: the difference of two large means would lose a small variance.
        difference = gradients - mean
        mean = mean + difference / step
        deviations = deviations + difference * (gradients - mean)
        replay.report_step(step, SAMPLES)
    variance = deviations / SAMPLES
    return _Moments(*(strongest_colour(one) for one in (mean, variance + mean.square(), variance)))
