"""Class scores read as predictions: probabilities, rankings with names, and the classes that labels mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import CamxError
from ...images.listing import Source
from ...maps.explanation import Prediction
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

    def label_of(self, source: Source) -> int | None:
        """Returns the class that a source's label means to this network; None without a label, or if it has none."""
        if not source.label:
            return None
        try:
            return self.classes.index(source.label, self.count)
        except CamxError:
            return None
