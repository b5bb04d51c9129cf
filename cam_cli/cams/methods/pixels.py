"""Maps on the pixels from gradients of the score to the input: B×T×H×W of the network's input."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

from ..tracing.relu_rules import ReluOverride, ReluRule, deconvolved, guided, require_relu
from ..tracing.trace import Trace
from .gradients import gradcam
from .method import method


def needs_relu(trace: Trace) -> None:
    """Raises `CamxError` for a network without ReLU on its feature maps."""
    require_relu(trace.replay.module, lambda: trace.replay.scores(1, lambda _: trace.replay.inputs[:1]))


@method(
    "saliency",
    summary="gradient of the score to the pixels",
    paper="Simonyan et al. 2014",
    equation="max_rgb |∂y_c/∂x|",
    forwards="1",
    grid="pixels",
    reads_layer=False,
    signed=False,
)
def saliency(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of |∂y_c/∂x| (Simonyan et al. 2014, section 3.1)."""
    return strongest_colour(trace.replay.gradients(trace.replay.inputs, classes))


@method(
    "guided-backprop",
    summary="positive gradients through open ReLUs",
    paper="Springenberg et al. 2015",
    equation="max_rgb |∂y_c/∂x|, each ReLU: R ← [a>0]·[R>0]·R",
    forwards="1",
    works="ReLU",
    grid="pixels",
    reads_layer=False,
    check=needs_relu,
)
def guided_backprop(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of |gradient|; open ReLUs pass positive gradients only (Springenberg et al. 2015)."""
    return strongest_colour(_gradients_with(guided, trace, classes))


@method(
    "deconvnet",
    summary="positive gradients through all ReLUs",
    paper="Zeiler and Fergus 2014",
    equation="max_rgb |∂y_c/∂x|, each ReLU: R ← [R>0]·R",
    forwards="1",
    works="ReLU",
    grid="pixels",
    reads_layer=False,
    check=needs_relu,
)
def deconvnet(trace: Trace, classes: Tensor) -> Tensor:
    """max over colours of |gradient|; ReLUs pass positive gradients only, open or not (Zeiler and Fergus 2014)."""
    return strongest_colour(_gradients_with(deconvolved, trace, classes))


@method(
    "guided-gradcam",
    summary="guided backpropagation where Grad-CAM is positive",
    paper="Selvaraju et al. 2017",
    equation="guided backprop ⊙ U(ReLU(Grad-CAM))",
    forwards="1",
    works="ReLU",
    grid="pixels",
    check=needs_relu,
)
def guided_gradcam(trace: Trace, classes: Tensor) -> Tensor:
    """Guided backpropagation times Grad-CAM after its ReLU, enlarged to the image (Selvaraju et al. 2017, 3.1)."""
    fine = guided_backprop(trace, classes)
    coarse = gradcam(trace, classes).clamp_min(0)
    return fine * interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)


def _gradients_with(rule: ReluRule, trace: Trace, classes: Tensor) -> Tensor:
    return trace.replay.gradients(trace.replay.inputs, classes, trace.sign, lambda: ReluOverride(rule))


def strongest_colour(gradients: Tensor) -> Tensor:
    """Returns maps B×T×H×W of gradients B×T×C×H×W: the largest magnitude of each pixel."""
    return gradients.abs().amax(dim=2)
