"""Maps from the first principal component of a picture's activations: B×T×h×w."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import method


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
    # No class gives it a sign, and large negative channels of a transformer would make all of it negative.
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

    With the mean, the first component of a transformer would be that mean, of one sign at every position.
    """
    products = trace.gradients(classes) * trace.features[:, None]
    products = products - products.mean((3, 4), keepdim=True)
    return _first_component(products.flatten(0, 1)).view(*classes.shape, *trace.features.shape[2:])


def _first_component(features: Tensor) -> Tensor:
    """Projects features N×C×h×w, as positions × channels, on their first right singular vector: N×h×w.

    A singular vector has no sign of its own: it gets the one that agrees with the sum over channels.
    """
    # A picture that is not finite must not stop its neighbours; its scores are not finite either, and are reported.
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
