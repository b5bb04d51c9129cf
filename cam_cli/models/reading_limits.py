"""Limits of reading one file of weights: what its bytes can ask for is bounded by its size."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

#: Instructions of all pickles in one file. One takes up to 250 bytes of memory; a state dict needs some ten per tensor.
MOST_INSTRUCTIONS = 5_000_000
_SOME_BYTES = 64 * 2**20
_SOME_NUMBERS = 100_000_000


class TooMuch(pickle.UnpicklingError):
    """The file asks for far more than a file of weights of its size needs."""


@dataclass
class ReadingLimits:
    """Remainders of three budgets. Raises `TooMuch` when one is used up.

    instructions: of pickles. copied: bytes that instructions copy. viewed: numbers in the tensors that are made, which
    may share their storages.
    """

    instructions: int
    copied: int
    viewed: int

    @classmethod
    def of(cls, size: int) -> ReadingLimits:
        """The budgets of a file of so many bytes."""
        return cls(MOST_INSTRUCTIONS, 2 * size + _SOME_BYTES, 8 * size + _SOME_NUMBERS)

    def copy(self, count: int) -> None:
        self.copied -= count
        if self.copied < 0:
            raise TooMuch("copies of copies")

    def view(self, count: int) -> None:
        self.viewed -= count
        if self.viewed < 0:
            raise TooMuch("many tensors of the same numbers")
