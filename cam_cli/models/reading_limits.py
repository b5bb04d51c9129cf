"""Bounds the work of reading one file of weights by its size."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

#: Most instructions of all pickles in a file. One takes up to 250 bytes of memory; a state dict needs ten per tensor.
MOST_INSTRUCTIONS = 5_000_000
_SOME_BYTES = 64 * 2**20
_SOME_NUMBERS = 100_000_000


class TooMuch(pickle.UnpicklingError):
    """The file demands far more than weights of its size need."""


@dataclass
class ReadingLimits:
    """Three budgets. Raises `TooMuch` when one is exhausted.

    instructions: of pickles. copied: bytes that instructions copy. viewed: numbers in tensors, which may share
    storages.
    """

    instructions: int
    copied: int
    viewed: int

    @classmethod
    def of(cls, size: int) -> ReadingLimits:
        """Budgets of a file of this size."""
        return cls(MOST_INSTRUCTIONS, 2 * size + _SOME_BYTES, 8 * size + _SOME_NUMBERS)

    def copy(self, count: int) -> None:
        self.copied -= count
        if self.copied < 0:
            raise TooMuch("copies of copies")

    def view(self, count: int) -> None:
        self.viewed -= count
        if self.viewed < 0:
            raise TooMuch("many tensors of the same numbers")
