"""Covers places of images and scores the images again, to test whether the network depends on the places."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from ..cams.engine.explainer import Explainer
from ..images.picture import Decodable, Picture
from ..models.network import Network
from ..patterns.checking import ELSEWHERE, RADIUS, Covered, Place, score_name
from ..patterns.records import DROP, FILLS, LOGIT_DROP
from .evaluation import Evaluation, ScoredMap

_TRIES = 200


class _Variant(NamedTuple):
    """An image of a batch, by index, with places covered by a fill; without places the image itself."""

    image: int
    places: tuple[Place, ...] = ()
    fill: str = ""


class SpotChecker:
    """Scores batches of images with covered places.

    wanted: covers by the name of an image. Attributes as in `Explainer`.
    """

    def __init__(self, explainer: Explainer, wanted: Mapping[str, Sequence[Covered]], seed: int) -> None:
        self._explainer, self._wanted, self._seed = explainer, wanted, seed
        self.network: Network = explainer.network
        self.device, self.precision, self.backend = explainer.device, explainer.precision, explainer.backend
        self.layer, self.layers = explainer.layer, explainer.layers

    def replica(self) -> SpotChecker:
        """Copy for another thread: own modules that share the weights in memory."""
        other = copy.copy(self)
        other._explainer = self._explainer.replica()
        other.network = other._explainer.network
        return other

    @torch.inference_mode(False)
    def check(self, images: Sequence[Decodable]) -> list[Evaluation]:
        """Scores prepared images and JPEG files, in smaller batches if memory is short."""
        return self._explainer.in_batches(images, self._batch, lambda picture, why: Evaluation(picture, problem=why))

    def _batch(self, pictures: Sequence[Picture], inputs: Tensor) -> list[Evaluation]:
        """Scores all variants of a batch in as few forwards as memory allows; equal variants only once."""
        asked = [self._asked(picture, image) for image, picture in enumerate(pictures)]
        covered = (one for some in asked for _, covers in some for one in covers)
        variants = [*map(_Variant, range(len(pictures))), *dict.fromkeys(covered)]
        variant_of = _Fills(inputs)
        replay = self._explainer.replay(inputs)
        scores = replay.scores(
            len(variants), lambda part: torch.stack([variant_of(one) for one in variants[part]])
        ).cpu()
        scored = _Scored({one: number for number, one in enumerate(variants)}, scores, replay.multi_label)
        return [self._result(picture, image, asked[image], scored) for image, picture in enumerate(pictures)]

    def _result(
        self, picture: Picture, image: int, asked: Sequence[tuple[Covered, Sequence[_Variant]]], scored: _Scored
    ) -> Evaluation:
        whole, reader = _Variant(image), self._explainer.reader
        scores = scored.of([whole, *(one for _, covers in asked for one in covers)])
        if not scores.isfinite().all():
            return Evaluation(picture, problem="the scores are not finite")
        read = reader.scores(scores[:1])
        maps = []
        for wanted, covers in asked:
            (prediction,) = reader.predictions(read, 0, [wanted.target])
            found = scored.drops(whole, covers, wanted.target)
            maps.append(ScoredMap(wanted.name, self.layer.name, prediction, np.zeros((1, 1), np.float32), scores=found))
        return Evaluation(picture, reader.ranking(read, 0), tuple(maps))

    def _asked(self, picture: Picture, image: int) -> list[tuple[Covered, list[_Variant]]]:
        """Variants for each pattern of an image: by fill, the covered spots, then as many places elsewhere.

        Patterns with equally many spots share the covers elsewhere.
        """
        wanted = self._wanted[picture.source.key]
        avoided = [_in_frame(place, picture) for place in wanted[0].avoided]
        seed = zlib.crc32(f"{self._seed} {picture.source.key}".encode("utf-8", "surrogateescape"))
        rng = np.random.default_rng(seed)
        most = max(len(one.spots) for one in wanted)
        draws = [[_elsewhere(avoided, rng) for _ in range(most)] for _ in range(ELSEWHERE)]
        asked = []
        for one in wanted:
            spots = tuple(_in_frame(place, picture) for place in one.spots)
            places = [spots, *(tuple(draw[: len(spots)]) for draw in draws)]
            asked.append((one, [_Variant(image, each, fill) for fill in FILLS for each in places]))
        return asked


class _Fills:
    """Creates variants of a batch B×C×H×W. Caches the blurred form of the last image."""

    def __init__(self, inputs: Tensor) -> None:
        self._inputs = inputs
        self._blurred: tuple[int, Tensor] = (-1, inputs[0])

    def __call__(self, variant: _Variant) -> Tensor:
        image = self._inputs[variant.image]
        if not variant.fill:
            return image
        if variant.fill == "mean":
            fill = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
        else:
            if self._blurred[0] != variant.image:
                self._blurred = variant.image, _blurred(image)
            fill = self._blurred[1]
        return torch.where(_cover(variant.places, image), fill, image)


class _Scored(NamedTuple):
    """Scores N×K of variants, by their row. several_labels: each class has its own probability."""

    places: Mapping[_Variant, int]
    scores: Tensor
    several_labels: bool

    def of(self, variants: Sequence[_Variant]) -> Tensor:
        """Scores of selected variants."""
        return self.scores[[self.places[one] for one in variants]]

    def drops(self, whole: _Variant, covers: Sequence[_Variant], target: int) -> dict[str, float]:
        """Drops of the class against the whole image, by names of scores: for each fill with the spots covered, then
        the mean over covers elsewhere."""
        scores, found = self.of([whole, *covers]).double(), dict[str, float]()
        odds = scores[:, target]
        if not self.several_labels:
            # ln p − ln(1 − p), exact even if p rounds to 1.
            odds = odds - torch.cat([scores[:, :target], scores[:, target + 1 :]], dim=1).logsumexp(1)
        for measure, values in ((DROP, odds.sigmoid()), (LOGIT_DROP, odds)):
            for fill, (spots, *elsewhere) in zip(FILLS, (values[0] - values[1:]).reshape(len(FILLS), -1).tolist()):
                found[score_name(measure, fill)] = spots
                found[score_name(measure, fill, elsewhere=True)] = sum(elsewhere) / len(elsewhere)
        return found


def _in_frame(place: Place, picture: Picture) -> Place:
    """Converts a place of the upright image to shares of the network's frame."""
    frame = picture.frame
    x = (place[0] * picture.width - frame.left) / (frame.right - frame.left)
    y = (place[1] * picture.height - frame.top) / (frame.bottom - frame.top)
    return x, y


def _elsewhere(avoided: Sequence[Place], rng: np.random.Generator) -> Place:
    """A random place whose cover touches none of the avoided places; if none is found, the farthest candidate."""
    best, farthest = (0.5, 0.5), -1.0
    for _ in range(_TRIES):
        x, y = rng.uniform(RADIUS, 1 - RADIUS, 2).tolist()
        away = min(max(abs(x - a), abs(y - b)) for a, b in avoided)
        if away > farthest:
            best, farthest = (x, y), away
        if away >= 2 * RADIUS:
            break
    return best


def _cover(places: Sequence[Place], image: Tensor) -> Tensor:
    """Pixels within a radius of places: 1×H×W bool."""
    height, width = image.shape[1:]
    ys = torch.arange(height, device=image.device)[:, None] + 0.5
    xs = torch.arange(width, device=image.device)[None] + 0.5
    radius = RADIUS * max(height, width)
    covered = torch.zeros(height, width, dtype=torch.bool, device=image.device)
    for x, y in places:
        covered |= (xs - x * width) ** 2 + (ys - y * height) ** 2 <= radius**2
    return covered[None]


def _blurred(image: Tensor) -> Tensor:
    """Blurs the image by two box filters of the width of a cover, with repeated edges."""
    reach = max(1, round(RADIUS * max(image.shape[1:]) / 2))
    for _ in range(2):
        image = avg_pool2d(pad(image[None], (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)[0]
    return image
