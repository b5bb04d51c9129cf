"""Maps on the pixels from gradients along a path from an image without content to the image: B×T×H×W."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import method

#: Points on the path of integrated gradients and of Blur IG; images of one colour that gradient SHAP draws.
STEPS, SAMPLES = 32, 32
#: The largest standard deviation of Blur IG as a share of the longer side: 50 of 299 pixels in the paper.
BLUR = 1 / 6


@method(
    "integrated-gradients",
    summary="gradient along the path from black to the image",
    paper="Sundararajan et al. 2017",
    equation="Σ_rgb (x−x′)·∫₀¹ ∂y_c/∂x (x′+t(x−x′)) dt",
    forwards=str(STEPS),
    grid="pixels",
    reads_layer=False,
)
def integrated_gradients(trace: Trace, classes: Tensor) -> Tensor:
    """Σ over colours of (x − x′)·∫ ∂y_c/∂x along the straight path from a black image x′ (Sundararajan et al. 2017).

    The integral is the mean at the middles of equal steps. The map sums to y_c(x) − y_c(x′).
    """
    return trace.sign * from_black(trace, classes)


@method(
    "gradient-shap",
    summary="integrated gradients from many images of one colour",
    paper="Lundberg and Lee 2017; Erion et al. 2021",
    equation="Σ_rgb mean_n (x−x′_n)·∂y_c/∂x (x′_n+t_n(x−x′_n))",
    forwards=str(SAMPLES),
    grid="pixels",
    reads_layer=False,
)
def gradient_shap(trace: Trace, classes: Tensor) -> Tensor:
    """Σ over colours of E[(x − x′)·∂y_c/∂x at x′ + t(x − x′)], expected gradients (Erion et al. 2021, eq. 3).

    x′ are images of one colour, drawn uniformly between black and white; t lies in [0, 1], one in each of equal steps.
    In expectation the map sums to y_c(x) − E y_c(x′).
    """
    replay = trace.replay
    draw = replay.generator()
    colours = torch.rand(SAMPLES, 1, replay.inputs.shape[1], 1, 1, generator=draw).to(replay.inputs)
    shares = (torch.arange(SAMPLES) + torch.rand(SAMPLES, generator=draw)) / SAMPLES
    total = torch.zeros((), device=replay.inputs.device)
    for step, (colour, share) in enumerate(zip(colours, shares.tolist()), start=1):
        start = replay.black + colour * (replay.white - replay.black)
        difference = replay.inputs - start
        gradients = replay.gradients(start + share * difference, classes, trace.sign)
        total = total + (gradients * difference[:, None]).sum(dim=2) / SAMPLES
        replay.report_step(step, SAMPLES)
    return total


@method(
    "blur-ig",
    summary="gradient along the path from a blurred image to the sharp one",
    paper="Xu et al. 2020",
    equation="−Σ_rgb ∫ ∂y_c/∂x (G_σ∗x) ⊙ ∂(G_σ∗x)/∂σ dσ, σ from 0 to a sixth of the side",
    forwards=str(STEPS),
    grid="pixels",
    reads_layer=False,
)
def blur_ig(trace: Trace, classes: Tensor) -> Tensor:
    """−Σ over colours of ∫ ∂y_c/∂x ⊙ ∂x_σ/∂σ dσ, x_σ the image under a Gaussian blur (Xu et al. 2020, eq. 4).

    Steps of σ grow evenly, because fine detail vanishes first; the gradient is that in the middle of each. Blurs are
    exact on the grid of pixels and mirror the image at its edges. The map sums to y_c(x) − y_c(x_σ) for the largest σ.
    """
    replay = trace.replay
    largest = BLUR * max(replay.inputs.shape[2:])
    total = torch.zeros((), device=replay.inputs.device)
    sharp = replay.inputs
    for step in range(STEPS):
        middle, end = (blurred(replay.inputs, largest * ((step + ahead) / STEPS) ** 2) for ahead in (0.5, 1))
        gradients = replay.gradients(middle, classes, trace.sign)
        total = total + (gradients * (sharp - end)[:, None]).sum(dim=2)
        sharp = end
        replay.report_step(step + 1, STEPS)
    return total


def from_black(trace: Trace, classes: Tensor) -> Tensor:
    """Integrated gradients from black, summed over colours: B×T×H×W; methods share one computation."""
    replay = trace.replay
    return replay.shared("from black", classes, lambda: along(trace, classes, replay.black))


def along(trace: Trace, classes: Tensor, start: Tensor | float) -> Tensor:
    """Integrated gradients of y_c from an image `start`, summed over colours: B×T×H×W."""
    replay = trace.replay
    difference = replay.inputs - start
    total = torch.zeros((), device=replay.inputs.device)
    for step in range(STEPS):
        total = total + replay.gradients(start + difference * ((step + 0.5) / STEPS), classes) / STEPS
        replay.report_step(step + 1, STEPS)
    return (total * difference[:, None]).sum(dim=2)


def blurred(pictures: Tensor, deviation: float) -> Tensor:
    """Blurs images B×C×H×W by the discrete analogue of a Gaussian (Lindeberg 1990), mirrored at the edges."""
    down, across = (_blur(side, deviation).to(pictures) for side in pictures.shape[2:])
    return down @ pictures @ across


def _blur(side: int, deviation: float) -> Tensor:
    """The symmetric matrix side×side that solves the heat equation on a row of pixels, with insulated ends."""
    waves = torch.arange(side, dtype=torch.float64)[:, None]
    basis = (math.pi / side * waves * (torch.arange(side) + 0.5)).cos() * math.sqrt(2 / side)
    basis[0] /= math.sqrt(2)
    decay = (deviation**2 * ((math.pi / side * waves).cos() - 1)).exp()
    return basis.T @ (decay * basis)
