"""Assembles the explanations of a batch from its scores and maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...images.listing import Source
from ...images.picture import Picture
from ...maps.explanation import ClassMap, Explanation, Prediction, TrueClass
from ...models.hooks import TargetLayer
from ..methods.fusion import Maps
from ..methods.registry import METHODS
from ..tracing.regions import Regions
from .predictions import ClassReader, Scores
from .targets import Target, target_classes

#: The layer's name in the maps of a method that reads no layer.
_PLACES = {"pixels": "input", "patches": "attention"}

#: Cells per side of the mask of a class at most: an outline needs no more.
_OUTLINE = 512


@dataclass(frozen=True)
class Question:
    """The classes that B images are explained for. classes: the indices of each image's classes, the first ones of
    `as_columns`. truths: the true class of each image, None where it is not known. finite: whether its scores are.
    regions: of a segmentation, the pixels that its scores are summed over. missing: why an image has no map,
    or ""."""

    scores: Scores
    truths: Sequence[TrueClass | None]
    targets: Sequence[Sequence[Target]]
    classes: list[list[int]]
    finite: Sequence[bool]
    regions: Regions | None = None
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Assembler:
    """Reads scores and maps as explanations. two_sided: whether the maps have signs."""

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
        """Chooses the classes of every image by its `targets` from logits B×K; regions: those of a segmentation."""
        scores = self.reader.scores(logits, regions)
        truths = [self.reader.truth(scores, i, picture.source) for i, picture in enumerate(pictures)]
        classes = target_classes(targets, scores, [truth.index if truth else None for truth in truths])
        return Question(scores, truths, targets, classes, torch.isfinite(logits).all(1).tolist(), regions, missing)

    def explanations(self, pictures: Sequence[Picture], asked: Question, maps: Mapping[str, Maps]) -> list[Explanation]:
        """Returns one explanation for each image. maps: those of every method, on the host."""
        return [self._explanation(picture, i, asked, maps) for i, picture in enumerate(pictures)]

    def _explanation(self, picture: Picture, image: int, asked: Question, maps: Mapping[str, Maps]) -> Explanation:
        truth = asked.truths[image]
        if any(asked.missing[image : image + 1]):
            return Explanation(picture, problem=asked.missing[image])
        if not asked.finite[image]:
            return Explanation(picture, problem="the network returned NaN or infinite scores")
        if truth is None and any(target.kind == "label" for target in asked.targets[image]):
            return Explanation(picture, problem=_no_label(picture.source))
        ranking = self.reader.ranking(asked.scores, image)
        predictions = self.reader.predictions(asked.scores, image, asked.classes[image])
        of_image = [one for name in maps for one in self._class_maps(name, maps[name], image, predictions)]
        if asked.regions is not None:
            of_image = [_outlined(one, asked.regions.of(image)) for one in of_image]
        correct = None if truth is None else truth.index in asked.scores.predicted(image)
        return Explanation(picture, ranking, tuple(of_image), truth, correct, blank=_blank(asked, image, predictions))

    def _class_maps(self, name: str, maps: Maps, image: int, predictions: Sequence[Prediction]) -> Iterator[ClassMap]:
        """The maps of one method for one image: of its classes, of the first one only, or of its concepts."""
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
    """The map with the pixels that count for its class, at most as many as an outline needs."""
    shown = regions.pixels_of(one.prediction.index)[0]
    step = max(1, max(shown.shape) // _OUTLINE)
    return replace(one, outline=shown[::step, ::step].byte().cpu().numpy())


def _blank(asked: Question, image: int, predictions: Sequence[Prediction]) -> str:
    """Why the map of the first class of a segmentation shows nothing, or ""."""
    if asked.regions is None or not predictions or bool(asked.regions.of(image).has(predictions[0].index)):
        return ""
    if asked.regions.weights is not None:
        return f"the mask has no pixel of {predictions[0].name!r}"
    return f"no pixel is predicted as {predictions[0].name!r}"


def _no_label(source: Source) -> str:
    if len(source.labels) > 1:
        return f"its labels {', '.join(map(repr, source.labels))} are no classes of the model"
    return f"its label {source.label!r} is no class of the model" if source.label else "it has no label to explain"
