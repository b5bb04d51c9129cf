"""Functions that torch computes in one piece, as separate operations: normalisations and multi-head attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def layer_norm(
    inputs: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_switches: Any,
) -> Tensor:
    """Replaces `torch.nn.functional.layer_norm`; the deviation is a constant of the graph (Ali et al. 2022)."""
    normed = _standardised(inputs, tuple(range(-len(normalized_shape), 0)), eps)
    return _affine(normed, weight, bias, inputs)


def group_norm(
    inputs: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_switches: Any,
) -> Tensor:
    """Replaces `torch.nn.functional.group_norm`; the deviation is a constant of the graph."""
    normed = _standardised(inputs.reshape(len(inputs), num_groups, -1), (-1,), eps).reshape(inputs.shape)
    sides = (-1, *[1] * (inputs.dim() - 2))
    per_channel = [one if one is None else one.reshape(sides) for one in (weight, bias)]
    return _affine(normed, per_channel[0], per_channel[1], inputs)


def _standardised(inputs: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    wide = inputs if inputs.dtype == torch.float64 else inputs.float()
    deviation = (wide.detach().var(dim=dims, keepdim=True, unbiased=False) + eps).sqrt()
    return (wide - wide.mean(dim=dims, keepdim=True)) / deviation


def _affine(normed: Tensor, weight: Tensor | None, bias: Tensor | None, inputs: Tensor) -> Tensor:
    scaled = normed if weight is None else normed * weight
    moved = scaled if bias is None else scaled + bias
    # Under autocast the function of torch returns float32, too.
    return moved if torch.is_autocast_enabled(inputs.device.type) else moved.to(inputs.dtype)


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, None] | None:
    """Replaces `torch.nn.functional.multi_head_attention_forward`, whose parameters these are; inputs are L×B×C.

    Returns the output L×B×C and None for the weights; None for arguments that no network of images needs: masks of
    keys, keys and values beside the inputs. Dropout is left out.
    """
    extras = (bias_k, bias_v, key_padding_mask, static_k, static_v)
    if add_zero_attn or any(one is not None for one in extras) or query.dim() != 3:
        return None
    if use_separate_proj_weight:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
    else:
        assert in_proj_weight is not None
        weights = list(in_proj_weight.chunk(3))
    biases: Any = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)

    def heads(inputs: Tensor, weight: Any, bias: Any) -> Tensor:
        """Projects L×B×C to B×heads×L×D."""
        projected = functional.linear(inputs, weight, bias)
        return projected.reshape(inputs.shape[0], inputs.shape[1], num_heads, -1).permute(1, 2, 0, 3)

    q, k, v = (heads(*one) for one in zip((query, key, value), weights, biases))
    if attn_mask is not None and attn_mask.dim() == 3:
        attn_mask = attn_mask.reshape(query.shape[1], num_heads, *attn_mask.shape[1:])
    attended = functional.scaled_dot_product_attention(q, k, v, attn_mask, is_causal=is_causal and attn_mask is None)
    joined = attended.permute(2, 0, 1, 3).reshape(query.shape[0], query.shape[1], -1)
    return functional.linear(joined, out_proj_weight, out_proj_bias), None
