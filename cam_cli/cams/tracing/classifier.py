"""The linear head of a network that ends in global average pooling: what CAM takes its weights from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import CamxError


@dataclass(frozen=True)
class Classifier:
    """`weight` K×C and `bias` K (or None), float32, with logits = mean over positions of weight·features + bias.

    `rectified`: a ReLU stands between the 1×1 convolution and the pooling (SqueezeNet), so the map of a
    class is ReLU(weight·features + bias) itself.
    """

    weight: Tensor
    bias: Tensor | None
    rectified: bool = False

    def class_maps(self, features: Tensor, classes: Tensor) -> Tensor:
        """Maps B×T×h×w of B×T classes from features B×C×h×w."""
        # Also after a forward in half precision: its rounding would not make a map exact.
        with torch.autocast(features.device.type, enabled=False):
            maps = torch.einsum("btc,bchw->bthw", self.weight[classes], features)
        if not self.rectified:
            return maps
        return (maps + self.bias[classes][..., None, None] if self.bias is not None else maps).clamp_min(0)

    def logits(self, features: Tensor) -> Tensor:
        """B×K class scores, as the network computes them if this really is its head."""
        if self.rectified:
            return nn.functional.conv2d(features, self.weight[..., None, None], self.bias).clamp_min(0).mean((2, 3))
        return nn.functional.linear(features.mean((2, 3)), self.weight, self.bias)


def find_classifier(module: nn.Module, features: Tensor, logits: Tensor) -> Classifier:
    """The classifier that maps `features` (B×C×h×w, of some pictures) to `logits` (B×K) through average pooling.

    Proved by arithmetic, not by names: only a weight that reproduces the logits is taken.
    Raises `CamxError` if the network has other layers between the target layer and its scores.
    """
    channels = features.shape[1]
    for layer in reversed(list(module.modules())):
        if not isinstance(layer, (nn.Linear, nn.Conv2d)) or layer.weight.shape[1] != channels:
            continue
        if layer.weight.numel() != layer.weight.shape[0] * channels:
            continue
        weight = _two_sided(layer.weight.detach().float().reshape(-1, channels))
        bias = None if layer.bias is None else _two_sided(layer.bias.detach().float())
        if len(weight) != logits.shape[1]:
            continue
        for rectified in (False, True):
            candidate = Classifier(weight, bias, rectified)
            if torch.allclose(candidate.logits(features), logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
                return candidate
    raise CamxError(
        "The method cam needs global average pooling and one linear layer after the target layer, which this network "
        "does not have there. Use --method gradcam, or give it such a head with `camx train-gap`."
    )


def _two_sided(rows: Tensor) -> Tensor:
    """The rows per class; that of a single logit as those of its two classes (see `Trace.logits`)."""
    return torch.cat([-rows / 2, rows / 2]) if len(rows) == 1 else rows
