"""Maps from the activations and gradients of one forward. A (B×C×h×w) are `trace.features`, g (B×T×C×h×w) the
gradients of each class; every function gives B×T×h×w of any sign and scale.

The last ReLU of the papers comes with the normalisation (`heatmaps.normalised`), so that raw maps keep what
speaks against a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..tracing.trace import Trace

#: Finer-CAM: how many similar classes a class is contrasted with, and how strongly (γ).
SIMILAR, CONTRAST = 3, 1.0
#: Smooth Grad-CAM++: noisy copies of a picture, and their noise in standard deviations of the normalised picture.
SAMPLES, NOISE = 8, 0.15
#: FEM: an activation stands out if it is this many standard deviations above its channel's mean.
SIGMAS = 2.0


def cam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k^c A_k with the weights of the linear layer behind average pooling (Zhou et al. 2016, eq. 2)."""
    assert trace.classifier is not None
    return trace.sign * trace.classifier.class_maps(trace.features, classes)


def gradcam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k α_k A_k with α_k the mean of g_k over positions (Selvaraju et al. 2017, eq. 1 and 2)."""
    return _weighted(trace.mean_gradients(classes), trace)


def gradcampp(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k A_k, w_k = Σ_ij α_ij ReLU(g_ij), α = g² / (2g² + ΣA·g³) (Chattopadhay et al. 2018, eq. 19 and 7).

    Divided by g², α is 1 / (2 + g·ΣA): no power of a small gradient that could vanish, so no epsilon to hide it.
    """
    g = trace.gradients(classes)
    alpha = _inverse(2 + g * _total(trace)[:, None]) * (g != 0)
    return _weighted((alpha * g.clamp_min(0)).sum(dim=(-2, -1), keepdim=True), trace)


def smooth_gradcampp(trace: Trace, classes: Tensor) -> Tensor:
    """Grad-CAM++ with g, g² and g³ averaged over noisy copies of the picture (Omeiza et al. 2019)."""
    import torch

    replay = trace.replay
    noise = torch.randn(SAMPLES, *replay.inputs.shape[1:], generator=replay.generator()) * NOISE
    first = second = third = trace.features.new_zeros(())
    for step, one in enumerate(noise.to(replay.inputs), start=1):
        g = trace.retrace(replay.inputs + one * _spread(replay.inputs)).gradients(classes)
        # In units of the largest gradient: the powers of small ones do not vanish.
        if step == 1:
            unit = g.abs().amax(dim=(-3, -2, -1), keepdim=True).clamp_min(1e-30)
        g = g / unit
        first, second, third = first + g / SAMPLES, second + g**2 / SAMPLES, third + g**3 / SAMPLES
        replay.report_step(step, SAMPLES)
    denominator = 2 * second + _total(trace)[:, None] * unit * third
    alpha = second * _inverse(denominator, floor=1e-12)
    return _weighted((alpha * first.clamp_min(0)).sum(dim=(-2, -1), keepdim=True) * unit, trace)


def xgradcam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k A_k with w_k = Σ_ij (A_ij / ΣA)·g_ij (Fu et al. 2020)."""
    share = trace.features * _inverse(_total(trace), floor=1e-30)
    weights = (share[:, None] * trace.gradients(classes)).sum(dim=(-2, -1), keepdim=True)
    return _weighted(weights, trace)


def hirescam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k g_k ⊙ A_k: each position with its own gradient (Draelos and Carin 2020)."""
    return _weighted(trace.gradients(classes), trace)


def elementwise(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k ReLU(g_k ⊙ A_k): HiResCAM in which no channel speaks against another (pytorch-grad-cam)."""
    return (trace.gradients(classes) * trace.features[:, None]).clamp_min(0).sum(dim=2)


def layercam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k ReLU(g_k) ⊙ A_k (Jiang et al. 2021)."""
    return _weighted(trace.gradients(classes).clamp_min(0), trace)


def finercam(trace: Trace, classes: Tensor) -> Tensor:
    """Grad-CAM of y_c − γ·y_d, averaged over the classes d with the scores nearest to y_c (Zhang et al. 2025).

    Each d counts by its probability among them.
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


def shapleycam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k A_k, w the mean over positions of ∇u − ½ H·A, u = y_c + ln p_c (Cai 2025)."""
    maps = []
    for column in classes.unbind(1):
        slope, curve = trace.gradient_and_hvp(lambda scores, c=column: _utility(scores, c))  # type: ignore[misc]
        weights = (slope - curve / 2).mean(dim=(-2, -1), keepdim=True)
        maps.append((weights * trace.features).sum(dim=1))
    return _stacked(maps)


def eigencam(trace: Trace, classes: Tensor) -> Tensor:
    """A·v₁, the activations along their first right singular vector (Muhammad and Yeasin 2020)."""
    return _first_component(trace.features)[:, None].expand(-1, classes.shape[1], -1, -1)


def eigengradcam(trace: Trace, classes: Tensor) -> Tensor:
    """The same of g ⊙ A, which makes it a map of a class (pytorch-grad-cam)."""
    products = trace.gradients(classes) * trace.features[:, None]
    return _first_component(products.flatten(0, 1)).view(*classes.shape, *trace.features.shape[2:])


def fem(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k μ_k·[A_k > μ_k + 2σ_k]: where channels stand out, by their mean μ_k (Fuad et al. 2020)."""
    mean = trace.features.mean(dim=(-2, -1), keepdim=True)
    deviation = trace.features.std(dim=(-2, -1), keepdim=True, correction=0)
    stands_out = trace.features > mean + SIGMAS * deviation
    return (mean * stands_out).sum(dim=1)[:, None].expand(-1, classes.shape[1], -1, -1)


def _weighted(weights: Tensor, trace: Trace) -> Tensor:
    """Σ_k w_k ⊙ A_k for weights B×T×C×h×w, or B×T×C×1×1: then a matrix product, with no B×T×C×h×w in memory."""
    if weights.shape[3:] != (1, 1):
        return (weights * trace.features[:, None]).sum(dim=2)
    maps: Tensor = weights.flatten(2) @ trace.features.flatten(2)
    return maps.view(*maps.shape[:2], *trace.features.shape[2:])


def _total(trace: Trace) -> Tensor:
    """ΣA of every channel over its positions, B×C×1×1."""
    return trace.features.sum(dim=(-2, -1), keepdim=True)


def _inverse(values: Tensor, floor: float = 1e-6) -> Tensor:
    """1 / values, and 0 where they are 0 up to `floor`."""
    small = values.abs() <= floor
    return values.masked_fill(small, 1.0).reciprocal().masked_fill(small, 0.0)


def _spread(pictures: Tensor) -> Tensor:
    """The range of each picture's values, B×1×1×1."""
    return pictures.amax(dim=(1, 2, 3), keepdim=True) - pictures.amin(dim=(1, 2, 3), keepdim=True)


def _utility(scores: Tensor, column: Tensor) -> Tensor:
    own = scores.gather(1, column[:, None]) + scores.log_softmax(1).gather(1, column[:, None])
    return own[:, 0]


def _stacked(maps: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(maps, dim=1)


def _first_component(features: Tensor) -> Tensor:
    """N×h×w from N×C×h×w: positions × channels, projected on the first right singular vector.

    A singular vector has no sign of its own: it gets the one that agrees with the sum over channels.
    """
    import torch

    # A picture that is not finite must not stop its neighbours; its scores tell of it.
    matrix = features.flatten(2).transpose(1, 2).nan_to_num(0.0, 0.0, 0.0)
    scale = matrix.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    matrix = matrix / scale
    positions, channels = matrix.shape[1:]
    # Of the two Gram matrices, which share their spectrum, the smaller one.
    if channels <= positions:
        vector = torch.linalg.eigh(matrix.transpose(1, 2) @ matrix).eigenvectors[..., -1:]
        first = matrix @ vector
    else:
        values, vectors = torch.linalg.eigh(matrix @ matrix.transpose(1, 2))
        first = vectors[..., -1:] * values[:, -1:, None].clamp_min(0).sqrt()
    agreement = (first * matrix.sum(dim=2, keepdim=True)).sum(dim=1, keepdim=True)
    signed = first * torch.where(agreement < 0, -1.0, 1.0) * scale
    maps: Tensor = signed.reshape(-1, *features.shape[2:])
    return maps
