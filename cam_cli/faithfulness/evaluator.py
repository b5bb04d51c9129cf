"""Engine of `camx evaluate`: computes maps and their scores for batches of images, with two baselines."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..cams.engine.explainer import Explainer
from ..cams.engine.options import ExplainOptions
from ..cams.target_layer.probe import probe_picture
from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..evaluation.faithful_scores import BASELINES
from ..images.picture import Decodable, Picture
from ..maps.explanation import ClassMap, Explanation, Prediction
from ..models.network import Network
from ..models.tasks import CLASSIFICATION
from .batch import MeasuredBatch
from .cells import centre_map, on_grid, random_maps, ranks
from .evaluation import Evaluation, ScoredMap
from .measures import MEASURES, Cost, Measure, MeasuredScores
from .options import FaithfulOptions
from .randomised import randomised_networks

#: Number of top classes in a row.
_TOP = 5
#: Most cells per side of the grid; larger grids, such as that of the pixels, are reduced.
_MOST_CELLS, _FEWER_CELLS = 32, 14


class Evaluator:
    """Measures methods on batches of images.

    grid: rows and columns of the cells in which images are changed: those of the target layer, or fewer. Other
    attributes as in `Explainer`.
    """

    @torch.inference_mode(False)
    @torch.enable_grad()
    def __init__(
        self,
        network: Network,
        options: FaithfulOptions = FaithfulOptions(),
        on_step: StepCallback | None = None,
        images: int = 0,
    ) -> None:
        """Moves the network to the device and finds the target layer; for `sanity` also builds permuted networks.

        images: expected number. Raises `CamxError` for impossible options, and for methods that do not work with this
        network.
        """
        self.options = options
        explain = ExplainOptions(
            methods=options.methods,
            targets=(options.target,),
            layers=options.layers,
            top_k=_TOP,
            multi_label=options.multi_label,
            seed=options.seed,
            device=options.device,
            precision=options.precision,
            backend=options.backend,
        )
        self._explainer = Explainer(network, explain, on_step=on_step, images=images * self.cost.forwards)
        if self._explainer.task != CLASSIFICATION:
            raise CamxError(
                f"`camx evaluate` measures drops of class probabilities, but {network.name} is no classifier of "
                f"images ({self._explainer.task}).",
                "Explain it with `camx explain`; `camx evaluate OUT --truth MASKS` compares its maps with masks.",
            )
        self.backend = self._explainer.backend
        self.network = replace(network, warnings=self._explainer.network.warnings)
        self.device, self.precision = self._explainer.device, self._explainer.precision
        self.layer, self.layers = self._explainer.layer, self._explainer.layers
        preprocessing = network.preprocessing
        self._picture = probe_picture(preprocessing.channels, preprocessing.input_size).to(self.device)
        self._pixel = 1 / torch.tensor(preprocessing.std, device=self.device).view(1, -1, 1, 1)
        height, width = self._explainer.trace(self._picture).features.shape[2:]
        self.grid = (_cells(height), _cells(width))
        self._permuted: list[Explainer] = []
        if "sanity" in options.metrics:
            replay = self._explainer.replay(self._picture)
            networks = randomised_networks(
                network, lambda: replay.scores(1, lambda part: self._picture[part]), options.seed
            )
            self._permuted = [self._explainer.with_network(one) for one in networks]

    def replica(self) -> Evaluator:
        """Copy for another thread: own modules that share the weights in memory."""
        other = copy.copy(self)
        other._explainer = self._explainer.replica()
        other.network = other._explainer.network
        other._permuted = [one.replica() for one in self._permuted]
        return other

    @property
    def explainer(self) -> Explainer:
        """Explainer that computes the maps."""
        return self._explainer

    @property
    def cost(self) -> Cost:
        """Forwards and explanations per image."""
        costs = [self._cost(MEASURES[name]) for name in self.options.metrics]
        return Cost(sum(one.forwards for one in costs), 1 + sum(one.explanations for one in costs))

    def _cost(self, measure: Measure) -> Cost:
        return measure.cost(len(self.options.methods) + len(BASELINES), self.options.steps, self.options.draws)

    def seconds_per_image(self) -> float:
        """Estimated time per image, from measured times of a forward, an explanation and a change of an image."""
        replay, classes = self._explainer.replay(self._picture), torch.zeros(1, 1, dtype=torch.long, device=self.device)
        several = self._picture.expand(8, -1, -1, -1)
        total = self.cost.forwards * self._seconds(lambda: replay.scores(8, lambda part: several[part])) / 8
        total += self.cost.explanations * self._seconds(lambda: self._explainer.explain_tensor(self._picture, classes))
        for measure in (MEASURES[name] for name in self.options.metrics):
            if (change := measure.change) is not None:
                total += self._cost(measure).forwards * self._seconds(partial(change, self._picture))
        return total

    def _seconds(self, run: Callable[[], object]) -> float:
        """Shorter time of two runs."""
        best = float("inf")
        for _ in range(2):
            began = time.perf_counter()
            run()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            best = min(best, time.perf_counter() - began)
        return best

    @torch.inference_mode(False)
    @torch.enable_grad()
    def evaluate(self, images: Sequence[Decodable]) -> list[Evaluation]:
        """Measures prepared images and JPEG files, in smaller batches if memory is short."""
        return self._explainer.in_batches(images, self._batch, lambda picture, why: Evaluation(picture, problem=why))

    def _batch(self, pictures: Sequence[Picture], inputs: Tensor) -> list[Evaluation]:
        explained = self._explainer.explain_batch(pictures, inputs)
        own = [self._own_maps(one) for one in explained]
        usable = [i for i, maps in enumerate(own) if maps]
        if not usable:
            return [self._empty(one) for one in explained]
        measured = self._measured([explained[i] for i in usable], [own[i] for i in usable], inputs[usable])
        found = iter(measured)
        return [next(found) if maps else self._empty(one) for one, maps in zip(explained, own)]

    def _own_maps(self, explained: Explanation) -> list[ClassMap]:
        """First map of each method; none if the image has a problem."""
        firsts = {one.method: one for one in reversed(explained.maps)}
        return [firsts[name] for name in self.options.methods] if explained.maps else []

    def _empty(self, explained: Explanation) -> Evaluation:
        return Evaluation(explained.picture, problem=explained.problem or "the image has no map")

    def _measured(
        self, explained: Sequence[Explanation], own: Sequence[Sequence[ClassMap]], inputs: Tensor
    ) -> list[Evaluation]:
        keys = tuple(one.picture.source.key for one in explained)
        classes = torch.tensor([maps[0].prediction.index for maps in own], device=self.device)
        raw = [torch.stack([self._on_grid(torch.from_numpy(one.values)[None])[0] for one in maps]) for maps in own]
        finite = torch.stack(raw).to(self.device)
        maps = torch.cat([finite, self._baselines(keys, 0, finite)], dim=1)
        shown = torch.isfinite(maps).all(-1).all(-1) & (maps > 0).any(-1).any(-1)
        maps = maps.nan_to_num(0.0, 0.0, 0.0)
        ties = random_maps(keys, self.grid, self.options.seed, -1).to(self.device)
        batch = MeasuredBatch(
            replay=self._explainer.replay(inputs),
            inputs=inputs,
            classes=classes,
            base=torch.tensor([maps[0].prediction.probability for maps in own], device=self.device),
            maps=maps,
            ranks=ranks(maps.flatten(0, 1), ties.repeat_interleave(maps.shape[1], 0)).view_as(maps),
            keys=keys,
            pixel=self._pixel,
            class_count=self._explainer.class_count,
            explain=lambda *some: self._maps(self._explainer, keys, classes, *some),
            permuted=tuple(lambda *some, one=one: self._maps(one, keys, classes, *some) for one in self._permuted),
            steps=self.options.steps,
            draws=self.options.draws,
            seed=self.options.seed,
        )
        found = [MEASURES[name].run(batch) for name in self.options.metrics]
        values, visible = maps.cpu().numpy(), shown.cpu()
        return [
            Evaluation(
                picture=one.picture,
                ranking=one.ranking,
                maps=tuple(
                    self._scored(found, i, number, about, values[i, number], bool(visible[i, number]))
                    for number, about in enumerate(self._about(own[i]))
                ),
                truth=one.truth,
                correct=one.correct,
            )
            for i, one in enumerate(explained)
        ]

    def _on_grid(self, maps: Tensor) -> Tensor:
        return on_grid(maps.float(), self.grid)

    def _about(self, own: Sequence[ClassMap]) -> list[tuple[str, str, Prediction]]:
        """Method, layer and class of each map of an image."""
        target = own[0].prediction
        return [(one.method, one.layer, one.prediction) for one in own] + [(name, "", target) for name in BASELINES]

    @staticmethod
    def _scored(
        found: Sequence[MeasuredScores],
        image: int,
        number: int,
        about: tuple[str, str, Prediction],
        values: np.ndarray,
        shown: bool,
    ) -> ScoredMap:
        scores: dict[str, float] = {}
        curves: dict[str, list[float]] = {}
        if shown:
            every = {name: float(column[image, number]) for one in found for name, column in one.scores.items()}
            scores = {name: value for name, value in every.items() if np.isfinite(value)}
            some = {name: column[image, number] for one in found for name, column in one.curves.items()}
            curves = {name: points.tolist() for name, points in some.items() if bool(torch.isfinite(points).all())}
        return ScoredMap(*about, values, shown, scores, curves)

    def _maps(
        self,
        explainer: Explainer,
        keys: Sequence[str],
        classes: Tensor,
        pictures: Tensor,
        draw: int,
        which: Sequence[int],
    ) -> Tensor:
        """Raw maps B×n×h×w of changed images for the same classes on the grid; 0 for values that are not finite.

        which: indices of the maps.
        """
        names = tuple(name for number, name in enumerate(self.options.methods) if number in which)
        explained: Mapping[str, Tensor] = {}
        if names:
            with torch.enable_grad():
                explained = explainer.with_methods(names).explain_tensor(pictures, classes[:, None])[1]
        columns = [self._on_grid(explained[name][:, 0]) for name in names]
        fixed = self._baselines(keys, draw, pictures)
        first = len(self.options.methods)
        columns += [fixed[:, number - first] for number in which if number >= first]
        return torch.stack(columns, dim=1).nan_to_num(0.0, 0.0, 0.0)

    def _baselines(self, keys: Sequence[str], draw: int, like: Tensor) -> Tensor:
        """Baseline maps B×2×h×w: a random one, different in every draw, and the centre."""
        random = random_maps(keys, self.grid, self.options.seed, draw)
        return torch.stack([random, centre_map(self.grid).expand_as(random)], dim=1).to(like.device)


def _cells(side: int) -> int:
    """Number of cells of a side of the grid."""
    return side if side <= _MOST_CELLS else _FEWER_CELLS
