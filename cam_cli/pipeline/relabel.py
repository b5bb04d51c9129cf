"""Updates labels and class names in finished rows without running the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from ..images.listing import Source
from ..outputs.renderer import with_truth
from ..outputs.rows import ImageRow, MapRow, Prediction

if TYPE_CHECKING:
    from ..cams.engine.explainer import Explainer
    from ..cams.engine.predictions import ClassReader
    from ..models.classes import ClassNames


@dataclass(frozen=True)
class Naming:
    """Class names of a network, without the network. Can be pickled for the process that writes the journal.

    target_classes: classes that are explained for every image, independent of scores and labels.
    """

    reader: ClassReader
    target_classes: tuple[int, ...] = ()

    @classmethod
    def of(cls, explainer: Explainer) -> Naming:
        """Class names of an explainer."""
        return cls(explainer.reader, explainer.target_classes)

    @property
    def classes(self) -> ClassNames:
        return self.reader.classes

    def classes_of(self, source: Source) -> dict[int, str]:
        """Classes of a source's labels, and the text of each label."""
        return self.reader.classes_of(source)


def renamed(row: ImageRow, classes: ClassNames) -> ImageRow:
    """Row with the current class names; the row itself if they are unchanged."""
    now: ImageRow = {**row}
    if "top" in row:
        now["top"] = _named(row["top"], classes)
    if "maps" in row:
        now["maps"] = [_map_renamed(one, classes) for one in row["maps"]]
    return row if now == row else now


def _map_renamed(one: MapRow, classes: ClassNames) -> MapRow:
    now: MapRow = {**one}
    if "target_index" in one:
        now["target_name"] = classes[one["target_index"]]
    if "concept_classes" in one:
        now["concept_classes"] = _named(one["concept_classes"], classes)
    return now


def _named(predictions: Iterable[Prediction], classes: ClassNames) -> list[Prediction]:
    return [{**one, "name": classes[one["index"]]} for one in predictions]


def best_known(row: ImageRow, classes: Mapping[int, str]) -> int | None:
    """The true class with the best rank in the row; None without any."""
    ranks = _known(row)
    return min(classes, key=lambda index: ranks[index][0] if index in ranks else inf, default=None)


def relabelled(
    row: ImageRow, source: Source, classes: Mapping[int, str], threshold: float | None = None
) -> ImageRow | None:
    """Replaces the labels of a finished row by labels of `classes`. Probability and rank of a class outside `top`
    become unknown.

    threshold: smallest probability of a predicted class with several labels; None for one label. Returns None if the
    row does not show whether the class is predicted.
    """
    now = with_truth(row, source)
    now.pop("correct", None)
    now.pop("label_index", None)
    now.pop("label_prob", None)
    now.pop("label_rank", None)
    index = best_known(row, classes)
    if index is None:
        return now
    known, top = _known(row), row["top"]
    correct = top[0]["index"] == index
    if threshold is not None and not correct:
        if index not in known and top[-1]["prob"] >= threshold:
            return None
        correct = index in known and known[index][1] >= threshold
    now |= {"label": classes[index], "correct": correct, "label_index": index}
    if index in known:
        now["label_rank"], now["label_prob"] = known[index]
    return now


def _known(row: ImageRow) -> dict[int, tuple[int, float]]:
    """Rank and probability of classes in a row."""
    known = {one["index"]: (rank, one["prob"]) for rank, one in enumerate(row.get("top", ()), 1)}
    if row.get("label_rank") and "label_prob" in row:
        known[row["label_index"]] = (row["label_rank"], row["label_prob"])
    return known
