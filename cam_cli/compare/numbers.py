"""Figures of a comparison: accuracies, similarity of maps, groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..audit.groups import Attribute
from ..statistics import Resampler, mcnemar, paired_difference, wilson, z_of
from .metrics import METRICS, Question
from .options import CompareOptions
from .pairing import DIFFERS, SAME, Pairing
from .records import FLIPS, Accuracy, GroupRow, MapNumbers, Number


class Figures:
    """Computes the figures of pairs."""

    def __init__(self, options: CompareOptions, pairing: Pairing) -> None:
        self.pairing, self.options = pairing, options
        self.z = z_of(1 - options.confidence)

    def accuracy(self) -> Accuracy:
        pairing = self.pairing
        right_a, right_b = pairing.a.correct == 1, pairing.b.correct == 1
        four = (right_a & right_b, right_a & ~right_b, ~right_a & right_b, ~right_a & ~right_b)
        both, broke, fixed, neither = (int((chosen & pairing.labelled).sum()) for chosen in four)
        total = both + broke + fixed + neither
        low, high = paired_difference(both, broke, fixed, neither, self.z)
        seen = Number((fixed - broke) / total, low, high, total)
        a, b = (self._share(right, total) for right in (both + broke, both + fixed))
        return Accuracy(both, broke, fixed, neither, a, b, seen, mcnemar(broke, fixed))

    def _share(self, right: int, total: int) -> Number:
        low, high = wilson(right, total, self.z)
        return Number(right / total, float(low), float(high), total)

    def maps(self) -> dict[str, MapNumbers]:
        """Similarity of maps over all pairs, pairs with the same prediction, and pairs with another one, if any."""
        chosen = {"all": "", SAME: SAME, DIFFERS: DIFFERS}
        found = {name: self._map_numbers(self.pairing.flagged(flag)) for name, flag in chosen.items()}
        return {name: numbers for name, numbers in found.items() if numbers.iou.total}

    def _map_numbers(self, chosen: np.ndarray) -> MapNumbers:
        codes = np.where(chosen, 0, -1)
        numbers = (self._numbers(metric, codes, 1)[0] for metric in ("map_cosine", "map_iou", "peak_shift"))
        return MapNumbers(*numbers)

    def _numbers(self, metric: str, codes: np.ndarray, count: int) -> list[Number]:
        """A metric in each group, each with its own interval."""
        found = METRICS[metric].estimate(Question(self.pairing, codes, count, Resampler(seed=self.options.seed)))
        low, high = found.limits(self.z, np.arange(count))
        columns = (found.value, low, high, found.total.astype(int))
        return [Number(*numbers) for numbers in zip(*(column.tolist() for column in columns))]

    def group_rows(self, attribute: Attribute) -> Iterator[GroupRow]:
        pairing, count = self.pairing, len(attribute.groups)
        codes, labelled = attribute.codes, pairing.labelled
        chosen = (
            np.ones(len(codes), bool),
            labelled,
            labelled & (pairing.a.correct == 1),
            labelled & (pairing.b.correct == 1),
            *(pairing.flips == FLIPS.index(word) for word in ("broke", "fixed", "changed")),
        )
        counts = [np.bincount(codes[some & (codes >= 0)], minlength=count).tolist() for some in chosen]
        drops = self._numbers("accuracy_drop", codes, count)
        alike = self._numbers("map_iou", codes, count)
        for group, (images, judged, right_a, right_b, broke, fixed, changed) in enumerate(zip(*counts)):
            drop = drops[group]
            yield GroupRow(
                by=attribute.name,
                group=attribute.groups[group],
                images=images,
                labelled=judged,
                right_a=right_a,
                right_b=right_b,
                broke=broke,
                fixed=fixed,
                changed=changed,
                difference=Number(0.0 - drop.value, 0.0 - drop.high, 0.0 - drop.low, drop.total)
                if drop.total
                else None,
                iou=alike[group] if alike[group].total else None,
                small=(judged or images) < self.options.min_group,
            )
