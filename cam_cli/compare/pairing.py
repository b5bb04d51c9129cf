"""Pairs of images as columns: prediction, label and map in both runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audit.image_table import ImageTable
from .join import Pairs, Side
from .maps import Likeness, likeness
from .records import FLIPS

#: Flags after `if`: pairs with the same prediction, pairs with another one.
SAME, DIFFERS = "same", "differs"
FLAGS = (SAME, DIFFERS)


@dataclass(frozen=True)
class Pairing:
    """Columns of pairs. a, b: tables of A and B. same: equal prediction. labelled: both runs have the same known label.
    flips: index into `FLIPS`. borders: `cam_border` of the compared maps."""

    a: ImageTable
    b: ImageTable
    same: np.ndarray
    labelled: np.ndarray
    flips: np.ndarray
    likeness: Likeness
    borders: tuple[np.ndarray, np.ndarray]

    def flagged(self, flag: str) -> np.ndarray:
        """Pairs with a flag; all pairs without one."""
        return np.ones(len(self.same), bool) if not flag else self.same if flag == SAME else ~self.same


def paired(side_a: Side, side_b: Side, pairs: Pairs) -> tuple[Pairing, int]:
    """Pairs as columns, and the number of pairs with another label in B, which count as unlabelled."""
    a, b = side_a.table.take(pairs.a), side_b.table.take(pairs.b)
    a = a.with_attributes({**b.attributes, **a.attributes})
    texts = [(side_a.labels[i], side_b.labels[j]) for i, j in zip(pairs.a.tolist(), pairs.b.tolist())]
    relabelled = np.array([bool(first and second and first != second) for first, second in texts])
    labelled = a.labelled & b.labelled & ~relabelled
    names = np.array([*a.classes, ""], dtype=object)[a.predicted], np.array([*b.classes, ""], dtype=object)[b.predicted]
    same = np.asarray(names[0] == names[1], bool)
    right_a, right_b = labelled & (a.correct == 1), labelled & (b.correct == 1)
    flips = np.where(same, FLIPS.index("same"), FLIPS.index("changed"))
    flips = np.where(right_a & ~right_b, FLIPS.index("broke"), flips)
    flips = np.where(right_b & ~right_a, FLIPS.index("fixed"), flips)
    alike = likeness([side_a.sketches[i] for i in pairs.a.tolist()], [side_b.sketches[i] for i in pairs.b.tolist()])
    borders = np.array(side_a.borders)[pairs.a], np.array(side_b.borders)[pairs.b]
    return Pairing(a, b, same, labelled, flips, alike, borders), int(relabelled.sum())
