"""Encodes and decodes COCO's run lengths of masks: column by column, alternating runs that begin with 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

#: First letter of the compressed form. Each letter holds 5 bits and whether more follow; the last one holds the sign.
_ZERO, _VALUE, _SIGN, _MORE = ord("0"), 0x1F, 0x10, 0x20
#: Longest run in letters: enough for 2⁶⁰ pixels.
_MOST_LETTERS = 12


def counts_of(text: str) -> list[int]:
    """Decompresses COCO's text into run lengths. Raises `ValueError` for any other text."""
    counts: list[int] = []
    value = shift = letters = 0
    for letter in text:
        bits = ord(letter) - _ZERO
        if not 0 <= bits < 64:
            raise ValueError(f"the run lengths hold {letter!r}")
        value |= (bits & _VALUE) << shift
        shift, letters = shift + 5, letters + 1
        if bits & _MORE:
            if letters >= _MOST_LETTERS:
                raise ValueError("a run length is too long")
            continue
        if bits & _SIGN:
            value -= 1 << shift
        # From the fourth on, each number is the difference to the one two places before.
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = letters = 0
    if letters:
        raise ValueError("the run lengths end too early")
    return counts


def text_of(counts: Sequence[int]) -> str:
    """Compresses run lengths into COCO's text."""
    return "".join(map(chr, _letters(counts)))


def _letters(counts: Sequence[int]) -> Iterator[int]:
    for place, count in enumerate(counts):
        value = int(count) - (int(counts[place - 2]) if place > 2 else 0)
        more = True
        while more:
            bits = value & _VALUE
            value >>= 5
            more = value != (-1 if bits & _SIGN else 0)
            yield _ZERO + (bits | (_MORE if more else 0))


def encoded(mask: np.ndarray) -> list[int]:
    """Run lengths of a bool mask h×w."""
    flat = mask.flatten(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def decoded(counts: Sequence[int], width: int, height: int) -> np.ndarray:
    """Bool mask height×width. Raises `ValueError` unless the run lengths describe a mask of this size."""
    if any(count < 0 for count in counts):
        raise ValueError("a run length is negative")
    # Python integers: huge counts must not overflow to the right sum.
    if sum(counts) != width * height:
        raise ValueError(f"the run lengths do not add up to {width}×{height}")
    runs = np.asarray(counts, dtype=np.int64)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")
