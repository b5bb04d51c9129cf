"""Record of the explanation of one image, from which all outputs are written."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..images.picture import Picture
from ..sentences import counted
from .spots import Spot


@dataclass(frozen=True)
class Prediction:
    """One class of an image's ranking.

    probability: in [0, 1], the softmax of the logits; with several labels, the sigmoid of the class's logit; for a
    segmentation, the share of the pixels that are predicted as the class. value: the output of a regression or a
    similarity; `probability` is NaN then.
    """

    index: int
    name: str
    probability: float
    value: float | None = None


@dataclass(frozen=True)
class TrueClass:
    """The true class of an image; of several, the one with the best rank.

    text: the label as the user wrote it. probability: as in a prediction. rank: the place among all classes, from 1.
    """

    index: int
    text: str
    probability: float
    rank: int


@dataclass(frozen=True)
class FoundBox:
    """A box of a detector.

    index: its place by score in the image, from 0. edges: left, top, right and bottom in pixels of the upright image.
    """

    index: int
    edges: tuple[float, float, float, float]


@dataclass(frozen=True, repr=False)
class ClassMap:
    """The raw map of one method for one class: float32 h×w, any sign and scale, over the part that the network got.

    layer: the name of the target layer, several joined by +; `input` for pixels, `attention` for all attention layers.
    energies: root mean square of the map of each layer, for several layers. two_sided: negative values are evidence
    against the class. fine: the map has the resolution of the pixels. concept: number of a concept, from 1.
    concept_classes: the top classes of a concept. overlay: uint8 H×W×3, if the device has drawn it. spots: the spots
    under its peaks, if they were requested. scale: the raw value that is shown as 1, if several maps share a scale;
    None for the peak of the map. outline: uint8 h×w over the part that the network got, 1 where a segmentation
    predicts the class. found: the box of a detector that the map is for.
    """

    method: str
    layer: str
    prediction: Prediction
    values: np.ndarray
    energies: tuple[tuple[str, float], ...] = ()
    two_sided: bool = False
    fine: bool = False
    concept: int | None = None
    concept_classes: tuple[Prediction, ...] = ()
    overlay: np.ndarray | None = None
    spots: tuple[Spot, ...] = ()
    scale: float | None = None
    outline: np.ndarray | None = None
    found: FoundBox | None = None

    def __repr__(self) -> str:
        grid = "×".join(map(str, self.values.shape))
        return (
            f"ClassMap({self.method} for {self.prediction.name or self.prediction.index}, layer {self.layer}, {grid})"
        )


@dataclass(frozen=True, repr=False)
class Explanation:
    """Explanation of one image: its top classes, best first, and its maps, in the order of the options.

    truth: the true class, if it is a class of the network. correct: whether it was predicted. problem: why there are no
    maps, or "". blank: why the maps are zero, if it is known. boxes: the number of boxes of a detector from the
    `threshold` on; None for other networks.
    """

    picture: Picture
    ranking: tuple[Prediction, ...] = ()
    maps: tuple[ClassMap, ...] = ()
    truth: TrueClass | None = None
    correct: bool | None = None
    problem: str = ""
    blank: str = ""
    boxes: int | None = None

    @property
    def label(self) -> int | None:
        """The index of the true class, if it is known."""
        return self.truth.index if self.truth else None

    def __repr__(self) -> str:
        key = self.picture.source.key
        if not self.problem and self.maps and (value := self.maps[0].prediction.value) is not None:
            text = f"{self.maps[0].prediction.name} {value:.4g}"
            return f"Explanation({key!r}: {text}, {counted(len(self.maps), 'map')})"
        if self.problem or not self.ranking:
            return f"Explanation({key!r}: {self.problem or 'nothing was predicted'})"
        best = self.ranking[0]
        text = f"{best.name or best.index} {best.probability:.0%}"
        return f"Explanation({key!r}: {text}, {counted(len(self.maps), 'map')})"

    def _repr_html_(self) -> str:
        """The image, its overlays and the ranking, for notebooks."""
        return str(_display().explanation_html(self))


class Explanations(list[Explanation]):
    """List that notebooks show as a grid of overlays."""

    def _repr_html_(self) -> str:
        return str(_display().explanations_html(self))


def _display() -> Any:
    """Imports the drawing module on demand, because it belongs to a higher room."""
    return import_module("cam_cli.outputs.display")
