"""A gradient of which only some rows are not zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only


class Rows(Tensor):
    """A tensor that is zero but for a range of positions along one axis; only these are held.

    In memory order any shape is outer×length×inner with the live rows start…start+n of the middle one, so reshaping it
    moves nothing: held is outer×n×inner. Operations without a rule get it with its zeros.
    """

    held: Tensor
    start: int
    length: int

    @staticmethod
    def __new__(cls, values: Tensor, start: int, length: int, shape: Sequence[int]) -> Rows:
        made: Rows = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=values.dtype, device=values.device)
        made.held, made.start, made.length = values, start, length
        return made

    @classmethod
    def along(cls, axis: int, values: Tensor, start: int, length: int) -> Rows:
        """`values` with zeros before and behind them on one axis, which they make `length` long."""
        shape = values.shape
        three = values.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        return cls(three, start, length, (*shape[:axis], length, *shape[axis + 1 :]))

    @property
    def axis(self) -> int | None:
        """The axis of the rows; None where a reshape has hidden it in a longer one."""
        outer = self.held.shape[0]
        for axis, side in enumerate(self.shape):
            if side == self.length and math.prod(self.shape[:axis]) == outer:
                return axis
        return None

    def live(self, axis: int) -> Tensor:
        """The rows that are not zero, in the shape of the whole."""
        return self.held.view(*self.shape[:axis], self.held.shape[1], *self.shape[axis + 1 :])

    def cut(self, other: Tensor, axis: int) -> Tensor:
        """The part of a tensor, broadcast as in arithmetic, that meets the live rows along this axis.

        In memory of its own: kernels of backwards take the strides of their saved tensors for granted.
        """
        own = axis - self.dim() + other.dim()
        if own < 0 or other.shape[own] == 1:
            return other
        return other.narrow(own, self.start, self.held.shape[1]).contiguous()

    def dense(self) -> Tensor:
        """The same with its zeros in memory; from then on it is held so."""
        outer, count, inner = self.held.shape
        if count < self.length:
            whole = self.held.new_zeros(outer, self.length, inner)
            whole.narrow(1, self.start, count).copy_(self.held)
            self.held, self.start = whole, 0
        return self.held.view(self.shape)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        args, kwargs = tree_map_only(Rows, Rows.dense, (args, kwargs or {}))
        return func(*args, **kwargs)
