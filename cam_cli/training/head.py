"""The trainable head of a frozen backbone: a linear layer, optionally after a 3×3 convolution."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..models.gap import GapNetwork


class FeatureHead(nn.Module):
    """The head of a `GapNetwork` on cached features: pooled B×C, or maps B×C×h×w if it begins with a convolution.

    Pooled features are standardised per channel, so that one learning rate suits every backbone. `write_into` folds
    the standardisation into the linear layer, which then gives equal scores from plain features.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: GapNetwork) -> None:
        super().__init__()
        self.block = copy.deepcopy(network.maps.block)
        self.linear = nn.Linear(network.head.in_features, network.head.out_features)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("mean", torch.zeros(network.head.in_features))
        self.register_buffer("scale", torch.ones(network.head.in_features))

    def forward(self, features: Tensor) -> Tensor:
        pooled = features if self.block is None else self.block(features).mean((2, 3))
        scores: Tensor = self.linear((pooled - self.mean) / self.scale)
        return scores

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Sets the mean and deviation (C each) of the pooled features. Nearly constant channels are not amplified."""
        floor = 0.1 * deviation.square().mean().sqrt() + 1e-12
        self.mean.copy_(mean)
        self.scale.copy_(deviation.clamp_min(float(floor)))

    @torch.no_grad()
    def write_into(self, network: GapNetwork) -> None:
        """Copies the weights into `network`, with the standardisation folded in."""
        if self.block is not None and network.maps.block is not None:
            network.maps.block.load_state_dict(self.block.state_dict())
        weight = self.linear.weight.double() / self.scale.double()
        network.head.weight.copy_(weight)
        network.head.bias.copy_(self.linear.bias.double() - weight @ self.mean.double())
