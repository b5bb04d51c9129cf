"""Forwards of a transformer on some of its patch tokens, chosen in front of its first block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...models.hooks import answering
from .attention import Attention
from .network_state import undisturbed
from .scores import scores_of, two_sided


def scores_of_tokens(module: nn.Module, picture: Tensor, attention: Attention, tokens: Tensor) -> Tensor:
    """Returns the scores n×K of one image 1×C×H×W for n choices of k patch tokens, the only ones that the blocks get.

    tokens: n×k int64, indices of patches row by row. Prefix and suffix tokens always stay. A network that needs all of
    its tokens raises an error of its own.
    """
    layout, first = attention.layout, attention.blocks[0]
    count, patches = len(tokens), layout.height * layout.width
    device = tokens.device
    before = torch.arange(layout.prefix, device=device).expand(count, -1)
    after = torch.arange(layout.suffix, device=device).expand(count, -1) + layout.prefix + patches
    kept = torch.cat([before, tokens + layout.prefix, after], dim=1)
    forward = first.forward

    def forward_chosen(values: Tensor, *args: Any, **kwargs: Any) -> Any:
        rows = values if layout.kind == "NLC" else values.transpose(0, 1)
        chosen = rows.gather(1, kept[..., None].expand(-1, -1, rows.shape[2]))
        return forward(chosen if layout.kind == "NLC" else chosen.transpose(0, 1), *args, **kwargs)

    with undisturbed(module), torch.no_grad(), answering({first: forward_chosen}):
        return two_sided(scores_of(module(picture.expand(count, -1, -1, -1))), module)
