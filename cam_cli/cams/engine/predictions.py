"""Class scores read as predictions: probabilities, rankings with names, and the classes that labels mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import CamxError
from ...images.label_table import BETWEEN_LABELS
from ...images.listing import Source
from ...maps.explanation import Prediction, TrueClass
from ...models.classes import ClassNames

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Class scores of a batch, in main memory.

    ranking: class indices B×K, best first. probabilities: B×K, by class. threshold: with several labels, the
    probability from which on a class counts as predicted; None for one label.
    """

    ranking: Tensor
    probabilities: Tensor
    threshold: float | None = None

    @classmethod
    def of(cls, logits: Tensor, threshold: float | None = None, *, several_labels: bool = False) -> Scores:
        """Reads logits B×K: probabilities that add up to 1 (softmax), or one of its own per class (sigmoid)."""
        finite = logits.nan_to_num()
        probabilities = logits.sigmoid() if several_labels else logits.softmax(1)
        # Moved once: whoever reads single values from a GPU waits for it each time.
        return cls(finite.argsort(dim=1, descending=True, stable=True).cpu(), probabilities.cpu(), threshold)

    def predicted(self, image: int) -> list[int]:
        """Returns the best class of an image, or all from the threshold on, best first; never an empty list."""
        best: list[int] = self.ranking[image, :1].tolist()
        if self.threshold is None:
            return best
        ranked = self.ranking[image]
        found: list[int] = ranked[self.probabilities[image, ranked] >= self.threshold].tolist()
        return found or best


@dataclass(frozen=True)
class ClassReader:
    """Reads the logits of one network.

    classes: its class names. count: how many classes it has. top_k: classes per ranking. threshold: as in `Scores`.
    several_labels: whether each class has a probability of its own.
    """

    classes: ClassNames
    count: int
    top_k: int
    threshold: float | None = None
    several_labels: bool = False

    def scores(self, logits: Tensor) -> Scores:
        """Returns the scores of logits B×K."""
        return Scores.of(logits, self.threshold, several_labels=self.several_labels)

    def ranking(self, scores: Scores, image: int) -> tuple[Prediction, ...]:
        """Returns the `top_k` best classes of one image."""
        return self.predictions(scores, image, scores.ranking[image, : self.top_k].tolist())

    def predictions(self, scores: Scores, image: int, classes: list[int]) -> tuple[Prediction, ...]:
        """Returns classes of one image with their names and probabilities."""
        probabilities = scores.probabilities[image]
        return tuple(Prediction(index, self.classes[index], float(probabilities[index])) for index in classes)

    def truth(self, scores: Scores, image: int, source: Source) -> TrueClass | None:
        """Returns the true class of one image, of several the one with the best rank; None where none is known."""
        texts = self.classes_of(source)
        if not texts:
            return None
        places = {int((scores.ranking[image] == index).nonzero()[0, 0]): index for index in texts}
        place = min(places)
        index = places[place]
        return TrueClass(index, texts[index], float(scores.probabilities[image, index]), place + 1)

    def classes_of(self, source: Source) -> dict[int, str]:
        """Returns the classes that a source's labels mean to this network, and the text of each label."""
        whole = BETWEEN_LABELS.join(source.labels)
        # A class may have the sign between labels in its own name.
        if len(source.labels) > 1 and (index := self._index_of(whole)) is not None:
            return {index: whole}
        found: dict[int, str] = {}
        for text in source.labels:
            index = self._index_of(text)
            if index is not None:
                found.setdefault(index, text)
        return found

    def _index_of(self, text: str) -> int | None:
        try:
            return self.classes.index(text, self.count)
        except CamxError:
            return None
