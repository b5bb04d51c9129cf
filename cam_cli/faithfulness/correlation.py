"""Pearson and Spearman correlation of maps."""

from __future__ import annotations

import torch
from torch import Tensor


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of maps N×h×w with others: N; NaN if one of them is constant."""
    a, b = (one.double().flatten(1) for one in (a, b))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    size = (a.square().sum(1) * b.square().sum(1)).sqrt()
    return torch.where(size > 0, (a * b).sum(1) / size.clamp_min(1e-300), torch.nan)


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of the ranks of values: N. Equal values share the mean of their ranks."""
    return pearson(*(_mean_ranks(one.flatten(1)) for one in (a, b)))


def _mean_ranks(values: Tensor) -> Tensor:
    """Ranks N×n×1 of values N×n."""
    ordered = values.sort(1).values.contiguous()
    below = torch.searchsorted(ordered, values.contiguous(), side="left")
    through = torch.searchsorted(ordered, values.contiguous(), side="right")
    return ((below + through - 1).double() / 2)[..., None]
