"""Concatenated maximum and mean pooling, which gives a head twice the features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d

#: Orders: fastai has the maximum first, timm's `catavgmax` the mean.
ORDERS = ("maxavg", "avgmax")


class ConcatPool(nn.Module):
    """Pools B×C×h×w to B×2C×1×1: maximum and mean over all positions, in one of `ORDERS`."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order

    def forward(self, maps: Tensor) -> Tensor:
        both = [adaptive_max_pool2d(maps, 1), adaptive_avg_pool2d(maps, 1)]
        return torch.cat(both if self.order == "maxavg" else both[::-1], 1)


def with_concat_pool(module: nn.Module, order: str) -> bool:
    """Replaces the last global pooling by a `ConcatPool`. Returns False if the network has no such module."""
    pools = [
        name
        for name, one in module.named_modules()
        if isinstance(one, nn.AdaptiveAvgPool2d) and one.output_size in (1, (1, 1), [1, 1])
    ]
    if pools:
        module.set_submodule(pools[-1], ConcatPool(order))
    return bool(pools)
