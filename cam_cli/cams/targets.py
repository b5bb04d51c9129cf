"""For which classes an image is explained: the predicted one, its label, the best K, or one that the user names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import CamxError

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.classes import ClassNames


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
                raise CamxError(f"--target {text!r}: K in top:K is a number from 1.")
            return cls("top", top=int(count))
        return cls("class", name=text)

    def resolved(self, names: ClassNames, count: int) -> Target:
        """Checked against a model of `count` classes; raises `CamxError` for a class it does not have."""
        if self.kind == "class":
            return Target("class", name=str(names.index(self.name, count)))
        return Target("top", top=min(self.top, count)) if self.kind == "top" else self

    def classes(self, logits: Tensor, labels: list[int | None]) -> Tensor:
        """Class indices B×T for scores B×K; an image without a label gets its predicted class."""
        if self.kind == "top":
            return logits.topk(self.top, dim=1).indices
        predicted = logits.argmax(1, keepdim=True)
        if self.kind == "predicted":
            return predicted
        if self.kind == "class":
            return predicted.new_full(predicted.shape, int(self.name))
        chosen = [int(p) if label is None else label for p, label in zip(predicted.flatten().tolist(), labels)]
        return predicted.new_tensor(chosen)[:, None]
