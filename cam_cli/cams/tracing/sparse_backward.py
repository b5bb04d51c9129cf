"""The backward of a head without computing rows of zeros, and with one row per image where only a mean is read.

A torch dispatch mode intercepts the operations of the backward while it runs. The forward does not use it.
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

#: Nodes of operations that a dispatch mode intercepts. A custom `autograd.Function` may read memory directly.
_INTERCEPTED = re.compile(r"\w+Backward\d+|.*AccumulateGrad")
#: Nodes at which sparse rows begin; without one of them no row is known to be zero.
_BEGINNING = re.compile(r"(Select|Slice)Backward\d+")


class LazyMatmul(Tensor):
    """A tensor …×C that is `left` (…×K) times `right` (K×C), multiplied when it is used."""

    left: Tensor
    right: Tensor

    @staticmethod
    def __new__(cls, left: Tensor, right: Tensor, dtype: torch.dtype) -> LazyMatmul:
        shape = (*left.shape[:-1], right.shape[1])
        product: LazyMatmul = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=left.device)
        # Detached: the weights may be parameters, and this gradient is not differentiated again.
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
    """While active, operations skip rows of zeros, and a matrix product is computed when it is used."""

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
    """Returns the lazy product after an operation that only changes its shape or precision; None after any other."""
    if func is aten.view.default and args[0] and args[0][-1] == product.right.shape[1]:
        return LazyMatmul(product.left.view(*args[0][:-1], product.right.shape[0]), product.right, product.dtype)
    if func is aten._to_copy.default and only_casts(product, kwargs):
        return LazyMatmul(product.left, product.right, kwargs["dtype"])
    return None


def sparse_backward(scores: Tensor) -> AbstractContextManager[object]:
    """Context in which `scores` are differentiated once: gradients equal those without it up to rounding.

    They may be `LazyMatmul` or `SparseRows`, which `materialise` and `mean_over_grid` read. Without an index or a slice
    in the graph, or with a custom `autograd.Function`, the context does nothing.
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

    For a `LazyMatmul` this is the mean of its left factor times the right one: one row per image instead of h·w.
    """
    if isinstance(gradient, LazyMatmul) and layout.kind in ("NLC", "LNC", "NHWC"):
        behind = layout._replace(channels=gradient.left.shape[-1]).to_nchw(gradient.left)
        return behind.mean(dim=(-2, -1), dtype=torch.float32) @ gradient.right.float()
    return layout.to_nchw(materialise(gradient)).float().mean(dim=(-2, -1))
