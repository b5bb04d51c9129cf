"""Assembles the explanations of a batch from its scores and maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...images.listing import Source
from ...images.picture import Picture
from ...maps.explanation import ClassMap, Explanation, Prediction, TrueClass
from ...models.hooks import TargetLayer
from ...models.tasks import SIMILARITY
from ..methods.fusion import Maps
from ..methods.registry import METHODS
from ..tracing.regions import Regions
from .predictions import ClassReader, Scores
from .targets import Target, target_classes

#: The layer in the maps of a method that reads no layer, by the grid of its maps.
_PLACES = {"pixels": "input", "patches": "attention"}

#: The most cells per side of the mask of a class: an outline needs no more.
_OUTLINE = 512
#: The smallest cosine that counts as 1, since float32 is rounded, and the reason of its blank map.
_SAME, _IS_REFERENCE = 1 - 1e-6, "it is the reference itself: a cosine of 1 has no gradient"
#: Methods of at most one more forward that read more than the gradient at the image.
_NOT_LOCAL = ("lrp", "fullgrad")


@dataclass(frozen=True)
class Question:
    """The classes that a batch of B images is explained for.

    scores, targets: of every image. truths: the true class of each image, None if it is unknown. classes: the indices
    of each image's classes, the first ones of `as_columns`. finite: whether the scores of each image are. regions: of a
    segmentation, the pixels over which its logits are summed. missing: why an image has no map, or "".
    """

    scores: Scores
    truths: Sequence[TrueClass | None]
    targets: Sequence[Sequence[Target]]
    classes: list[list[int]]
    finite: Sequence[bool]
    regions: Regions | None = None
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Assembler:
    """Turns scores and maps into explanations. two_sided: whether the maps have signs."""

    reader: ClassReader
    layers: tuple[TargetLayer, ...]
    two_sided: bool

    def question(
        self,
        pictures: Sequence[Picture],
        logits: Tensor,
        targets: Sequence[Sequence[Target]],
        regions: Regions | None = None,
        missing: Sequence[str] = (),
    ) -> Question:
        """Chooses the classes of every image by its `targets` from logits B×K. regions: those of a segmentation."""
        scores = self.reader.scores(logits, regions)
        truths = [self.reader.truth(scores, i, picture.source) for i, picture in enumerate(pictures)]
        classes = target_classes(targets, scores, [truth.index if truth else None for truth in truths])
        return Question(scores, truths, targets, classes, torch.isfinite(logits).all(1).tolist(), regions, missing)

    def explanations(
        self, pictures: Sequence[Picture], question: Question, maps: Mapping[str, Maps]
    ) -> list[Explanation]:
        """Returns one explanation for each image. maps: those of every method, on the host."""
        return [self._explanation(picture, i, question, maps) for i, picture in enumerate(pictures)]

    def _explanation(self, picture: Picture, image: int, question: Question, maps: Mapping[str, Maps]) -> Explanation:
        truth = question.truths[image]
        if any(question.missing[image : image + 1]):
            return Explanation(picture, problem=question.missing[image])
        if not question.finite[image]:
            return Explanation(picture, problem="the network returned NaN or infinite scores")
        if truth is None and any(target.kind == "label" for target in question.targets[image]):
            return Explanation(picture, problem=no_label(picture.source))
        ranking = self.reader.ranking(question.scores, image)
        predictions = self.reader.predictions(question.scores, image, question.classes[image])
        of_image = [one for name in maps for one in self._class_maps(name, maps[name], image, predictions)]
        if question.regions is not None:
            of_image = [_outlined(one, question.regions.of(image)) for one in of_image]
        blank = _blank(question, image, predictions)
        if self.reader.task == SIMILARITY:
            of_image = [_without_rounding(one) for one in of_image]
            blank = _IS_REFERENCE if _is_reference(predictions[0]) else ""
        correct = None if truth is None else truth.index in question.scores.predicted(image)
        return Explanation(picture, ranking, tuple(of_image), truth, correct, blank=blank)

    def _class_maps(self, name: str, maps: Maps, image: int, predictions: Sequence[Prediction]) -> Iterator[ClassMap]:
        """Yields the maps of one method for one image: of its classes, of the first one only, or of its concepts."""
        method = METHODS[name]
        layers = [layer.name for layer in self.layers] if method.grid == "layer" else [_PLACES[method.grid]]
        for index, values in enumerate(maps.values[image].numpy()):
            concept: tuple[Prediction, ...] = ()
            if maps.scores is not None:
                concept = self.reader.ranking(self.reader.scores(maps.scores[image, index : index + 1]), 0)
            elif index >= len(predictions):
                return
            yield ClassMap(
                method=name,
                layer="+".join(layers),
                prediction=concept[0] if concept else predictions[index],
                values=values,
                energies=tuple(zip(layers, maps.energies[image, index].tolist()))
                if len(layers) > 1 and method.per_layer
                else (),
                two_sided=self.two_sided,
                fine=method.grid == "pixels",
                concept=index + 1 if concept else None,
                concept_classes=concept,
            )


def _outlined(one: ClassMap, regions: Regions) -> ClassMap:
    """Returns the map with an outline: the pixels that count for its class, at most `_OUTLINE` per side."""
    pixels = regions.pixels_of(one.prediction.index)[0]
    step = max(1, max(pixels.shape) // _OUTLINE)
    return replace(one, outline=pixels[::step, ::step].byte().cpu().numpy())


def _is_reference(prediction: Prediction) -> bool:
    """Returns whether an image has the embedding of its reference."""
    return prediction.value is not None and prediction.value >= _SAME


def _without_rounding(one: ClassMap) -> ClassMap:
    """Returns a map, with zeros for the reference itself: its gradients are rounding errors."""
    method = METHODS[one.method]
    local = method.gradients and method.forwards in ("0", "1") and one.method not in _NOT_LOCAL
    return replace(one, values=np.zeros_like(one.values)) if local and _is_reference(one.prediction) else one


def _blank(question: Question, image: int, predictions: Sequence[Prediction]) -> str:
    """Returns why the map of the first class of a segmentation shows nothing, or ""."""
    if question.regions is None or not predictions or bool(question.regions.of(image).has(predictions[0].index)):
        return ""
    if question.regions.weights is not None:
        return f"the mask has no pixel of {predictions[0].name!r}"
    return f"no pixel is predicted as {predictions[0].name!r}"


def no_label(source: Source) -> str:
    """Returns why an image has no map of its label: it has none, or one that is no class."""
    if len(source.labels) > 1:
        return f"its labels {', '.join(map(repr, source.labels))} are no classes of the model"
    return f"its label {source.label!r} is no class of the model" if source.label else "it has no label to explain"
