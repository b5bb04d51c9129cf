"""Rules of a sparse backward for matrix products and fused attention.

A rule takes (operation, arguments, keyword arguments) and returns the result computed from live rows alone, or
NotImplemented where it does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from .sparse_rows import SparseRows

aten = torch.ops.aten


def matrix_product(func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    """`mm` of rows and a matrix: the backward of a linear layer, in which all positions share one axis."""
    rows, matrix = args
    if not isinstance(rows, SparseRows) or isinstance(matrix, SparseRows) or rows.held.shape[2] % rows.shape[1]:
        return NotImplemented
    outer, count, inner = rows.held.shape
    found = func(rows.held.view(-1, rows.shape[1]), matrix)
    width = inner // rows.shape[1] * matrix.shape[1]
    return SparseRows(found.view(outer, count, width), rows.start, rows.length, (rows.shape[0], matrix.shape[1]))


def batched_product(func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    """`bmm` of B×n×m and B×m×k: a sum over the axis of the rows needs the live ones only; other axes keep them."""
    one, two = args
    if isinstance(one, SparseRows) and isinstance(two, SparseRows):
        return NotImplemented
    rows = one if isinstance(one, SparseRows) else two
    axis = rows.axis
    if not axis:
        return NotImplemented
    if (rows is one) == (axis == 2):
        pair = (rows.live(2), rows.cut(two, 1)) if rows is one else (rows.cut(one, 2), rows.live(1))
        return func(*pair)
    found = func(rows.live(axis), two) if rows is one else func(one, rows.live(axis))
    return SparseRows.along(axis, found, rows.start, rows.length)


def fused_attention(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Backward of fused attention: recomputes the softmax of the live queries and differentiates it explicitly."""
    schema = func._schema
    arguments = {argument.name.rstrip("_"): value for argument, value in zip(schema.arguments, args)} | kwargs
    rows, query, key, value = (arguments[name] for name in ("grad_out", "query", "key", "value"))
    bias = arguments.get("attn_mask", arguments.get("attn_bias"))
    learned_bias = bias is not None and any(arguments.get("grad_input_mask", ())[3:])
    causal_or_dropout = arguments.get("is_causal") or arguments.get("dropout_p")
    if not isinstance(rows, SparseRows) or rows.axis != 2:
        return NotImplemented
    if causal_or_dropout or learned_bias or key.shape[1] != query.shape[1]:
        return NotImplemented
    scale = arguments.get("scale") or 1 / math.sqrt(query.shape[-1])
    # In float32 at least, as the fused kernels do.
    wide = torch.promote_types(query.dtype, torch.float32)
    live, queries, keys, values = (one.to(wide) for one in (rows.live(2), rows.cut(query, 2), key, value))
    logits = queries @ keys.transpose(-2, -1) * scale
    attention = aten._safe_softmax(logits if bias is None else logits + rows.cut(bias, 2), -1)
    to_attention = live @ values.transpose(-2, -1)
    to_logits = attention * (to_attention - (attention * to_attention).sum(-1, keepdim=True)) * scale
    to_query = SparseRows.along(2, (to_logits @ keys).to(query.dtype), rows.start, rows.length)
    to_key, to_value = to_logits.transpose(-2, -1) @ queries, attention.transpose(-2, -1) @ live
    return (to_query, to_key.to(key.dtype), to_value.to(value.dtype), None)[: len(schema.returns)]
