"""Maps from the attention of a transformer, followed through its layers: B×T×h×w over the patches."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import CamxError
from ..tracing.attention import Attention, read_attention, scores_after
from ..tracing.scores import network_name
from ..tracing.trace import Trace
from .method import method


def needs_attention(trace: Trace) -> None:
    """Raises `CamxError` for a network without attention over all tokens."""
    _attention(trace)


def needs_blocks(trace: Trace) -> None:
    """Raises `CamxError` for a network without attention, or without one sequence of blocks with one each."""
    if not _attention(trace).blocks:
        raise CamxError(
            f"{network_name(trace.replay.module)} has no sequence of blocks with one attention each, from which "
            "LeGrad reads its scores. Use `methods=attention-gradient`."
        )


@method(
    "attention-rollout",
    summary="attention multiplied through the layers; no class",
    paper="Abnar and Zuidema 2020",
    equation="Π_l (½I + ½·mean_heads A_l), row that the head reads",
    forwards="1",
    gradients=False,
    works="ViT",
    grid="patches",
    per="image",
    signed=False,
    check=needs_attention,
)
def attention_rollout(trace: Trace, classes: Tensor) -> Tensor:
    """Π_l (½ I + ½ mean over heads of A_l), the row that the head reads (Abnar and Zuidema 2020)."""
    attention = _attention(trace)
    tokens = attention.matrices[0].shape[-1]
    identity = torch.eye(tokens, device=attention.matrices[0].device)
    product = identity.expand(len(attention.matrices[0]), -1, -1)
    for matrix in attention.matrices:
        product = ((identity + matrix.mean(dim=1)) / 2) @ product
    return attention.patches(attention.head_row(product))[:, None].expand(-1, classes.shape[1], -1, -1)


@method(
    "attention-gradient",
    summary="gradient-weighted attention through the layers",
    paper="Chefer et al. 2021",
    equation="R ← R + mean_heads(ReLU(∇A_l⊙A_l))·R, row that the head reads",
    forwards="1",
    works="ViT",
    grid="patches",
    check=needs_attention,
)
def attention_gradient(trace: Trace, classes: Tensor) -> Tensor:
    """R ← R + Ā_l·R with Ā = mean over heads of ReLU(∇A ⊙ A), from R = I (Chefer et al. 2021, for ViT).

    The row is that of R − I: where the head averages tokens, what each token passes to itself is equal everywhere.
    """
    attention = _attention(trace)
    tokens = attention.matrices[0].shape[-1]
    maps = []
    for column in classes.unbind(1):
        layers = range(len(attention.matrices))
        gradients = attention.gradients(attention.scores, column, trace.sign, layers)
        identity = torch.eye(tokens, device=column.device)
        relevance = identity.expand(len(column), -1, -1)
        for gradient, matrix in zip(gradients, attention.matrices):
            relevance = relevance + (gradient * matrix).clamp_min(0).mean(dim=1) @ relevance
        maps.append(attention.patches(attention.head_row(relevance - identity)))
    return torch.stack(maps, dim=1)


@method(
    "legrad",
    summary="sensitivity of the score to the attention of each layer",
    paper="Bousselham et al. 2025",
    equation="mean_l,heads,queries ReLU(∂s_l/∂A_l), less its minimum",
    forwards="1 + L head",
    works="ViT",
    grid="patches",
    check=needs_blocks,
)
def legrad(trace: Trace, classes: Tensor) -> Tensor:
    """Mean over layers l, heads and queries of ReLU(∂s_l/∂A_l), s_l the score of layer l (Bousselham et al. 2025).

    Subtracts the minimum of each map, as in the paper.
    """
    attention = _attention(trace)
    maps = torch.zeros((), device=classes.device)
    for layer in range(len(attention.blocks)):
        with trace.replay.autocast():
            scores = scores_after(trace.replay.module, trace.replay.inputs, attention, layer).float()
        columns = []
        for column in classes.unbind(1):
            (gradient,) = attention.gradients(scores, column, trace.sign, [layer])
            columns.append(attention.patches(gradient.clamp_min(0).mean(dim=(1, 2))))
        maps = maps + torch.stack(columns, dim=1) / len(attention.blocks)
    return maps - maps.amin(dim=(2, 3), keepdim=True)


def _attention(trace: Trace) -> Attention:
    with trace.replay.autocast():
        return read_attention(trace.replay.module, trace.replay.inputs, trace.layer.layout)
