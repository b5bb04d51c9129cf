"""Covers places of images and scores them again: does the network depend on what lies there?"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from ..cams.engine.explainer import Explainer
from ..images.picture import Decodable, Picture
from ..maps.explanation import Explanation
from ..models.network import Network
from ..patterns.checking import ELSEWHERE, FILLS, RADIUS, Covered, Place
from .evaluation import Evaluation, ScoredMap

_TRIES = 200


class SpotChecker:
    """An explainer that scores images with places covered, ready for batches.

    wanted: what is covered, by the name of an image. All else is as of `Explainer`.
    """

    def __init__(self, explainer: Explainer, wanted: Mapping[str, Sequence[Covered]], seed: int) -> None:
        self._explainer, self._wanted, self._seed = explainer, wanted, seed
        self.network: Network = explainer.network
        self.device, self.precision, self.backend = explainer.device, explainer.precision, explainer.backend
        self.layer, self.layers = explainer.layer, explainer.layers

    def replica(self) -> SpotChecker:
        """This checker on modules of its own, with the same weights in memory: for another thread."""
        other = copy.copy(self)
        other._explainer = self._explainer.replica()
        other.network = other._explainer.network
        return other

    @torch.inference_mode(False)
    def check(self, images: Sequence[Decodable]) -> list[Evaluation]:
        """Scores prepared images and JPEG files, as one batch or in smaller ones where memory is short."""
        return self._explainer.in_batches(images, self._batch, lambda picture, why: Evaluation(picture, problem=why))

    def _batch(self, pictures: Sequence[Picture], inputs: Tensor) -> list[Evaluation]:
        explained = self._explainer.explain_batch(pictures, inputs)
        return [self._one(one, inputs[place]) for place, one in enumerate(explained)]

    def _one(self, explained: Explanation, image: Tensor) -> Evaluation:
        picture = explained.picture
        if explained.problem or not explained.maps:
            return Evaluation(picture, problem=explained.problem or "no map was made")
        maps = tuple(self._drops(explained, image, one) for one in self._wanted[picture.source.key])
        return Evaluation(picture, explained.ranking, maps, explained.truth, explained.correct)

    def _drops(self, explained: Explanation, image: Tensor, wanted: Covered) -> ScoredMap:
        """Drops of the class: with the spots covered, and the mean of as much covered elsewhere."""
        picture = explained.picture
        spots, avoided = ([_in_frame(place, picture) for place in places] for places in (wanted.spots, wanted.avoided))
        seed = zlib.crc32(f"{self._seed} {wanted.name} {picture.source.key}".encode("utf-8", "surrogateescape"))
        rng = np.random.default_rng(seed)
        sets = [spots, *([_elsewhere(avoided, rng) for _ in spots] for _ in range(ELSEWHERE))]
        fills = {"mean": image.mean(dim=(1, 2), keepdim=True).expand_as(image), "blur": _blurred(image)}
        covers = [_cover(places, image) for places in sets]
        variants = [image, *(torch.where(cover, fills[name], image) for name in FILLS for cover in covers)]
        replay = self._explainer.replay(image[None])
        scores = replay.scores(len(variants), lambda part: torch.stack(variants[part]))
        shown = replay.probabilities(scores)[:, wanted.target].tolist()
        drops = np.array([shown[0] - one for one in shown[1:]]).reshape(len(FILLS), -1)
        found = {f"drop_{name}": float(drops[i, 0]) for i, name in enumerate(FILLS)}
        found |= {f"elsewhere_{name}": float(drops[i, 1:].mean()) for i, name in enumerate(FILLS)}
        prediction = next((one.prediction for one in explained.maps if one.prediction.index == wanted.target), None)
        return ScoredMap(
            wanted.name, "", prediction or explained.maps[0].prediction, np.zeros((1, 1), np.float32), scores=found
        )


def _in_frame(place: Place, picture: Picture) -> Place:
    """A place of the upright image as shares of what the network sees of it."""
    frame = picture.frame
    x = (place[0] * picture.width - frame.left) / (frame.right - frame.left)
    y = (place[1] * picture.height - frame.top) / (frame.bottom - frame.top)
    return x, y


def _elsewhere(avoided: Sequence[Place], rng: np.random.Generator) -> Place:
    """A place whose cover touches none of those to avoid; where there is none, the farthest that was tried."""
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
    """The pixels within a radius of places: 1×H×W bool."""
    height, width = image.shape[1:]
    ys = torch.arange(height, device=image.device)[:, None] + 0.5
    xs = torch.arange(width, device=image.device)[None] + 0.5
    radius = RADIUS * max(height, width)
    covered = torch.zeros(height, width, dtype=torch.bool, device=image.device)
    for x, y in places:
        covered |= (xs - x * width) ** 2 + (ys - y * height) ** 2 <= radius**2
    return covered[None]


def _blurred(image: Tensor) -> Tensor:
    """The image under two box filters as wide as a cover, with its edges repeated."""
    reach = max(1, round(RADIUS * max(image.shape[1:]) / 2))
    for _ in range(2):
        image = avg_pool2d(pad(image[None], (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)[0]
    return image
