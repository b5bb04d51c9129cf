"""Maps of relevance on the pixels: the score of a class, propagated layer by layer to the image."""

from __future__ import annotations

from torch import Tensor

from ...errors import CamxError
from ..tracing.relevance import Composite, RelevanceMode
from ..tracing.relevance_rules import gamma, z_plus
from ..tracing.scores import network_name
from ..tracing.trace import Trace
from .method import method

#: The composite EpsilonPlusFlat: the flat rule first, z⁺ in convolutions, ε in dense layers (Kohlbrenner et al. 2020).
CONVOLUTIONAL = Composite(first=None, convolution=z_plus, dense=None, attention=False)
#: γ-rules in linear layers, with the values of the AttnLRP paper for images.
ATTENTIVE = Composite(first=gamma(0.25), convolution=gamma(0.25), dense=gamma(0.05), attention=True)


def needs_rules(trace: Trace) -> None:
    """Raises `CamxError` for a network with attention, or with a function that has no rule."""
    _relevance(CONVOLUTIONAL, trace, trace.logits.argmax(1, keepdim=True))


def needs_products(trace: Trace) -> None:
    """Raises `CamxError` for a network without attention, or with a function that has no rule."""
    modes = _relevance(ATTENTIVE, trace, trace.logits.argmax(1, keepdim=True))[1]
    if not any(mode.attentions for mode in modes):
        raise CamxError(
            f"{network_name(trace.replay.module)} computes no attention, for which AttnLRP has its rules.",
            "Use `methods=lrp`.",
            field="methods",
        )


@method(
    "lrp",
    summary="relevance of the pixels, propagated from the score layer by layer",
    paper="Bach et al. 2015, Kohlbrenner et al. 2020",
    equation="R_i = Σ_j (x_i·w_ij)⁺ / (Σ_i (x_i·w_ij)⁺ + b_j⁺) · R_j in convolutions, R = y_c at the score",
    forwards="1",
    works="CNN",
    grid="pixels",
    reads_layer=False,
    check=needs_rules,
)
def lrp(trace: Trace, classes: Tensor) -> Tensor:
    """Layer-wise relevance propagation by the composite EpsilonPlusFlat, summed over colours.

    The map sums to the score minus the share of the biases.
    """
    return _relevance(CONVOLUTIONAL, trace, classes)[0]


@method(
    "attnlrp",
    summary="relevance of the pixels, propagated through attention too",
    paper="Achtibat et al. 2024",
    equation="γ-rule in linear layers; of a softmax s: x_i·(R_i − s_i·Σ_j R_j); of a product: R/2 to each factor",
    forwards="1",
    works="ViT",
    grid="pixels",
    reads_layer=False,
    check=needs_products,
)
def attnlrp(trace: Trace, classes: Tensor) -> Tensor:
    """Layer-wise relevance propagation through attention (Achtibat et al. 2024), summed over colours."""
    return _relevance(ATTENTIVE, trace, classes)[0]


def _relevance(composite: Composite, trace: Trace, classes: Tensor) -> tuple[Tensor, list[RelevanceMode]]:
    """Returns the relevance B×T×H×W of the pixels, and the modes of all forwards."""
    replay, modes = trace.replay, list[RelevanceMode]()

    def new_mode() -> RelevanceMode:
        modes.append(RelevanceMode(composite, network_name(replay.module)))
        return modes[-1]

    return replay.gradients(replay.inputs, classes, trace.sign, new_mode).sum(dim=2), modes
