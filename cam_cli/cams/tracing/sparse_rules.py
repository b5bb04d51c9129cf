"""What the operations of a backward do with a gradient of which only some rows are not zero.

A class token that is read alone sends a gradient to one of 197 tokens. Linear layers, normalisations and activations
keep the others zero, and attention needs no more than the queries of those that are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from .sparse_rows import Rows

aten = torch.ops.aten

#: Rows are kept apart while they are at most this share of all; above, zeros cost less than the care for them.
_SHARE = 0.5


def by_rows(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The result of an operation of a backward on its live rows alone; NotImplemented where there is no rule."""
    rule = _RULES.get(func)
    if rule is None or not (func in _BEGINNINGS or any(isinstance(one, Rows) for one in args)):
        return NotImplemented
    return rule(func, args, kwargs)


def only_casts(tensor: Tensor, kwargs: dict[str, Any]) -> bool:
    """Whether a copy with these arguments differs from the tensor in its precision alone."""
    same = {"device": tensor.device, "layout": torch.strided, "pin_memory": False, "non_blocking": False}
    return "dtype" in kwargs and all(kwargs.get(name) in (None, value) for name, value in same.items())


def _selected(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    gradient, sizes, axis, index = args
    axis %= len(sizes)
    if isinstance(gradient, Rows) or sizes[axis] * _SHARE < 1:
        return NotImplemented
    return Rows.along(axis, gradient.unsqueeze(axis), index % sizes[axis], sizes[axis])


def _sliced(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    gradient, sizes, axis, start, _end, step = args
    axis %= len(sizes)
    length, count = sizes[axis], gradient.shape[axis]
    if isinstance(gradient, Rows) or step != 1 or not 0 < count <= length * _SHARE:
        return NotImplemented
    return Rows.along(axis, gradient, max(0, start + length if start < 0 else start), length)


def _position_by_position(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Where the gradient is zero the result is: all other tensors are cut to the live rows."""
    rows, others = args[0], [one for one in args[1:] if isinstance(one, Tensor)]
    axis = rows.axis if isinstance(rows, Rows) else None
    if axis is None or any(isinstance(one, Rows) or one.dim() > rows.dim() for one in others):
        return NotImplemented
    cut = [rows.cut(one, axis) if isinstance(one, Tensor) else one for one in args[1:]]
    found = func(rows.live(axis), *cut, **kwargs)
    return tree_map_only(Tensor, lambda one: Rows.along(axis, one, rows.start, rows.length), found)


def _normalised(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Layer and RMS normalisation: (gradient, input, normalised shape, …, which gradients are wanted)."""
    rows, axis = args[0], args[0].axis if isinstance(args[0], Rows) else None
    if axis is None or axis >= rows.dim() - len(args[2]) or any(args[-1][1:]):
        return NotImplemented
    return _position_by_position(func, args, kwargs)


def _softmax(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows, dim = args[0], args[2]
    if not isinstance(rows, Rows) or rows.axis == dim % rows.dim():
        return NotImplemented
    return _position_by_position(func, args, kwargs)


def _multiplied(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    first, second = args
    return _position_by_position(func, (second, first) if isinstance(second, Rows) else args, kwargs)


def _added(_func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    one, two = args
    if kwargs or not (isinstance(one, Rows) and isinstance(two, Rows)) or one.shape != two.shape:
        return NotImplemented
    if (one.held.shape[0], one.length) != (two.held.shape[0], two.length) or one.dtype != two.dtype:
        return NotImplemented
    start = min(one.start, two.start)
    count = max(each.start + each.held.shape[1] for each in (one, two)) - start
    if count > one.length * _SHARE:
        return NotImplemented
    total = one.held.new_zeros(one.held.shape[0], count, one.held.shape[2])
    for each in (one, two):
        total.narrow(1, each.start - start, each.held.shape[1]).add_(each.held)
    return Rows(total, start, one.length, one.shape)


def _reshaped(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows = args[0]
    shape = func(torch.empty(rows.shape, device="meta"), *args[1:], **kwargs).shape
    return Rows(rows.held, rows.start, rows.length, shape)


def _expanded(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    rows, sizes, axis = args[0], list(args[1]), args[0].axis
    if axis is None or len(sizes) != rows.dim() or sizes[axis] not in (-1, rows.length):
        return NotImplemented
    sizes[axis] = -1
    return Rows.along(axis, rows.live(axis).expand(sizes), rows.start, rows.length)


def _summed(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Over the channels of each position, as in the normalisations that have no kernel of their own."""
    rows, dims, keeps = (*args, False)[:3]
    if not keeps or not dims or rows.axis in [dim % rows.dim() for dim in dims]:
        return NotImplemented
    return _position_by_position(func, args, kwargs)


def _kept(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    rows = args[0]
    return Rows(rows.held, rows.start, rows.length, rows.shape)


def _cast(_func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows = args[0]
    if not only_casts(rows, kwargs):
        return NotImplemented
    return Rows(rows.held.to(kwargs["dtype"]), rows.start, rows.length, rows.shape)


def _permuted(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows, axis = args[0], args[0].axis
    if axis is None:
        return NotImplemented
    order = list(range(rows.dim()))
    if func is aten.permute.default:
        order = [dim % rows.dim() for dim in args[1]]
    else:
        one, two = (0, -1) if func is aten.t.default else args[1:]
        order[one], order[two] = order[two], order[one]
    return Rows.along(order.index(axis), rows.live(axis).permute(order), rows.start, rows.length)


def _through_matrix(func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    """Rows × a matrix: the backward of a linear layer, whose input it sees with all positions in one axis."""
    rows, matrix = args
    if not isinstance(rows, Rows) or isinstance(matrix, Rows) or rows.held.shape[2] % rows.shape[1]:
        return NotImplemented
    outer, count, inner = rows.held.shape
    found = func(rows.held.view(-1, rows.shape[1]), matrix)
    width = inner // rows.shape[1] * matrix.shape[1]
    return Rows(found.view(outer, count, width), rows.start, rows.length, (rows.shape[0], matrix.shape[1]))


def _batched(func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    """B×n×m by B×m×k: what is summed over needs the live rows only, other axes keep them."""
    one, two = args
    if isinstance(one, Rows) and isinstance(two, Rows):
        return NotImplemented
    rows = one if isinstance(one, Rows) else two
    axis = rows.axis
    if not axis:
        return NotImplemented
    if (rows is one) == (axis == 2):
        parts = (rows.live(2), rows.cut(two, 1)) if rows is one else (rows.cut(one, 2), rows.live(1))
        return func(*parts)
    found = func(rows.live(axis), two) if rows is one else func(one, rows.live(axis))
    return Rows.along(axis, found, rows.start, rows.length)


def _attended(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Fused attention: that of the live queries is computed again, and differentiated in the open."""
    given = {argument.name.rstrip("_"): value for argument, value in zip(func._schema.arguments, args)} | kwargs
    rows, query, key, value = (given[name] for name in ("grad_out", "query", "key", "value"))
    bias = given.get("attn_mask", given.get("attn_bias"))
    learned = bias is not None and any(given.get("grad_input_mask", ())[3:])
    other = given.get("is_causal") or given.get("dropout_p") or learned or key.shape[1] != query.shape[1]
    if not isinstance(rows, Rows) or rows.axis != 2 or other:
        return NotImplemented
    scale = given.get("scale") or 1 / math.sqrt(query.shape[-1])
    # As the fused kernels do, with more digits than half precision has.
    wide = torch.promote_types(query.dtype, torch.float32)
    live, seen, keys, values = (one.to(wide) for one in (rows.live(2), rows.cut(query, 2), key, value))
    logits = seen @ keys.transpose(-2, -1) * scale
    attention = aten._safe_softmax(logits if bias is None else logits + rows.cut(bias, 2), -1)
    pull = live @ values.transpose(-2, -1)
    slope = attention * (pull - (attention * pull).sum(-1, keepdim=True)) * scale
    to_query = Rows.along(2, (slope @ keys).to(query.dtype), rows.start, rows.length)
    to_key, to_value = slope.transpose(-2, -1) @ seen, attention.transpose(-2, -1) @ live
    return (to_query, to_key.to(key.dtype), to_value.to(value.dtype), None)[: len(func._schema.returns)]


_Rule = Callable[[Any, Sequence[Any], dict[str, Any]], Any]
#: By the name of an operation; a version of torch may lack one.
_BY_NAME: dict[str, _Rule] = {
    "select_backward.default": _selected,
    "slice_backward.default": _sliced,
    "add.Tensor": _added,
    "mul.Tensor": _multiplied,
    "mm.default": _through_matrix,
    "bmm.default": _batched,
    "_to_copy.default": _cast,
    "_softmax_backward_data.default": _softmax,
    "native_layer_norm_backward.default": _normalised,
    "_fused_rms_norm_backward.default": _normalised,
    "gelu_backward.default": _position_by_position,
    "silu_backward.default": _position_by_position,
    "threshold_backward.default": _position_by_position,
    "hardswish_backward.default": _position_by_position,
    "tanh_backward.default": _position_by_position,
    "sigmoid_backward.default": _position_by_position,
    "mul.Scalar": _position_by_position,
    "div.Tensor": _position_by_position,
    "div.Scalar": _position_by_position,
    "neg.default": _position_by_position,
    "view.default": _reshaped,
    "_unsafe_view.default": _reshaped,
    "unsqueeze.default": _reshaped,
    "squeeze.dim": _reshaped,
    "expand.default": _expanded,
    "sum.dim_IntList": _summed,
    "transpose.int": _permuted,
    "permute.default": _permuted,
    "t.default": _permuted,
    "detach.default": _kept,
    "clone.default": _kept,
    "_scaled_dot_product_flash_attention_for_cpu_backward.default": _attended,
    "_scaled_dot_product_flash_attention_backward.default": _attended,
    "_scaled_dot_product_efficient_attention_backward.default": _attended,
    "_scaled_dot_product_cudnn_attention_backward.default": _attended,
}


def _operation(name: str) -> Any:
    packet, overload = name.split(".")
    return getattr(getattr(aten, packet, None), overload, None)


_RULES: dict[Any, _Rule] = {found: rule for name, rule in _BY_NAME.items() if (found := _operation(name)) is not None}
#: Where rows begin: the gradient of what was taken out of a longer tensor.
_BEGINNINGS = (aten.select_backward.default, aten.slice_backward.default)
