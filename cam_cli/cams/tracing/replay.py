"""More runs of the network behind a trace: on other images, from other activations, with gradients to the pixels.

All of them in chunks that a memory budget allows: never more images at once, whatever a method asks for.
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

#: Bytes that the activations of one chunk may take, as far as they can be guessed.
BUDGET = 2**29
#: Guesses of what an image needs, in multiples of its own bytes: without a graph, and with one. A wrong
#: guess costs a smaller chunk, or a second try with half of it.
_FORWARD, _GRAPH = 32, 256

R = TypeVar("R")

#: Receives the progress of a method within an image or a batch: (steps done, steps in all).
StepCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class Replay:
    """Runs the network of a trace again.

    inputs: the batch B×C×H×W of the trace, normalised. layers: the target layers that the network was cut at.
    black, white: images of one colour 1×C×1×1, normalised; 0.0, the mean colour, where nobody knows the normalisation.
    seed: of all random numbers, which begin anew for every image, so that a map depends on its image alone.
    multi_label: each class has a probability of its own (sigmoid) instead of a share (softmax).
    backend: runs what lies before the layers, where no gradient is asked for before them and no module is watched.
    regions: of a segmentation, the pixels that its scores are summed over, also where the images are changed.
    mask: of a segmentation, the pixels that are asked for: B×h×w (see `Regions.predicted`). least: of a detector, the
    smallest score of the boxes that it keeps. boxes: those of the batch, in the order of its scores.
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
    #: The head runner of the image that was asked for last, by its index and the layer's name.
    _heads: dict[tuple[int, str], HeadRunner] = field(default_factory=dict, init=False, repr=False)
    #: What methods share, by its name, with the classes it was computed for.
    _shared: dict[str, tuple[Tensor, Any]] = field(default_factory=dict, init=False, repr=False)

    def generator(self) -> torch.Generator:
        """Returns a fresh source of random numbers; on the CPU, so that every device draws equal ones."""
        return torch.Generator().manual_seed(self.seed)

    def shared(self, name: str, classes: Tensor, compute: Callable[[], R]) -> R:
        """Returns `compute()`, which runs once for the same `name` and B×T classes: methods share its forwards."""
        if name not in self._shared or not torch.equal(self._shared[name][0], classes):
            self._shared[name] = (classes, compute())
        found: R = self._shared[name][1]
        return found

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turns scores n×K into probabilities n×K: softmax, or sigmoid for several labels.

        Scores of another task than classification have none, and stay as they are.
        """
        if task_of(self.module) != CLASSIFICATION:
            return scores
        return scores.sigmoid() if self.multi_label else scores.softmax(1)

    def scores(self, count: int, pictures: Callable[[slice], Tensor], image: int | None = None) -> Tensor:
        """Returns the scores count×K of `count` normalised images; `pictures` makes a slice of them at a time.

        image: the one of the batch that they are made of; a segmentation sums over its regions. Raises `ValueError` for
        a segmentation where it is not known which of several images that is.
        """
        with self._summed(image):
            return self.in_parts(count, lambda part: self._forward(pictures(part)))

    def detections(self, count: int, pictures: Callable[[slice], Tensor]) -> list[Detections]:
        """Returns all boxes, as far as the detector keeps them by itself, of `count` images; see `scores`."""
        found: list[Detections] = []

        def run(part: slice) -> Tensor:
            assert isinstance(self.module, ScoredNetwork)
            with self.module.detecting(1.0) as boxes:
                scores = self._forward(pictures(part))
            found.extend(boxes.found)
            return scores[:, :1]

        self._in_chunks(count, self.inputs[0].numel() * self.inputs.element_size() * _FORWARD, run)
        return found

    def _summed(self, image: int | None) -> AbstractContextManager[object]:
        """The context in which a segmentation sums over the regions of one image of the batch."""
        if self.regions is None or not isinstance(self.module, ScoredNetwork):
            return contextlib.nullcontext()
        if image is None and len(self.regions.labels) > 1:
            raise ValueError("which of several images has been changed is not known")
        return self.module.summed_over(self.regions.of(image or 0))

    def _summed_part(self, part: slice) -> AbstractContextManager[object]:
        """The context in which a segmentation sums over the regions of a slice of the batch, image by image."""
        if self.regions is None or not isinstance(self.module, ScoredNetwork):
            return contextlib.nullcontext()
        return self.module.summed_over(self.regions.part(part))

    def head_scores(self, layer: TargetLayer, image: int, count: int, features: Callable[[slice], Tensor]) -> Tensor:
        """Returns the scores count×K of one image of the batch with other activations at `layer`.

        `features` makes a slice of them, n×C×h×w, at a time. Only the head runs, where the network allows that.
        """
        key = (image, layer.name)
        if key not in self._heads:
            self._heads.clear()
            with self.autocast(), self._summed(image):
                self._heads[key] = HeadRunner(self.module, layer, self.inputs[image : image + 1])
        head = self._heads[key]

        def run(part: slice) -> Tensor:
            with self.autocast(), self._summed(image):
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
        """Joins what `read` makes of each part of the images and of its scores n×K, with their graph.

        The network runs, and `read` is called, within `context()`.
        """

        def run(part: slice) -> Tensor:
            leaf = pictures[part].detach().clone().requires_grad_()
            with undisturbed(self.module), context(), self.autocast(), self._summed_part(part):
                scores = two_sided(scores_of(self.module(leaf.clone())), self.module).float()
                return read(leaf, scores, part)

        nbytes = pictures[0].numel() * pictures.element_size() * _GRAPH
        return self._in_chunks(len(pictures), nbytes, run)

    def in_parts(self, count: int, run: Callable[[slice], Tensor]) -> Tensor:
        """Joins the results of `run` on slices of 0…count, with as many whole forwards at once as memory allows."""
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
