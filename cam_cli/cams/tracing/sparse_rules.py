"""Rules that carry a gradient with few live rows through the operations of a backward.

A head that reads only the class token sends a gradient to one of 197 tokens. Linear layers, normalisations and
activations keep the others zero, and attention only needs the live queries. A rule takes (operation, arguments, keyword
arguments) and returns the result, or NotImplemented where it does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from .sparse_products import batched_product, fused_attention, matrix_product
from .sparse_rows import SparseRows

aten = torch.ops.aten

#: The largest share of live rows that is stored sparsely; above it, dense operations are faster.
_LARGEST_SHARE = 0.5


def apply_rule(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Returns the result of a backward operation, computed from live rows alone; NotImplemented without a rule."""
    rule = _RULES.get(func)
    if rule is None or not (func in _CREATES_ROWS or any(isinstance(one, SparseRows) for one in args)):
        return NotImplemented
    return rule(func, args, kwargs)


def only_casts(tensor: Tensor, kwargs: dict[str, Any]) -> bool:
    """Whether a `_to_copy` with these arguments changes nothing but the precision of the tensor."""
    same = {"device": tensor.device, "layout": torch.strided, "pin_memory": False, "non_blocking": False}
    return "dtype" in kwargs and all(kwargs.get(name) in (None, value) for name, value in same.items())


def _select_backward(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    gradient, sizes, axis, index = args
    axis %= len(sizes)
    if isinstance(gradient, SparseRows) or sizes[axis] * _LARGEST_SHARE < 1:
        return NotImplemented
    return SparseRows.along(axis, gradient.unsqueeze(axis), index % sizes[axis], sizes[axis])


def _slice_backward(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    gradient, sizes, axis, start, _end, step = args
    axis %= len(sizes)
    length, count = sizes[axis], gradient.shape[axis]
    if isinstance(gradient, SparseRows) or step != 1 or not 0 < count <= length * _LARGEST_SHARE:
        return NotImplemented
    return SparseRows.along(axis, gradient, max(0, start + length if start < 0 else start), length)


def _position_by_position(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Operations whose result is zero where the gradient is: their other tensors are cut to the live rows."""
    rows, others = args[0], [one for one in args[1:] if isinstance(one, Tensor)]
    axis = rows.axis if isinstance(rows, SparseRows) else None
    if axis is None or any(isinstance(one, SparseRows) or one.dim() > rows.dim() for one in others):
        return NotImplemented
    cut = [rows.cut(one, axis) if isinstance(one, Tensor) else one for one in args[1:]]
    found = func(rows.live(axis), *cut, **kwargs)
    return tree_map_only(Tensor, lambda one: SparseRows.along(axis, one, rows.start, rows.length), found)


def _normalisation(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Layer and RMS normalisation; arguments: (gradient, input, normalised shape, …, which gradients are wanted)."""
    rows, axis = args[0], args[0].axis if isinstance(args[0], SparseRows) else None
    if axis is None or axis >= rows.dim() - len(args[2]) or any(args[-1][1:]):
        return NotImplemented
    return _position_by_position(func, args, kwargs)


def _softmax(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows, dim = args[0], args[2]
    if not isinstance(rows, SparseRows) or rows.axis == dim % rows.dim():
        return NotImplemented
    return _position_by_position(func, args, kwargs)


def _multiply(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    first, second = args
    return _position_by_position(func, (second, first) if isinstance(second, SparseRows) else args, kwargs)


def _add(_func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    one, two = args
    if kwargs or not (isinstance(one, SparseRows) and isinstance(two, SparseRows)) or one.shape != two.shape:
        return NotImplemented
    if (one.held.shape[0], one.length) != (two.held.shape[0], two.length) or one.dtype != two.dtype:
        return NotImplemented
    start = min(one.start, two.start)
    count = max(each.start + each.held.shape[1] for each in (one, two)) - start
    if count > one.length * _LARGEST_SHARE:
        return NotImplemented
    total = one.held.new_zeros(one.held.shape[0], count, one.held.shape[2])
    for each in (one, two):
        total.narrow(1, each.start - start, each.held.shape[1]).add_(each.held)
    return SparseRows(total, start, one.length, one.shape)


def _reshape(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows = args[0]
    shape = func(torch.empty(rows.shape, device="meta"), *args[1:], **kwargs).shape
    return SparseRows(rows.held, rows.start, rows.length, shape)


def _expand(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    rows, sizes, axis = args[0], list(args[1]), args[0].axis
    if axis is None or len(sizes) != rows.dim() or sizes[axis] not in (-1, rows.length):
        return NotImplemented
    sizes[axis] = -1
    return SparseRows.along(axis, rows.live(axis).expand(sizes), rows.start, rows.length)


def _sum(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Sums over the channels of each position, as in normalisations without a kernel of their own."""
    rows, dims, keeps = (*args, False)[:3]
    if not keeps or not dims or rows.axis in [dim % rows.dim() for dim in dims]:
        return NotImplemented
    return _position_by_position(func, args, kwargs)


def _copy(_func: Any, args: Sequence[Any], _kwargs: dict[str, Any]) -> Any:
    rows = args[0]
    return SparseRows(rows.held, rows.start, rows.length, rows.shape)


def _cast(_func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows = args[0]
    if not only_casts(rows, kwargs):
        return NotImplemented
    return SparseRows(rows.held.to(kwargs["dtype"]), rows.start, rows.length, rows.shape)


def _permute(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    rows, axis = args[0], args[0].axis
    if axis is None:
        return NotImplemented
    order = list(range(rows.dim()))
    if func is aten.permute.default:
        order = [dim % rows.dim() for dim in args[1]]
    else:
        one, two = (0, -1) if func is aten.t.default else args[1:]
        order[one], order[two] = order[two], order[one]
    return SparseRows.along(order.index(axis), rows.live(axis).permute(order), rows.start, rows.length)


_Rule = Callable[[Any, Sequence[Any], dict[str, Any]], Any]
#: By the name of an operation; a version of torch may lack some.
_BY_NAME: dict[str, _Rule] = {
    "select_backward.default": _select_backward,
    "slice_backward.default": _slice_backward,
    "add.Tensor": _add,
    "mul.Tensor": _multiply,
    "mm.default": matrix_product,
    "bmm.default": batched_product,
    "_to_copy.default": _cast,
    "_softmax_backward_data.default": _softmax,
    "native_layer_norm_backward.default": _normalisation,
    "_fused_rms_norm_backward.default": _normalisation,
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
    "view.default": _reshape,
    "_unsafe_view.default": _reshape,
    "unsqueeze.default": _reshape,
    "squeeze.dim": _reshape,
    "expand.default": _expand,
    "sum.dim_IntList": _sum,
    "transpose.int": _permute,
    "permute.default": _permute,
    "t.default": _permute,
    "detach.default": _copy,
    "clone.default": _copy,
    "_scaled_dot_product_flash_attention_for_cpu_backward.default": fused_attention,
    "_scaled_dot_product_flash_attention_backward.default": fused_attention,
    "_scaled_dot_product_efficient_attention_backward.default": fused_attention,
    "_scaled_dot_product_cudnn_attention_backward.default": fused_attention,
}


def _operation(name: str) -> Any:
    packet, overload = name.split(".")
    return getattr(getattr(aten, packet, None), overload, None)


_RULES: dict[Any, _Rule] = {found: rule for name, rule in _BY_NAME.items() if (found := _operation(name)) is not None}
#: Operations that create sparse rows: the gradient of an index or a slice of a longer tensor.
_CREATES_ROWS = (aten.select_backward.default, aten.slice_backward.default)
