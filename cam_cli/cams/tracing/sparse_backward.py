"""The backward of a head without the work that changes nothing: on rows of zeros, and on positions that are averaged.

A mode of torch sees the operations of the backward while it runs. The forward knows nothing of it.
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
from .sparse_rows import Rows
from .sparse_rules import by_rows, only_casts

aten = torch.ops.aten

#: Nodes that are made of operations which a mode sees. What a network brings along itself may read memory directly.
_SEEN = re.compile(r"\w+Backward\d+|.*AccumulateGrad")
#: Nodes at which rows begin; without one of them there is nothing to save.
_BEGINS = re.compile(r"(Select|Slice)Backward\d+")


class LazyMatmul(Tensor):
    """A tensor …×C that is `left` (…×K) times `right` (K×C), multiplied when it is used."""

    left: Tensor
    right: Tensor

    @staticmethod
    def __new__(cls, left: Tensor, right: Tensor, dtype: torch.dtype) -> LazyMatmul:
        shape = (*left.shape[:-1], right.shape[1])
        made: LazyMatmul = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=left.device)
        # The weights may be parameters; nothing of this is to be differentiated again.
        made.left, made.right = left.detach(), right.detach()
        return made

    def dense(self) -> Tensor:
        """The product in memory."""
        found = self.left.flatten(0, -2) @ self.right
        return found.view(self.shape).to(self.dtype)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        args, kwargs = tree_map_only(cls, cls.dense, (args, kwargs or {}))
        return func(*args, **kwargs)


class _Lean(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps rows of zeros out of the operations, and the last matrix product until it is known what for."""

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and isinstance(args[0], LazyMatmul):
            kept = _kept(func, args[0], args[1:], kwargs)
            if kept is not None:
                return kept
        args, kwargs = tree_map_only(LazyMatmul, LazyMatmul.dense, (args, kwargs))
        found = by_rows(func, args, kwargs)
        if found is not NotImplemented:
            return found
        args, kwargs = tree_map_only(Rows, Rows.dense, (args, kwargs))
        if func is aten.mm.default:
            return LazyMatmul(args[0], args[1], args[0].dtype)
        return func(*args, **kwargs)


def _kept(func: Any, product: LazyMatmul, args: Sequence[Any], kwargs: dict[str, Any]) -> LazyMatmul | None:
    """The same product after an operation that only gives it another shape or precision."""
    if func is aten.view.default and args[0] and args[0][-1] == product.right.shape[1]:
        return LazyMatmul(product.left.view(*args[0][:-1], product.right.shape[0]), product.right, product.dtype)
    if func is aten._to_copy.default and only_casts(product, kwargs):
        return LazyMatmul(product.left, product.right, kwargs["dtype"])
    return None


def sparse_backward(scores: Tensor) -> AbstractContextManager[object]:
    """The context for differentiating `scores` once: gradients equal those without it up to rounding.

    They may come as `LazyMatmul`, for `whole` and `mean_over_grid` to read. A graph that takes nothing out of a longer
    tensor is differentiated as it is, and so is one with functions of the network's own.
    """
    names = [node.name() for node in topological(scores.grad_fn)]
    if not (all(map(_SEEN.fullmatch, names)) and any(map(_BEGINS.fullmatch, names))):
        return contextlib.nullcontext()
    mode: AbstractContextManager[object] = _Lean()  # type: ignore[no-untyped-call]
    return mode


def whole(gradient: Tensor) -> Tensor:
    """A gradient as a tensor in memory."""
    return gradient.dense() if isinstance(gradient, (LazyMatmul, Rows)) else gradient


def mean_over_grid(gradient: Tensor, layout: Layout) -> Tensor:
    """The mean of a gradient over the positions of its map, B×C float32.

    Before a linear layer that works on each position it is the mean behind it, times the weights.
    """
    if isinstance(gradient, LazyMatmul) and layout.kind in ("NLC", "LNC", "NHWC"):
        behind = layout._replace(channels=gradient.left.shape[-1]).to_nchw(gradient.left)
        return behind.mean(dim=(-2, -1), dtype=torch.float32) @ gradient.right.float()
    return layout.to_nchw(whole(gradient)).float().mean(dim=(-2, -1))
