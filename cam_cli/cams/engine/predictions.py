"""Class scores as predictions: probabilities, rankings with names, and the classes that labels mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import CamxError
from ...images.label_table import BETWEEN_LABELS
from ...images.listing import Source
from ...maps.explanation import Prediction, TrueClass
from ...models.classes import ClassNames
from ...models.tasks import CLASSIFICATION, VALUES

if TYPE_CHECKING:
    from torch import Tensor

    from ..tracing.regions import Regions

#: Names of a class for everything else, without underscores at their ends.
_BACKGROUND = ("background", "unlabeled", "unlabelled", "void")


@dataclass(frozen=True)
class Scores:
    """Class scores of a batch, in main memory.

    ranking: class indices B×K, best first. probabilities: B×K, by class. threshold: with several labels, the
    probability from which on a class counts as predicted; None for one label. found: the number of classes that each
    image has; None if every class has a probability.
    """

    ranking: Tensor
    probabilities: Tensor
    threshold: float | None = None
    found: tuple[int, ...] | None = None

    @classmethod
    def of(cls, logits: Tensor, threshold: float | None = None, *, several_labels: bool = False) -> Scores:
        """Reads logits B×K: as probabilities that add up to 1 (softmax), or one of its own per class (sigmoid)."""
        finite = logits.nan_to_num()
        probabilities = logits.sigmoid() if several_labels else logits.softmax(1)
        # Moved once: each read of a single value from a GPU waits for it.
        return cls(finite.argsort(dim=1, descending=True, stable=True).cpu(), probabilities.cpu(), threshold)

    @classmethod
    def of_areas(cls, shares: Tensor, background: int | None = None) -> Scores:
        """Reads the shares B×K of the pixels that are predicted as each class; the largest class comes first.

        The background comes after all classes that have a pixel.
        """
        order = shares.cpu()
        found = tuple((order > 0).sum(1).tolist())
        if background is not None:
            order = order.clone()
            # Less than the share of one pixel.
            order[:, background] = order[:, background].clamp_max(1e-12)
        return cls(order.argsort(dim=1, descending=True, stable=True), shares.cpu(), found=found)

    @classmethod
    def of_values(cls, values: Tensor) -> Scores:
        """Reads values B×K, which have no order; they take the place of the probabilities."""
        # The order of the indices: a stable sort of equal numbers.
        order = (values * 0).nan_to_num().argsort(dim=1, stable=True).cpu()
        return cls(order, values.cpu(), found=(0,) * len(values))

    def best(self, image: int, count: int) -> list[int]:
        """Returns the `count` best classes of an image, or as many as it has; never an empty list."""
        most = count if self.found is None else max(1, min(count, self.found[image]))
        best: list[int] = self.ranking[image, :most].tolist()
        return best

    def predicted(self, image: int) -> list[int]:
        """Returns the best class of an image, or all from `threshold` on, best first; never an empty list."""
        best: list[int] = self.ranking[image, :1].tolist()
        if self.threshold is None:
            return best
        ranked = self.ranking[image]
        found: list[int] = ranked[self.probabilities[image, ranked] >= self.threshold].tolist()
        return found or best


@dataclass(frozen=True)
class ClassReader:
    """Reads the logits of one network.

    classes: its class names. count: their number. top_k: classes per ranking. threshold: as in `Scores`.
    several_labels: whether each class has a probability of its own. task: the kind of the scores, one of
    `models.tasks`.
    """

    classes: ClassNames
    count: int
    top_k: int
    threshold: float | None = None
    several_labels: bool = False
    task: str = CLASSIFICATION

    @property
    def background(self) -> int | None:
        """The class of a segmentation for everything else, by its name; None without such a name."""
        return next(
            (i for i, name in enumerate(self.classes.names) if name.strip("_ ").casefold() in _BACKGROUND), None
        )

    def scores(self, logits: Tensor, regions: Regions | None = None) -> Scores:
        """Returns the scores of logits B×K. regions: of a segmentation, those over which its logits are summed."""
        if regions is not None:
            return Scores.of_areas(regions.shares(self.count), self.background)
        if self.task in VALUES:
            return Scores.of_values(logits)
        return Scores.of(logits, self.threshold, several_labels=self.several_labels)

    def ranking(self, scores: Scores, image: int) -> tuple[Prediction, ...]:
        """Returns the `top_k` best classes of one image."""
        if self.task in VALUES:
            return ()
        return self.predictions(scores, image, scores.best(image, self.top_k))

    def predictions(self, scores: Scores, image: int, classes: list[int]) -> tuple[Prediction, ...]:
        """Returns classes of one image with their names and probabilities."""
        probabilities = scores.probabilities[image]
        if self.task in VALUES:
            return tuple(
                Prediction(index, self.classes[index], math.nan, float(probabilities[index])) for index in classes
            )
        return tuple(Prediction(index, self.classes[index], float(probabilities[index])) for index in classes)

    def truth(self, scores: Scores, image: int, source: Source) -> TrueClass | None:
        """Returns the true class of one image, of several the one with the best rank; None if it is unknown."""
        texts = self.classes_of(source)
        if not texts or self.task in VALUES:
            return None
        places = {int((scores.ranking[image] == index).nonzero()[0, 0]): index for index in texts}
        place = min(places)
        index = places[place]
        return TrueClass(index, texts[index], float(scores.probabilities[image, index]), place + 1)

    def classes_of(self, source: Source) -> dict[int, str]:
        """Returns the classes that the labels of an image mean to this network, and the text of each label."""
        if self.task in VALUES:
            return {}
        whole = BETWEEN_LABELS.join(source.labels)
        # The name of a class may hold the sign between labels.
        if len(source.labels) > 1 and (index := self._index_of(whole)) is not None:
            return {index: whole}
        found: dict[int, str] = {}
        for text in source.labels:
            index = self._index_of(text)
            if index is not None:
                found.setdefault(index, text)
        return found

    def label_texts(self, labels: Sequence[str | int | None]) -> list[str]:
        """Returns labels as text, "" for None. Raises `CamxError` for one that is no class of the network."""
        texts = ["" if label is None else str(label) for label in labels]
        self.check(texts)
        return texts

    def check(self, texts: Iterable[str]) -> None:
        """Raises `CamxError` for a label that is no class; an empty label is left out."""
        for text in filter(None, texts):
            self.classes.index(text, self.count)

    def _index_of(self, text: str) -> int | None:
        try:
            return self.classes.index(text, self.count)
        except CamxError:
            return None
