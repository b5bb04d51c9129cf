"""The classes for which an image is explained: the predicted one, its label, the best K, or named ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from ...errors import CamxError, unknown
from ...parsers import whole_number

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.classes import ClassNames
    from .predictions import Scores


KINDS = ("predicted", "label", "top", "class", "like")
_LIKE = "like:"
#: The column of a table of pairs with the reference of each image, and the endings of such tables.
PAIRED = "reference"
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class Target:
    """One or several classes per image.

    kind: `predicted`, `label`, `top` (the best `top` classes), `class` (one for all images, by `name` or index), or
    `like` (similarity to the image, or the mean of the folder, at `name`; by a table of pairs, to the reference of each
    image).
    """

    kind: Literal["predicted", "label", "top", "class", "like"] = "predicted"
    top: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind", self.kind, KINDS)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads `predicted`, `label`, `top:K`, `like:REF`, or a class.

        Raises `CamxError` if K is no positive number, or REF is empty.
        """
        if text in ("predicted", "label"):
            return cls("predicted" if text == "predicted" else "label")
        if text.startswith("top:"):
            count = whole_number(text.removeprefix("top:"))
            if not count:
                raise CamxError(f"`targets` {text!r}: K in top:K is a number from 1.", field="targets")
            return cls("top", top=count)
        if text.startswith(_LIKE):
            place = text.removeprefix(_LIKE)
            if not place:
                raise CamxError(
                    f"`targets` {text!r} names no image.",
                    "Give like:REF.jpg, a folder, or a CSV with image,reference.",
                    field="targets",
                )
            return cls("like", name=place)
        return cls("class", name=text)

    @property
    def paired(self) -> bool:
        """Whether each image has its own reference, in a table."""
        return self.kind == "like" and self.name.lower().endswith(_TABLES)

    def __str__(self) -> str:
        words = {"class": self.name, "top": f"top:{self.top}", "like": f"{_LIKE}{self.name}"}
        return words.get(self.kind, self.kind)

    def resolved(self, names: ClassNames, count: int) -> Target:
        """Returns the target for a network of `count` classes. Raises `CamxError` for a class that it does not have."""
        if self.kind in ("class", "like"):
            if self.paired:
                return self
            if self.kind == "like":
                return Target("class", name=str(names.index(str(self), count)))
            return Target("class", name=str(names.index(self.name, count)))
        return Target("top", top=min(self.top, count)) if self.kind == "top" else self


#: A target in a program: a `Target`, its words (`top:3`, the name of a class), or the index of a class.
AnyTarget = Target | str | int

if TYPE_CHECKING:

    class Targets:
        """The type of a field that holds a tuple of targets; a program may give one target or several."""

        def __get__(self, options: object, kind: object) -> tuple[Target, ...]: ...
        def __set__(self, options: object, value: AnyTarget | Sequence[AnyTarget]) -> None: ...
else:
    Targets = tuple[Target, ...]


def default_targets() -> Any:
    """Returns the default of a field of `Targets`: the predicted class."""
    return (Target(),)


def as_targets(value: Any) -> tuple[Target, ...]:
    """Returns one of `AnyTarget` or several as targets. Raises `CamxError` for anything else."""
    several = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    return tuple(map(_as_target, several))


def _as_target(value: object) -> Target:
    if isinstance(value, Target):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool):
        return Target("class", name=str(int(value)))
    if isinstance(value, str):
        return Target.parse(value)
    raise CamxError(
        f"`targets` {value!r:.60} is a {type(value).__name__}.",
        "Give predicted, label, top:K, like:REF.jpg, or a class by its index or name.",
        field="targets",
    )


def target_classes(
    targets: Sequence[Sequence[Target]], scores: Scores, labels: Sequence[int | None]
) -> list[list[int]]:
    """Returns the classes for which each image is explained, in the order of its targets, none twice.

    The predicted class takes the place of a missing label.
    """
    found = []
    for image, (label, own) in enumerate(zip(labels, targets)):
        classes: dict[int, None] = {}
        for target in own:
            if target.kind == "top":
                wanted = scores.best(image, target.top)
            elif target.kind == "class":
                wanted = [int(target.name)]
            else:
                wanted = [label] if target.kind == "label" and label is not None else scores.predicted(image)
            classes |= dict.fromkeys(wanted)
        found.append(list(classes))
    return found


def as_columns(classes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
    """Returns class indices B×T on the device of `like`; the first class fills the row of an image with fewer."""
    import torch

    width = max(map(len, classes))
    return torch.tensor([[*row, *[row[0]] * (width - len(row))] for row in classes], device=like.device)
