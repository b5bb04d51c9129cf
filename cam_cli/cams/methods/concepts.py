"""Maps of concepts: parts of an image's activations, found without a class."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tracing.trace import Trace
from .method import Concepts, method

#: Concepts per image, and updates until the factors converge.
CONCEPTS, UPDATES = 4, 200


@method(
    "dff",
    summary="deep feature factorization: four concepts per image, with their classes",
    paper="Collins et al. 2018",
    equation="ReLU(A) ≈ V·W, V, W ≥ 0; the columns of V",
    forwards="1 + 4 head",
    gradients=False,
    per="concept",
    signed=False,
)
def deep_feature_factorization(trace: Trace, _classes: Tensor) -> Concepts:
    """ReLU(A) ≈ V·W with V (h·w×K) and W (K×C) non-negative: V are maps of K concepts (Collins et al. 2018).

    Multiplicative updates (Lee and Seung 1999) start from the singular vectors, so nothing is random. The scores of a
    concept are those of its activations W_k at every position, at their strength at the peak of its map.
    """
    matrix = trace.features.flatten(2).transpose(1, 2).nan_to_num(0.0, 0.0, 0.0).clamp_min(0)
    scale = matrix.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30)
    places, parts = _factors(matrix / scale, CONCEPTS)
    order = (places.sum(dim=1) * parts.sum(dim=2)).argsort(dim=1, descending=True)
    places = places.gather(2, order[:, None].expand_as(places))
    parts = parts.gather(1, order[..., None].expand_as(parts))
    # At the peak of a concept's map, the activations are peak × W_k.
    tokens = parts * places.amax(dim=1)[..., None] * scale
    height, width = trace.features.shape[2:]
    scores = []
    for image, concepts in enumerate(tokens):
        full = concepts[..., None, None].expand(-1, -1, height, width)
        scores.append(trace.head_scores(image, CONCEPTS, lambda part, full=full: full[part]))  # type: ignore[misc]
    return Concepts(places.transpose(1, 2).reshape(len(places), CONCEPTS, height, width), torch.stack(scores))


def _factors(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Factorises a non-negative B×P×C matrix into B×P×K and B×K×C, K = `count`, both non-negative."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    missing = max(0, count - values.shape[1])
    left = torch.nn.functional.pad(left, (0, missing))[..., :count]
    right = torch.nn.functional.pad(right, (0, 0, 0, missing))[:, :count]
    values = torch.nn.functional.pad(values, (0, missing))[:, :count]
    # The sign of the larger part of a pair of singular vectors (Boutsidis and Gallopoulos 2008).
    positive = left.clamp_min(0).norm(dim=1) * right.clamp_min(0).norm(dim=2)
    negative = left.clamp_max(0).norm(dim=1) * right.clamp_max(0).norm(dim=2)
    sign = torch.where(positive >= negative, 1.0, -1.0)
    floor = 1e-6 + matrix.mean(dim=(1, 2), keepdim=True) * 1e-2
    places = (left * sign[:, None]).clamp_min(0) * values.sqrt()[:, None] + floor
    parts = (right * sign[..., None]).clamp_min(0) * values.sqrt()[..., None] + floor
    for _ in range(UPDATES):
        places = places * (matrix @ parts.mT) / (places @ (parts @ parts.mT)).clamp_min(1e-12)
        parts = parts * (places.mT @ matrix) / ((places.mT @ places) @ parts).clamp_min(1e-12)
    return places, parts
