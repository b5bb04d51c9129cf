"""Class scores from whatever a network returns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import CamxError
from ...models.layouts import tensors_in


def scores_of(output: Any) -> Tensor:
    """Finds the class scores B×K in a network's output: a tensor, or the `logits` of a richer object.

    Raises `CamxError` for an output that has no score per image and class.
    """
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if found is None and isinstance(output, dict):
        found = output.get("logits")
    if found is None:
        found = next((tensor for _, tensor in tensors_in(output)), None)
    if found is None or found.dim() < 2 or any(side != 1 for side in found.shape[2:]):
        shape = "nothing" if found is None else f"a tensor of shape {tuple(found.shape)}"
        raise CamxError(f"The network returns {shape}, not one score per image and class. camx explains classifiers.")
    return found.flatten(1)


def two_sided(scores: Tensor) -> Tensor:
    """Returns scores B×K as they are, but a single logit z as the two classes (−z/2, z/2).

    The softmax of these two is 1 − sigmoid(z), sigmoid(z).
    """
    return torch.cat([-scores / 2, scores / 2], dim=1) if scores.shape[1] == 1 else scores
