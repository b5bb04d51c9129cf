"""The methods: one function each, from the trace of a forward to maps of any sign and scale.

Importing this module does not import torch, so that `--help` can list the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .cut import Trace


@dataclass(frozen=True)
class Method:
    """`maps(trace, classes)`: B×T×h×w for B×T class indices. `needs_classifier`: only for GAP + linear heads."""

    maps: Callable[[Trace, Tensor], Tensor]
    summary: str
    paper: str
    needs_classifier: bool = False


def gradcam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k α_k A_k with α_k the mean of ∂y_c/∂A_k over positions (Selvaraju et al. 2017, eq. 1 and 2).

    The ReLU of eq. 2 comes with the normalisation, so that evidence against a class is not lost here.
    """
    weights = trace.gradients(classes).mean(dim=(-2, -1), keepdim=True)
    return (weights * trace.features[:, None]).sum(dim=2)


def cam(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_k w_k^c A_k with the weights of the linear layer behind average pooling (Zhou et al. 2016, eq. 2)."""
    assert trace.classifier is not None
    return trace.classifier.class_maps(trace.features, classes)


METHODS: dict[str, Method] = {
    "gradcam": Method(gradcam, "gradient-weighted activations; for every network", "Selvaraju et al. 2017"),
    "cam": Method(
        cam, "weights of the classifier; exact, for GAP + linear heads", "Zhou et al. 2016", needs_classifier=True
    ),
}
