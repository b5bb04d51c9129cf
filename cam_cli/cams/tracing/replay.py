"""Runs the network of a trace again: on other images, from other activations, with gradients to the pixels.

Every run is split into chunks of images that fit a memory budget, however many images a method asks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ...models.hooks import TargetLayer
from ...models.tasks import CLASSIFICATION
from .detections import BoxScores, Detections
from .head import HeadRunner
from .network_state import undisturbed
from .out_of_memory import is_out_of_memory
from .regions import Regions
from .scored_network import ScoredNetwork, task_of
from .scores import scores_of, two_sided
from .upstream import UpstreamBackend

#: Estimated bytes that the activations of one chunk may take.
BUDGET = 2**29
#: Estimated bytes of a forward per image, in multiples of the bytes of its input: without and with an autograd graph.
#: With a wrong estimate chunks are smaller than necessary, or run out of memory and are halved.
_FORWARD, _GRAPH = 32, 256

R = TypeVar("R")

#: Receives the progress of a method within an image or a batch: (steps done, steps in all).
StepCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class Replay:
    """Runs the network of a trace again.

    inputs: the batch B×C×H×W of the trace, normalised. layers: the target layers at which the network was cut.
    black, white: images of one colour 1×C×1×1, normalised; 0.0, the mean colour, if the normalisation is unknown.
    seed: of all random numbers, which restart for every image, so that a map depends on its image alone.
    multi_label: each class has a probability of its own (sigmoid) instead of a share (softmax).
    autocast: the context of a forward in reduced precision. on_step: receives the progress.
    backend: may run the modules before the layers another way; used for forwards without gradients to the pixels.
    regions: of a segmentation, the pixels over which its logits are summed, also those of changed images.
    mask: of a segmentation, the pixels of the images that count: B×h×w (see `Regions.predicted`). least: of a detector,
    the smallest score of the boxes that it keeps. boxes: of a detector, those of the batch in the order of its scores.
    """

    module: nn.Module
    inputs: Tensor
    layers: tuple[TargetLayer, ...]
    black: Tensor | float = 0.0
    white: Tensor | float = 0.0
    seed: int = 0
    multi_label: bool = False
    autocast: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    on_step: StepCallback | None = None
    backend: UpstreamBackend = contextlib.nullcontext
    regions: Regions | None = None
    mask: Tensor | None = None
    least: float = 0.0
    boxes: BoxScores | None = None
    #: The last head runner, by the index of its image and the name of its layer.
    _heads: dict[tuple[int, str], HeadRunner] = field(default_factory=dict, init=False, repr=False)
    #: Results that methods share, by name, with the classes B×T for which they were computed.
    _shared: dict[str, tuple[Tensor, Any]] = field(default_factory=dict, init=False, repr=False)

    def generator(self) -> torch.Generator:
        """Returns a generator of random numbers from `seed`; on the CPU, so that every device draws the same ones."""
        return torch.Generator().manual_seed(self.seed)

    def shared(self, name: str, classes: Tensor, compute: Callable[[], R]) -> R:
        """Returns `compute()`, and runs it once for the same `name` and classes B×T: methods share its forwards."""
        if name not in self._shared or not torch.equal(self._shared[name][0], classes):
            self._shared[name] = (classes, compute())
        found: R = self._shared[name][1]
        return found

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turns scores n×K into probabilities n×K: softmax, or sigmoid for several labels.

        Only classifiers have probabilities; the scores of other tasks are returned unchanged.
        """
        if task_of(self.module) != CLASSIFICATION:
            return scores
        return scores.sigmoid() if self.multi_label else scores.softmax(1)

    def scores(self, count: int, pictures: Callable[[slice], Tensor], image: int | None = None) -> Tensor:
        """Returns the scores count×K float32 of `count` normalised images; `pictures` makes those of a slice.

        image: the index in the batch of the image from which they are made; a segmentation sums over its regions.
        Raises `ValueError` if a segmentation needs it and it is None.
        """
        with self._summing_over_image(image):
            return self.in_parts(count, lambda part: self._forward(pictures(part)))

    def detections(self, count: int, pictures: Callable[[slice], Tensor]) -> list[Detections]:
        """Returns the boxes that the detector keeps by itself for each of `count` images; `pictures` as in `scores`."""
        found: list[Detections] = []

        def run(part: slice) -> Tensor:
            assert isinstance(self.module, ScoredNetwork)
            with self.module.detecting(1.0) as boxes:
                scores = self._forward(pictures(part))
            found.extend(boxes.found)
            return scores[:, :1]

        self.in_parts(count, run)
        return found

    def _summing_over_image(self, image: int | None) -> AbstractContextManager[object]:
        """Context in which a segmentation sums over the regions of one image of the batch."""
        if self.regions is None or not isinstance(self.module, ScoredNetwork):
            return contextlib.nullcontext()
        if image is None and len(self.regions.labels) > 1:
            raise ValueError("a segmentation of several images needs the index `image` of the changed one")
        return self.module.summed_over(self.regions.of(image or 0))

    def _summing_over_part(self, part: slice) -> AbstractContextManager[object]:
        """Context in which a segmentation sums over the regions of a slice of the batch, image by image."""
        if self.regions is None or not isinstance(self.module, ScoredNetwork):
            return contextlib.nullcontext()
        return self.module.summed_over(self.regions.part(part))

    def head_scores(self, layer: TargetLayer, image: int, count: int, features: Callable[[slice], Tensor]) -> Tensor:
        """Returns the scores count×K float32 of one image of the batch (an index) with other activations at `layer`.

        `features` makes those of a slice: n×C×h×w. Only the head runs, if the network allows it (see `HeadRunner`).
        """
        key = (image, layer.name)
        if key not in self._heads:
            self._heads.clear()
            with self.autocast(), self._summing_over_image(image):
                self._heads[key] = HeadRunner(self.module, layer, self.inputs[image : image + 1])
        head = self._heads[key]

        def run(part: slice) -> Tensor:
            with self.autocast(), self._summing_over_image(image):
                return head(features(part)).float()

        return self._in_chunks(count, head.input_numbers * 4 * _FORWARD, run)

    def gradients(
        self,
        pictures: Tensor,
        classes: Tensor,
        sign: int = 1,
        context: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> Tensor:
        """Returns `sign` × ∂score[b, classes[b, t]] / ∂images[b], B×T×C×H×W float32, computed within `context()`."""

        def read(leaf: Tensor, scores: Tensor, part: slice) -> Tensor:
            columns = []
            for column in classes[part].unbind(1):
                start = torch.zeros_like(scores).scatter_(1, column[:, None], float(sign))
                (gradient,) = torch.autograd.grad(scores, leaf, start, retain_graph=True, materialize_grads=True)
                columns.append(gradient.float())
            return torch.stack(columns, dim=1)

        return self.differentiated(pictures, read, context)

    def differentiated(
        self,
        pictures: Tensor,
        read: Callable[[Tensor, Tensor, slice], Tensor],
        context: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> Tensor:
        """Runs the network with gradients to the pixels, and joins the results of `read`(leaf, scores, slice).

        leaf: n×C×H×W, a copy of a slice of `pictures`. scores: n×K float32, with their graph to the leaf. The network
        and `read` run within `context()`.
        """

        def run(part: slice) -> Tensor:
            leaf = pictures[part].detach().clone().requires_grad_()
            with undisturbed(self.module), context(), self.autocast(), self._summing_over_part(part):
                scores = two_sided(scores_of(self.module(leaf.clone())), self.module).float()
                return read(leaf, scores, part)

        nbytes = pictures[0].numel() * pictures.element_size() * _GRAPH
        return self._in_chunks(len(pictures), nbytes, run)

    def in_parts(self, count: int, run: Callable[[slice], Tensor]) -> Tensor:
        """Joins the results of `run` on slices of 0…count, each of as many whole forwards as memory allows."""
        return self._in_chunks(count, self._bytes_of_image, run)

    @property
    def _bytes_of_image(self) -> int:
        return self.inputs[0].numel() * self.inputs.element_size() * _FORWARD

    def report_step(self, done: int, total: int) -> None:
        """Calls `on_step`, if there is one."""
        if self.on_step is not None:
            self.on_step(done, total)

    def _forward(self, pictures: Tensor) -> Tensor:
        with undisturbed(self.module), torch.no_grad(), self.autocast(), self.backend(pictures) as batch:
            return two_sided(scores_of(self.module(batch)), self.module).float()

    def _in_chunks(self, count: int, bytes_of_one: int, run: Callable[[slice], Tensor]) -> Tensor:
        """Joins the results of `run` on slices of 0…count; halves the slices where the device is out of memory."""
        size, done, results = max(1, BUDGET // bytes_of_one), 0, []
        while done < count:
            part = slice(done, min(count, done + size))
            try:
                results.append(run(part))
            except RuntimeError as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
                size = max(1, size // 2)
                continue
            done = part.stop
            if count > size:
                self.report_step(done, count)
        return torch.cat(results)
