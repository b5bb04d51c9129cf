"""COCO's run-length encoding of masks: column by column, runs of 0 and 1 in turn, beginning with 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

#: Letters of the compressed form begin at this one, and hold 5 bits, a sign and whether more follow.
_ZERO, _VALUE, _SIGN, _MORE = ord("0"), 0x1F, 0x10, 0x20
#: A run of 2⁶⁰ pixels takes this many letters; more is no run of an image.
_MOST_LETTERS = 12


def counts_of(text: str) -> list[int]:
    """The run lengths of COCO's compressed form. Raises `ValueError` for text that is none."""
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
        # From the fourth on each is the difference to the one two before.
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = letters = 0
    if letters:
        raise ValueError("the run lengths end too early")
    return counts


def text_of(counts: Sequence[int]) -> str:
    """Run lengths in COCO's compressed form."""
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
    """The run lengths of a mask h×w of bool."""
    flat = mask.flatten(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def decoded(counts: Sequence[int], width: int, height: int) -> np.ndarray:
    """The mask height×width of bool. Raises `ValueError` for run lengths that are not those of a mask of this size."""
    if any(count < 0 for count in counts):
        raise ValueError("a run length is negative")
    # Python integers: huge counts must not wrap round to the right number.
    if sum(counts) != width * height:
        raise ValueError(f"the run lengths do not add up to {width}×{height}")
    runs = np.asarray(counts, dtype=np.int64)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")
