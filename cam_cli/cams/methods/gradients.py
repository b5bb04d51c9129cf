"""Maps from the activations and gradients of one forward: B×T×h×w of any sign and scale.

A (B×C×h×w) are `trace.features`, g (B×T×C×h×w) the gradients of each class. The last ReLU of the papers is a part of
the normalisation (`maps.heatmap.normalised`), so raw maps keep evidence against a class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import method

#: Finer-CAM: the number of similar classes, and the strength γ of the contrast with them.
SIMILAR, CONTRAST = 3, 1.0
#: Smooth Grad-CAM++: noisy copies of an image, and the standard deviation of their noise as a share of its range of
#: values.
SAMPLES, NOISE = 8, 0.15
#: FEM: an activation stands out if it is this many standard deviations above its channel's mean.
SIGMAS = 2.0


@method(
    "cam",
    summary="weights of the classifier; exact, for GAP + linear heads",
    paper="Zhou et al. 2016",
    equation="Σ_k w_k^c·A_k",
    gradients=False,
    works="GAP + linear",
    needs_classifier=True,
)
def cam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k^c A_k with the weights of the linear layer behind average pooling (Zhou et al. 2016, eq. 2)."""
    assert trace.classifier is not None
    return trace.sign * trace.classifier.class_maps(trace.features, classes)


@method(
    "gradcam",
    summary="gradient-weighted activations; for every network",
    paper="Selvaraju et al. 2017",
    equation="Σ_k mean(g_k)·A_k",
)
def gradcam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k α_k A_k with α_k the mean of g_k over positions (Selvaraju et al. 2017, eq. 1 and 2)."""
    return _weighted(trace.mean_gradients(classes), trace)


@method(
    "gradcam++",
    summary="Grad-CAM with weights per position, for several objects",
    paper="Chattopadhay et al. 2018",
    equation="Σ_k Σ_ij[α·ReLU(g_k)]·A_k, α = g² / (2g² + ΣA·g³)",
)
def gradcampp(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k A_k, w_k = Σ_ij α_ij ReLU(g_ij), α = g² / (2g² + ΣA·g³) (Chattopadhay et al. 2018, eq. 19 and 7).

    Divided by g², α is 1 / (2 + g·ΣA): powers of small gradients would underflow.
    """
    g = trace.gradients(classes)
    alpha = _inverse(2 + g * _total(trace)[:, None]) * (g != 0)
    return _weighted((alpha * g.clamp_min(0)).sum(dim=(-2, -1), keepdim=True), trace)


@method(
    "smooth-gradcam++",
    summary="Grad-CAM++ over noisy copies of the image",
    paper="Omeiza et al. 2019",
    equation="Grad-CAM++ with the means of g, g², g³ over 8 noisy copies",
    forwards=str(SAMPLES),
)
def smooth_gradcampp(trace: Trace, classes: Tensor) -> Tensor:
    """Grad-CAM++ with g, g² and g³ averaged over noisy copies of the image (Omeiza et al. 2019)."""
    replay = trace.replay
    noise = torch.randn(SAMPLES, *replay.inputs.shape[1:], generator=replay.generator()) * NOISE
    first = second = third = trace.features.new_zeros(())
    for step, one in enumerate(noise.to(replay.inputs), start=1):
        g = trace.retrace(replay.inputs + one * _spread(replay.inputs)).gradients(classes)
        # In units of the largest gradient: powers of small ones would underflow.
        if step == 1:
            unit = g.abs().amax(dim=(-3, -2, -1), keepdim=True).clamp_min(1e-30)
        g = g / unit
        first, second, third = first + g / SAMPLES, second + g**2 / SAMPLES, third + g**3 / SAMPLES
        replay.report_step(step, SAMPLES)
    denominator = 2 * second + _total(trace)[:, None] * unit * third
    alpha = second * _inverse(denominator, floor=1e-12)
    return _weighted((alpha * first.clamp_min(0)).sum(dim=(-2, -1), keepdim=True) * unit, trace)


@method(
    "xgradcam",
    summary="gradients weighted by their share of the activation",
    paper="Fu et al. 2020",
    equation="Σ_k Σ_ij[(A_k/ΣA_k)·g_k]·A_k",
)
def xgradcam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k A_k with w_k = Σ_ij (A_ij / ΣA)·g_ij (Fu et al. 2020)."""
    share = trace.features * _inverse(_total(trace), floor=1e-30)
    weights = (share[:, None] * trace.gradients(classes)).sum(dim=(-2, -1), keepdim=True)
    return _weighted(weights, trace)


@method(
    "hirescam",
    summary="gradient times activation at each position",
    paper="Draelos and Carin 2020",
    equation="Σ_k g_k⊙A_k",
)
def hirescam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k g_k ⊙ A_k: each position with its own gradient (Draelos and Carin 2020)."""
    return _weighted(trace.gradients(classes), trace)


@method(
    "elementwise",
    summary="Grad-CAM element-wise: positive products only",
    paper="Gildenblat 2021 (pytorch-grad-cam)",
    equation="Σ_k ReLU(g_k⊙A_k)",
)
def elementwise(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k ReLU(g_k ⊙ A_k): HiResCAM without the negative products of channels (pytorch-grad-cam)."""
    return (trace.gradients(classes) * trace.features[:, None]).clamp_min(0).sum(dim=2)


@method(
    "layercam",
    summary="positive gradients times activations; for early layers too",
    paper="Jiang et al. 2021",
    equation="Σ_k ReLU(g_k)⊙A_k",
)
def layercam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k ReLU(g_k) ⊙ A_k (Jiang et al. 2021)."""
    return _weighted(trace.gradients(classes).clamp_min(0), trace)


@method(
    "finercam",
    summary="Grad-CAM of the difference to the most similar classes",
    paper="Zhang et al. 2025",
    equation="Grad-CAM of y_c − Σ_d p_d·y_d over the 3 nearest classes d",
)
def finercam(trace: Trace, classes: Tensor) -> Tensor:
    """Grad-CAM of y_c − γ·y_d, averaged over the classes d with the scores nearest to y_c (Zhang et al. 2025).

    The weight of each d is its probability among them.
    """
    count = min(SIMILAR, trace.logits.shape[1] - 1)
    own = trace.logits.gather(1, classes)
    distance = (trace.logits[:, None] - own[..., None]).abs().scatter(2, classes[..., None], float("inf"))
    similar = distance.topk(count, dim=2, largest=False).indices
    shares = trace.logits[:, None].expand_as(distance).gather(2, similar).softmax(2)
    weights = trace.mean_gradients(classes)
    for one, share in zip(similar.unbind(2), shares.unbind(2)):
        rival = trace.mean_gradients(one)
        weights = weights - CONTRAST * share[..., None, None, None] * rival
    return _weighted(weights, trace)


@method(
    "shapleycam",
    summary="Shapley values of the activations to second order",
    paper="Cai 2025",
    equation="Σ_k mean(∇u − ½H·A)_k·A_k, u = y_c + ln p_c",
    second_order=True,
)
def shapleycam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k A_k, w the mean over positions of ∇u − ½ H·A, u = y_c + ln p_c (Cai 2025)."""
    maps = []
    for column in classes.unbind(1):
        gradient, hvp = trace.gradient_and_hvp(lambda scores, c=column: _utility(scores, c))  # type: ignore[misc]
        weights = (gradient - hvp / 2).mean(dim=(-2, -1), keepdim=True)
        maps.append((weights * trace.features).sum(dim=1))
    return torch.stack(maps, dim=1)


@method(
    "fem",
    summary="where channels exceed their own mean; no class",
    paper="Fuad et al. 2020",
    equation="Σ_k μ_k·[A_k > μ_k + 2σ_k]",
    gradients=False,
    per="image",
    signed=False,
)
def fem(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k μ_k·[A_k > μ_k + 2σ_k]: positions where channels stand out, weighted by their mean μ_k (Fuad et al. 2020)."""
    mean = trace.features.mean(dim=(-2, -1), keepdim=True)
    deviation = trace.features.std(dim=(-2, -1), keepdim=True, correction=0)
    stands_out = trace.features > mean + SIGMAS * deviation
    return (mean * stands_out).sum(dim=1)[:, None].expand(-1, classes.shape[1], -1, -1)


def _weighted(weights: Tensor, trace: Trace) -> Tensor:
    """Σ_k w_k ⊙ A_k for weights B×T×C×h×w or B×T×C×1×1; the latter without a product B×T×C×h×w in memory."""
    if weights.shape[3:] != (1, 1):
        return (weights * trace.features[:, None]).sum(dim=2)
    maps: Tensor = weights.flatten(2) @ trace.features.flatten(2)
    return maps.view(*maps.shape[:2], *trace.features.shape[2:])


def _total(trace: Trace) -> Tensor:
    """ΣA of each channel over its positions, B×C×1×1."""
    return trace.features.sum(dim=(-2, -1), keepdim=True)


def _inverse(values: Tensor, floor: float = 1e-6) -> Tensor:
    """1 / values; 0 where their magnitude is at most `floor`."""
    small = values.abs() <= floor
    return values.masked_fill(small, 1.0).reciprocal().masked_fill(small, 0.0)


def _spread(pictures: Tensor) -> Tensor:
    """The range of each image's values, B×1×1×1."""
    return pictures.amax(dim=(1, 2, 3), keepdim=True) - pictures.amin(dim=(1, 2, 3), keepdim=True)


def _utility(scores: Tensor, column: Tensor) -> Tensor:
    """Returns y_c + ln p_c of scores B×K for the class in `column` B: B."""
    own = scores.gather(1, column[:, None]) + scores.log_softmax(1).gather(1, column[:, None])
    return own[:, 0]
