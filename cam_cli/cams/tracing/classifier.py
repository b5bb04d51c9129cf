"""The linear head of a network that ends in global average pooling: the source of the weights of CAM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import CamxError


@dataclass(frozen=True)
class Classifier:
    """A linear head: logits = mean over positions of weight·features + bias.

    weight: K×C float32. bias: K float32, or None. rectified: a ReLU stands between the 1×1 convolution and the pooling
    (SqueezeNet), so the map of a class is ReLU(weight·features + bias) itself.
    """

    weight: Tensor
    bias: Tensor | None
    rectified: bool = False

    def class_maps(self, features: Tensor, classes: Tensor) -> Tensor:
        """Returns the maps B×T×h×w float32 of B×T classes from features B×C×h×w (CAM, Zhou et al. 2016)."""
        # In float32 also after a forward in half precision: a rounded map would not be exact.
        with torch.autocast(features.device.type, enabled=False):
            maps = torch.einsum("btc,bchw->bthw", self.weight[classes], features)
        if not self.rectified:
            return maps
        return (maps + self.bias[classes][..., None, None] if self.bias is not None else maps).clamp_min(0)

    def logits(self, features: Tensor) -> Tensor:
        """Returns class scores B×K of features B×C×h×w: those of the network, if this is its head."""
        if self.rectified:
            return nn.functional.conv2d(features, self.weight[..., None, None], self.bias).clamp_min(0).mean((2, 3))
        return nn.functional.linear(features.mean((2, 3)), self.weight, self.bias)


def find_classifier(module: nn.Module, features: Tensor, logits: Tensor) -> Classifier:
    """Finds the classifier that maps `features` B×C×h×w to `logits` B×K through global average pooling.

    Values decide, not names: its logits must equal those of the network. Raises `CamxError` if the network has other
    layers between the target layer and its scores.
    """
    channels = features.shape[1]
    for layer in reversed(list(module.modules())):
        if not isinstance(layer, (nn.Linear, nn.Conv2d)) or layer.weight.shape[1] != channels:
            continue
        if layer.weight.numel() != layer.weight.shape[0] * channels:
            continue
        rows, several = layer.weight.detach().float().reshape(-1, channels), logits.shape[1] > 1
        weight = _two_sided(rows) if several else rows
        bias = None if layer.bias is None else layer.bias.detach().float()
        bias = _two_sided(bias) if bias is not None and several else bias
        if len(weight) != logits.shape[1]:
            continue
        for rectified in (False, True):
            candidate = Classifier(weight, bias, rectified)
            if torch.allclose(candidate.logits(features), logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
                return candidate
    raise CamxError(
        "The method cam needs global average pooling and one linear layer after the target layer, which this network "
        "does not have there. Use `methods=gradcam`, or give it such a head with `camx train-gap`."
    )


def _two_sided(rows: Tensor) -> Tensor:
    """Returns one row of a weight or bias per class; a single logit has two classes (see `Trace.logits`)."""
    return torch.cat([-rows / 2, rows / 2]) if len(rows) == 1 else rows
