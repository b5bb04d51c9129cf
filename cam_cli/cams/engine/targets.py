"""For which classes an image is explained: the predicted one, its label, the best K, or those that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...errors import CamxError

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.classes import ClassNames


@dataclass(frozen=True)
class Target:
    """`kind` with `top` classes per image (`top:K`), or one class for all images by `name` (an index works too)."""

    kind: Literal["predicted", "label", "top", "class"] = "predicted"
    top: int = 1
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Target:
        """`predicted`, `label`, `top:K`, or a class. Raises `CamxError` for a K that is no positive number."""
        if text in ("predicted", "label"):
            return cls("predicted" if text == "predicted" else "label")
        if text.startswith("top:"):
            count = text.removeprefix("top:")
            if not count.isdecimal() or int(count) < 1:
                raise CamxError(f"`target` {text!r}: K in top:K is a number from 1.", field="targets")
            return cls("top", top=int(count))
        return cls("class", name=text)

    def __str__(self) -> str:
        return self.name if self.kind == "class" else f"top:{self.top}" if self.kind == "top" else self.kind

    def resolved(self, names: ClassNames, count: int) -> Target:
        """Checked against a model of `count` classes; raises `CamxError` for a class it does not have."""
        if self.kind == "class":
            return Target("class", name=str(names.index(self.name, count)))
        return Target("top", top=min(self.top, count)) if self.kind == "top" else self


@dataclass(frozen=True)
class Scores:
    """What a model says of a batch, in main memory. ranking: class indices B×K, best first; probabilities B×K by class.

    threshold: with several labels, the probability from which on a class counts as predicted; None for one label.
    """

    ranking: Tensor
    probabilities: Tensor
    threshold: float | None = None

    @classmethod
    def of(cls, logits: Tensor, threshold: float | None = None, *, several_labels: bool = False) -> Scores:
        """From logits B×K: probabilities that share 1 (softmax), or with several labels one of each (sigmoid)."""
        finite = logits.nan_to_num()
        probabilities = logits.sigmoid() if several_labels else logits.softmax(1)
        # Moved once: whoever reads single values from a GPU waits for it each time.
        return cls(finite.argsort(dim=1, descending=True, stable=True).cpu(), probabilities.cpu(), threshold)

    def predicted(self, image: int) -> list[int]:
        """The best class, or all from the threshold on, best first; never none."""
        best: list[int] = self.ranking[image, :1].tolist()
        if self.threshold is None:
            return best
        ranked = self.ranking[image]
        found: list[int] = ranked[self.probabilities[image, ranked] >= self.threshold].tolist()
        return found or best


def chosen(targets: Sequence[Target], scores: Scores, labels: Sequence[int | None]) -> list[list[int]]:
    """The classes that each image is explained for, in the order of the targets, none twice.

    An image without a label gets its predicted class in place of it.
    """
    found = []
    for image, label in enumerate(labels):
        classes: dict[int, None] = {}
        for target in targets:
            if target.kind == "top":
                wanted = scores.ranking[image, : target.top].tolist()
            elif target.kind == "class":
                wanted = [int(target.name)]
            else:
                wanted = [label] if target.kind == "label" and label is not None else scores.predicted(image)
            classes |= dict.fromkeys(wanted)
        found.append(list(classes))
    return found


def as_columns(classes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
    """Class indices B×T on the device of `like`; an image with fewer classes repeats its first one."""
    import torch

    width = max(map(len, classes))
    return torch.tensor([[*row, *[row[0]] * (width - len(row))] for row in classes], device=like.device)
