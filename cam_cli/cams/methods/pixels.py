"""Maps on the pixels themselves, from gradients of the score to the input: B×T×H×W of the network's input."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..tracing.relu_rules import ReluRule
    from ..tracing.trace import Trace

#: SmoothGrad: noisy copies of a picture, and their noise as a share of its range of values.
SAMPLES, NOISE = 16, 0.15
#: Integrated gradients: points on the way from black to the picture.
STEPS = 32


def saliency(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of |∂y_c/∂x| (Simonyan et al. 2014, section 3.1)."""
    return _strongest(trace.replay.gradients(trace.replay.inputs, classes))


def smoothgrad(trace: Trace, classes: Tensor) -> Tensor:
    """Saliency of the gradient averaged over noisy copies of the picture (Smilkov et al. 2017)."""
    import torch

    replay = trace.replay
    low, high = (ends(replay.inputs, dim=(1, 2, 3), keepdim=True) for ends in (torch.amin, torch.amax))
    noise = torch.randn(SAMPLES, *replay.inputs.shape[1:], generator=replay.generator()).to(replay.inputs)
    total = torch.zeros((), device=replay.inputs.device)
    for step, one in enumerate(noise, start=1):
        total = total + replay.gradients(replay.inputs + NOISE * (high - low) * one, classes) / SAMPLES
        replay.report_step(step, SAMPLES)
    return _strongest(total)


def integrated_gradients(trace: Trace, classes: Tensor) -> Tensor:
    """Σ over colours of (x − x′)·∫ ∂y_c/∂x along the straight way from a black picture x′ (Sundararajan et al. 2017).

    The integral is the mean at the middles of equal steps. The map sums to y_c(x) − y_c(x′).
    """
    import torch

    replay = trace.replay
    difference = replay.inputs - replay.black
    total = torch.zeros((), device=replay.inputs.device)
    for step in range(STEPS):
        on_the_way = replay.black + difference * ((step + 0.5) / STEPS)
        total = total + replay.gradients(on_the_way, classes, trace.sign) / STEPS
        replay.report_step(step + 1, STEPS)
    return (total * difference[:, None]).sum(dim=2)


def guided_backprop(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of |gradient|, every ReLU passing back what is positive in both directions."""
    from ..tracing.relu_rules import guided

    return _strongest(_ruled(trace, classes, guided))


def deconvnet(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of |gradient|, every ReLU passing back what is positive from above."""
    from ..tracing.relu_rules import deconvolved

    return _strongest(_ruled(trace, classes, deconvolved))


def guided_gradcam(trace: Trace, classes: Tensor) -> Tensor:
    """Guided backpropagation times Grad-CAM after its ReLU, enlarged to the picture (Selvaraju et al. 2017, 3.1)."""
    from torch.nn.functional import interpolate

    from .gradients import gradcam

    fine = guided_backprop(trace, classes)
    coarse = gradcam(trace, classes).clamp_min(0)
    return fine * interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)


def needs_relu(trace: Trace) -> None:
    """Raise `CamxError` for a network without ReLU."""
    from ..tracing.relu_rules import require_relu

    require_relu(trace.replay.module, lambda: trace.replay.scores(1, lambda _: trace.replay.inputs[:1]))


def _ruled(trace: Trace, classes: Tensor, rule: ReluRule) -> Tensor:
    from ..tracing.relu_rules import ReluOverride

    return trace.replay.gradients(trace.replay.inputs, classes, trace.sign, lambda: ReluOverride(rule))


def _strongest(gradients: Tensor) -> Tensor:
    return gradients.abs().amax(dim=2)
