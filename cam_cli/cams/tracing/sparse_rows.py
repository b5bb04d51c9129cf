"""A gradient with few nonzero rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only


class SparseRows(Tensor):
    """A tensor that is zero except for a range of positions along one axis; only these are in memory.

    In memory order any shape is outer×length×inner, with the live rows start…start+n of the middle axis, so a reshape
    moves nothing: `held` is outer×n×inner. Operations without a rule get the dense tensor.
    """

    held: Tensor
    start: int
    length: int

    @staticmethod
    def __new__(cls, values: Tensor, start: int, length: int, shape: Sequence[int]) -> SparseRows:
        rows: SparseRows = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=values.dtype, device=values.device)
        rows.held, rows.start, rows.length = values, start, length
        return rows

    @classmethod
    def along(cls, axis: int, values: Tensor, start: int, length: int) -> SparseRows:
        """Wraps `values` with zeros before and behind them on one axis, which becomes `length` long."""
        shape = values.shape
        three = values.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        return cls(three, start, length, (*shape[:axis], length, *shape[axis + 1 :]))

    @property
    def axis(self) -> int | None:
        """The axis of the rows; None if a reshape has merged it with others."""
        outer = self.held.shape[0]
        for axis, side in enumerate(self.shape):
            if side == self.length and math.prod(self.shape[:axis]) == outer:
                return axis
        return None

    def live(self, axis: int) -> Tensor:
        """Returns the live rows, in the shape of this tensor except for their axis."""
        return self.held.view(*self.shape[:axis], self.held.shape[1], *self.shape[axis + 1 :])

    def cut(self, other: Tensor, axis: int) -> Tensor:
        """Returns the part of a tensor, broadcast as in arithmetic, at the live rows along this axis.

        It is contiguous: backward kernels assume the strides of their saved tensors.
        """
        own = axis - self.dim() + other.dim()
        if own < 0 or other.shape[own] == 1:
            return other
        return other.narrow(own, self.start, self.held.shape[1]).contiguous()

    def dense(self) -> Tensor:
        """Returns the tensor with its zeros in memory; from then on it is stored so."""
        outer, count, inner = self.held.shape
        if count < self.length:
            padded = self.held.new_zeros(outer, self.length, inner)
            padded.narrow(1, self.start, count).copy_(self.held)
            self.held, self.start = padded, 0
        return self.held.view(self.shape)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        args, kwargs = tree_map_only(SparseRows, SparseRows.dense, (args, kwargs or {}))
        return func(*args, **kwargs)
