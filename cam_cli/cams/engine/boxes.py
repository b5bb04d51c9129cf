"""Explains the boxes of a detector: chooses boxes, makes a map of each, and places them in the upright image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ...images.picture import Picture
from ...maps.explanation import ClassMap, Explanation, FoundBox, Prediction, TrueClass
from ..methods.fusion import Maps, maps_of
from ..methods.registry import METHODS
from ..tracing.detections import Detections
from ..tracing.trace import Trace
from .assembly import no_label
from .options import ExplainOptions
from .predictions import ClassReader
from .targets import Target, as_columns


@dataclass(frozen=True)
class BoxExplainer:
    """Explains the boxes of images in the traces of a detector."""

    reader: ClassReader
    options: ExplainOptions

    def explanations(
        self, pictures: Sequence[Picture], traced: Sequence[Trace], targets: Sequence[Sequence[Target]]
    ) -> list[Explanation]:
        """Returns an explanation per image, with maps of its boxes in the traces of a batch.

        The boxes are the best `max_boxes` with a score of `threshold` and more, of the classes of the image's targets.
        """
        boxes = traced[0].replay.boxes
        assert boxes is not None
        problems = [
            _problem(one) or self._unlabelled(picture, own) for one, picture, own in zip(boxes.found, pictures, targets)
        ]
        found = [self._above(one, problem) for one, problem in zip(boxes.found, problems)]
        truths = [self._truth(picture, one) for picture, one in zip(pictures, found)]
        chosen = [self._chosen(one, own, truth) for one, own, truth in zip(found, targets, truths)]
        maps = self._maps(traced, as_columns([one or [0] for one in chosen], traced[0].logits)) if any(chosen) else {}
        layer = traced[0].layer.name
        return [
            Explanation(picture, problem=problems[image])
            if problems[image]
            else Explanation(
                picture,
                self._ranking(one),
                tuple(
                    self._map(name, layer, maps[name][image, column], picture, one, box, boxes.shares[image])
                    for name in maps
                    for column, box in enumerate(chosen[image])
                ),
                truth,
                None if truth is None else bool((one.labels == truth.index).any()),
                blank="" if chosen[image] else self._nothing(targets[image], truth),
                boxes=len(one.scores),
            )
            for image, (picture, one, truth) in enumerate(zip(pictures, found, truths))
        ]

    def _above(self, one: Detections, problem: str) -> Detections:
        """Returns the boxes with a score of at least `threshold`; none for an image with a problem."""
        kept = 0 if problem else int((one.scores >= self.options.threshold).sum())
        return Detections(one.boxes[:kept].detach().cpu(), one.labels[:kept].cpu(), one.scores[:kept].detach().cpu())

    def _chosen(self, one: Detections, targets: Sequence[Target], truth: TrueClass | None) -> list[int]:
        """Returns the indices of the boxes to explain, best first."""
        wanted: set[int] | None = set()
        for target in targets:
            if target.kind == "class" and wanted is not None:
                wanted.add(int(target.name))
            elif target.kind == "label" and truth is not None and wanted is not None:
                wanted.add(truth.index)
            elif target.kind != "label":
                wanted = None
        places = [place for place, label in enumerate(one.labels.tolist()) if wanted is None or label in wanted]
        return places[: self.options.max_boxes]

    def _maps(self, traced: Sequence[Trace], columns: Tensor) -> dict[str, Tensor]:
        """Returns maps of all boxes; by gradients one box after the other, since those of all levels are large."""
        evidence = self.options.evidence
        each: dict[str, list[Maps]] = {name: [] for name in self.options.methods}
        for column in columns.T[..., None]:
            traced[0].head.forget()
            for name in (one for one in each if METHODS[one].gradients):
                each[name].append(maps_of(METHODS[name], traced, column, evidence).cpu())
        for name in (one for one in each if not METHODS[one].gradients):
            each[name].append(maps_of(METHODS[name], traced, columns, evidence).cpu())
        return {name: torch.cat([one.values for one in parts], 1) for name, parts in each.items()}

    def _map(
        self,
        method: str,
        layer: str,
        values: Tensor,
        picture: Picture,
        found: Detections,
        box: int,
        shares: tuple[float, float],
    ) -> ClassMap:
        on_layer = METHODS[method].per_layer
        return ClassMap(
            method,
            layer if on_layer else "input",
            self._prediction(int(found.labels[box]), float(found.scores[box])),
            (_of_image(values, shares) if on_layer else values).numpy(),
            two_sided=self.options.evidence == "both",
            found=FoundBox(box, _upright(found.boxes[box].tolist(), picture)),
        )

    def _ranking(self, found: Detections) -> tuple[Prediction, ...]:
        """Returns the classes of the boxes, each with the score of its best box."""
        best: dict[int, float] = {}
        for label, score in zip(found.labels.tolist(), found.scores.tolist()):
            best.setdefault(label, score)
        return tuple(self._prediction(label, score) for label, score in list(best.items())[: self.options.top_k])

    def _prediction(self, label: int, score: float) -> Prediction:
        return Prediction(label, self.reader.classes[label], score)

    def _truth(self, picture: Picture, found: Detections) -> TrueClass | None:
        """Returns the true class with its best box; without one its score is 0 and its rank is the last."""
        texts = self.reader.classes_of(picture.source)
        if not texts:
            return None
        labels = list(dict.fromkeys(found.labels.tolist()))
        index = min(texts, key=lambda one: labels.index(one) if one in labels else len(labels))
        scores = found.scores[found.labels == index]
        rank = labels.index(index) if index in labels else len(labels)
        return TrueClass(index, texts[index], float(scores[0]) if len(scores) else 0.0, rank + 1)

    def _unlabelled(self, picture: Picture, targets: Sequence[Target]) -> str:
        """Returns why boxes of the label cannot be explained, or "". No others replace them, as with a classifier."""
        wanted = any(target.kind == "label" for target in targets)
        return no_label(picture.source) if wanted and not self.reader.classes_of(picture.source) else ""

    def _nothing(self, targets: Sequence[Target], truth: TrueClass | None) -> str:
        names = [self.reader.classes[int(target.name)] for target in targets if target.kind == "class"]
        names += [truth.text for target in targets if target.kind == "label" and truth is not None]
        of = f" of {' or '.join(map(repr, names))}" if names and len(names) == len(targets) else ""
        return f"no box{of} has a score of {self.options.threshold:g} or more"


def _problem(one: Detections) -> str:
    """Returns the problem of boxes and scores that are not finite or not in [0, 1], or ""."""
    scores = one.scores.detach()
    if not bool(torch.isfinite(scores).all() and torch.isfinite(one.boxes).all()):
        return "the network returned NaN or infinite boxes or scores"
    # Rounding may lift a product of probabilities above 1.
    odd = scores[(scores < 0) | (scores > 1 + 1e-6)]
    if len(odd):
        wrong = float(odd[0])
        return f"the network returned a box with a score of {wrong:.4g}, and scores lie in [0, 1]"
    return ""


def _of_image(values: Tensor, shares: tuple[float, float]) -> Tensor:
    """Returns the part of a map h×w that the image fills, from the upper left, on as fine a grid."""
    if shares == (1.0, 1.0):
        return values
    (across, down), (height, width) = shares, values.shape
    size = (max(1, round(height / down)), max(1, round(width / across)))
    # Coordinates in the image → coordinates in the whole map, in units of half a side.
    theta = torch.tensor([[[1 / across, 0, 1 / across - 1], [0, 1 / down, 1 / down - 1]]])
    grid = affine_grid(theta, [1, 1, *size], align_corners=False)
    return grid_sample(values[None, None].float(), grid, padding_mode="border", align_corners=False)[0, 0]


def _upright(edges: Sequence[float], picture: Picture) -> tuple[float, float, float, float]:
    """Returns a box in pixels of the network's input as one in pixels of the upright image."""
    height, width = picture.input.shape[:2]
    frame = picture.frame
    x, y = (frame.right - frame.left) / width, (frame.bottom - frame.top) / height
    left, top, right, bottom = edges
    return frame.left + left * x, frame.top + top * y, frame.left + right * x, frame.top + bottom * y
