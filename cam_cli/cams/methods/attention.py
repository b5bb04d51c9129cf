"""Maps from the attention of a transformer, followed through its layers: B×T×h×w over the patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..tracing.attention import Attention
    from ..tracing.trace import Trace


def rollout(trace: Trace, classes: Tensor) -> Tensor:
    """Π_l (½ I + ½ mean over heads of A_l), the row that the head reads (Abnar and Zuidema 2020)."""
    import torch

    attention = _attention(trace)
    tokens = attention.matrices[0].shape[-1]
    identity = torch.eye(tokens, device=attention.matrices[0].device)
    total = identity.expand(len(attention.matrices[0]), -1, -1)
    for matrix in attention.matrices:
        total = ((identity + matrix.mean(dim=1)) / 2) @ total
    return attention.patches(attention.head_row(total))[:, None].expand(-1, classes.shape[1], -1, -1)


def attention_gradient(trace: Trace, classes: Tensor) -> Tensor:
    """R ← R + Ā_l·R with Ā = mean over heads of ReLU(∇A ⊙ A), from R = I (Chefer et al. 2021, for ViT)."""
    import torch

    attention = _attention(trace)
    tokens = attention.matrices[0].shape[-1]
    maps = []
    for column in classes.unbind(1):
        layers = range(len(attention.matrices))
        gradients = attention.gradients(attention.scores, column, trace.sign, layers)
        relevance = torch.eye(tokens, device=column.device).expand(len(column), -1, -1)
        for gradient, matrix in zip(gradients, attention.matrices):
            relevance = relevance + (gradient * matrix).clamp_min(0).mean(dim=1) @ relevance
        maps.append(attention.patches(attention.head_row(relevance)))
    return torch.stack(maps, dim=1)


def legrad(trace: Trace, classes: Tensor) -> Tensor:
    """Mean over layers l, heads and queries of ReLU(∂s_l/∂A_l), s_l the score of layer l (Bousselham et al. 2025).

    Less its minimum over the picture, as in the paper.
    """
    import torch

    from ..tracing.attention import scores_after

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


def needs_attention(trace: Trace) -> None:
    """Raise `CamxError` for a network without attention over all tokens."""
    _attention(trace)


def needs_blocks(trace: Trace) -> None:
    """The same, and for a network whose blocks, with one attention each, do not stand in one row."""
    from ...errors import CamxError

    if not _attention(trace).blocks:
        raise CamxError(
            f"{type(trace.replay.module).__name__} does not have one attention per block in a single row of blocks, "
            "which LeGrad reads its scores from. Use --method attention-gradient."
        )


def _attention(trace: Trace) -> Attention:
    from ..tracing.attention import read_attention

    with trace.replay.autocast():
        return read_attention(trace.replay.module, trace.replay.inputs, trace.layer.layout)
