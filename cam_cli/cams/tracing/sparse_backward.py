"""The backward of a head without the work that changes nothing: on rows of zeros, and on positions that are averaged.

A torch dispatch mode intercepts the operations of the backward while it runs. The forward is not involved.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ...models.layouts import Layout
from .autograd_graph import topological
from .sparse_rows import SparseRows
from .sparse_rules import apply_rule, only_casts

aten = torch.ops.aten

#: Nodes made of operations that a dispatch mode intercepts. Functions of the network's own may read memory directly.
_INTERCEPTED = re.compile(r"\w+Backward\d+|.*AccumulateGrad")
#: Nodes at which sparse rows begin; without one of them there is nothing to save.
_BEGINNING = re.compile(r"(Select|Slice)Backward\d+")


class LazyMatmul(Tensor):
    """A tensor …×C that is `left` (…×K) times `right` (K×C), multiplied when it is used."""

    left: Tensor
    right: Tensor

    @staticmethod
    def __new__(cls, left: Tensor, right: Tensor, dtype: torch.dtype) -> LazyMatmul:
        shape = (*left.shape[:-1], right.shape[1])
        product: LazyMatmul = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=left.device)
        # The weights may be parameters; nothing of this is to be differentiated again.
        product.left, product.right = left.detach(), right.detach()
        return product

    def dense(self) -> Tensor:
        """Returns the product in memory."""
        product = self.left.flatten(0, -2) @ self.right
        return product.view(self.shape).to(self.dtype)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        args, kwargs = tree_map_only(cls, cls.dense, (args, kwargs or {}))
        return func(*args, **kwargs)


class _SparseBackwardMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, keeps rows of zeros out of operations and leaves each matrix product open until it is used."""

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and isinstance(args[0], LazyMatmul):
            lazy = _still_lazy(func, args[0], args[1:], kwargs)
            if lazy is not None:
                return lazy
        args, kwargs = tree_map_only(LazyMatmul, LazyMatmul.dense, (args, kwargs))
        sparse = apply_rule(func, args, kwargs)
        if sparse is not NotImplemented:
            return sparse
        args, kwargs = tree_map_only(SparseRows, SparseRows.dense, (args, kwargs))
        if func is aten.mm.default:
            return LazyMatmul(args[0], args[1], args[0].dtype)
        return func(*args, **kwargs)


def _still_lazy(func: Any, product: LazyMatmul, args: Sequence[Any], kwargs: dict[str, Any]) -> LazyMatmul | None:
    """The open product after an operation that only changes its shape or precision; None after any other."""
    if func is aten.view.default and args[0] and args[0][-1] == product.right.shape[1]:
        return LazyMatmul(product.left.view(*args[0][:-1], product.right.shape[0]), product.right, product.dtype)
    if func is aten._to_copy.default and only_casts(product, kwargs):
        return LazyMatmul(product.left, product.right, kwargs["dtype"])
    return None


def sparse_backward(scores: Tensor) -> AbstractContextManager[object]:
    """A context for differentiating `scores` once: gradients equal those without it up to rounding.

    They may be `LazyMatmul` or `SparseRows`, for `materialise` and `mean_over_grid` to read. A graph that takes nothing
    out of a longer tensor is differentiated as it is, and so is one with functions of the network's own.
    """
    names = [node.name() for node in topological(scores.grad_fn)]
    if not (all(map(_INTERCEPTED.fullmatch, names)) and any(map(_BEGINNING.fullmatch, names))):
        return contextlib.nullcontext()
    mode: AbstractContextManager[object] = _SparseBackwardMode()  # type: ignore[no-untyped-call]
    return mode


def materialise(gradient: Tensor) -> Tensor:
    """Returns a gradient of `sparse_backward` as an ordinary tensor."""
    return gradient.dense() if isinstance(gradient, (LazyMatmul, SparseRows)) else gradient


def mean_over_grid(gradient: Tensor, layout: Layout) -> Tensor:
    """Returns the mean of a gradient over the positions of its map, B×C float32.

    In front of a linear layer that works on each position this is the mean behind the layer, times its weights.
    """
    if isinstance(gradient, LazyMatmul) and layout.kind in ("NLC", "LNC", "NHWC"):
        behind = layout._replace(channels=gradient.left.shape[-1]).to_nchw(gradient.left)
        return behind.mean(dim=(-2, -1), dtype=torch.float32) @ gradient.right.float()
    return layout.to_nchw(materialise(gradient)).float().mean(dim=(-2, -1))
