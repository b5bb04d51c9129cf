"""Maps from the first principal component of an image's activations: B×T×h×w."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import CamxError
from ..tracing.trace import Trace
from .method import method

#: The most positions that kernel PCA compares with each other: 48×48, whose eigenvectors take seconds.
MOST_POSITIONS = 48 * 48


def needs_few_positions(trace: Trace) -> None:
    """Raises `CamxError` for a layer with more than `MOST_POSITIONS`."""
    for layer in trace.replay.layers:
        layout = layer.layout
        if layout.height * layout.width > MOST_POSITIONS:
            raise CamxError(
                f"`methods=kpcacam` compares every position of the layer with every other: {layer.name!r} has "
                f"{layout.height}×{layout.width}, more than {MOST_POSITIONS:,} positions.",
                "Give a later layer, or use `methods=eigencam`.",
                field="methods",
            )


@method(
    "eigencam",
    summary="first principal component of the activations; no class",
    paper="Muhammad and Yeasin 2020",
    equation="A·v₁, A = UΣVᵀ",
    gradients=False,
    per="image",
    signed=False,
)
def eigencam(trace: Trace, classes: Tensor) -> Tensor:
    """A·v₁, the activations along their first right singular vector (Muhammad and Yeasin 2020); its sum is positive."""
    first = _first_component(trace.features)
    # No class gives it a sign, and large negative channels of a transformer would make the whole map negative.
    first = first * torch.where(first.sum((1, 2), keepdim=True) < 0, -1.0, 1.0)
    return first[:, None].expand(-1, classes.shape[1], -1, -1)


@method(
    "eigengradcam",
    summary="first principal component of gradient times activation",
    paper="Gildenblat 2021 (pytorch-grad-cam)",
    equation="M·v₁, M = g⊙A less its mean over positions = UΣVᵀ",
)
def eigengradcam(trace: Trace, classes: Tensor) -> Tensor:
    """M·v₁, M = g ⊙ A less its mean over positions, along its first right singular vector (pytorch-grad-cam).

    Without subtracting the mean, the first component of a transformer would be that mean, of one sign everywhere.
    """
    products = trace.gradients(classes) * trace.features[:, None]
    products = products - products.mean((3, 4), keepdim=True)
    return _first_component(products.flatten(0, 1)).view(*classes.shape, *trace.features.shape[2:])


@method(
    "kpcacam",
    summary="first component of a kernel PCA of the activations; no class",
    paper="Karmani et al. 2024",
    equation="√λ₁·u₁ of K_ij = tanh(a_i·a_j/C + 1), centred; a = A less its mean over positions",
    gradients=False,
    per="image",
    signed=False,
    check=needs_few_positions,
)
def kpcacam(trace: Trace, classes: Tensor) -> Tensor:
    """Positions along the first component of a kernel PCA with the sigmoid kernel (Karmani et al. 2024).

    The kernel and its two numbers, 1/C and 1, are those of pytorch-grad-cam. The position that stands out most is
    positive: a centred component sums to zero, and no class gives it a sign.
    """
    # One image at a time: a kernel has as many numbers as there are pairs of positions.
    first = torch.stack([_kernel_component(one) for one in _positions(trace.features)])
    maps = first.view(len(first), 1, *trace.features.shape[2:])
    return _largest_positive(maps).expand(-1, classes.shape[1], -1, -1)


def _kernel_component(matrix: Tensor) -> Tensor:
    """Returns the first component of a kernel PCA of a matrix, positions × channels, at each position."""
    matrix = matrix - matrix.mean(dim=0)
    slope = (matrix @ matrix.T / matrix.shape[1]).tanh()
    # tanh(t + 1) − tanh(1): the centring removes the constant, and without it small products keep their digits.
    one = math.tanh(1.0)
    kernel = slope * (1 - one**2) / (1 + one * slope)
    kernel = kernel - kernel.mean(dim=0)
    kernel = kernel - kernel.mean(dim=1, keepdim=True)
    scale = kernel.abs().max().clamp_min(1e-30)
    values, vectors = torch.linalg.eigh(kernel / scale)
    first: Tensor = vectors[:, -1] * (values[-1].clamp_min(0) * scale).sqrt()
    return first


@method(
    "segeigencam",
    summary="first principal component of activations by gradient strength; for segmentation",
    paper="Chung and Ying 2025",
    equation="M·v₁, M = |g|⊙A less its mean over positions = UΣVᵀ; largest value positive",
    signed=False,
)
def segeigencam(trace: Trace, classes: Tensor) -> Tensor:
    """M·v₁, M = |g| ⊙ A less its mean over positions, its largest value made positive (Chung and Ying 2025, eq. 10–13).

    The strength of a gradient is the same for a class and against it.
    """
    products = trace.gradients(classes).abs() * trace.features[:, None]
    products = products - products.mean((3, 4), keepdim=True)
    maps = _first_component(products.flatten(0, 1)).view(*classes.shape, *trace.features.shape[2:])
    return _largest_positive(maps)


def _largest_positive(maps: Tensor) -> Tensor:
    """Returns maps B×T×h×w with the sign that makes the value of the largest magnitude positive."""
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return maps * torch.where(-low > high, -1.0, 1.0)


def _positions(features: Tensor) -> Tensor:
    """Returns features N×C×h×w as matrices N×(h·w)×C, with 0 for values that are not finite.

    An image that is not finite must not stop its neighbours; its scores are not finite either, and are reported.
    """
    return features.flatten(2).transpose(1, 2).nan_to_num(0.0, 0.0, 0.0)


def _first_component(features: Tensor) -> Tensor:
    """Projects features N×C×h×w, as positions × channels, on their first right singular vector: N×h×w.

    A singular vector has no sign of its own: it gets the one that agrees with the sum over channels.
    """
    matrix = _positions(features)
    scale = matrix.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    matrix = matrix / scale
    positions, channels = matrix.shape[1:]
    # The smaller one of the two Gram matrices, which share their spectrum.
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
