"""A network as the rest of camx uses it: float32 images in, logits B×K out, whatever its own inputs and outputs are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import CamxError
from ...models.layouts import Path
from ...models.tasks import AUTO, CLASSIFICATION, DETECTION, ORDINAL, SEGMENTATION, SIMILARITY, VALUES
from .detections import BoxScores, detections_of, is_detected
from .endings import Ending, EndingRecorder, as_logits, ending_of
from .first_forward import running
from .network_state import undisturbed
from .pixel_scores import pixel_scores, pixels_as_classes
from .regions import Regions, whole_sums
from .scores import NETWORK, Wanted, as_scores, at, score_path, spelled
from .script_reader import is_readable, reader_of

#: The child through which images enter a network without a layer that hooks can reach.
ENTRY = "input"


@dataclass(frozen=True)
class ScoreReading:
    """Settings with which class scores are read from a network.

    path: of the scores in its output. pick: a function of the user instead. ending: the last function. dtype: of the
    images that it takes. eager: run compiled code uncompiled. interpreted: run TorchScript node by node. task: the kind
    of scores. binary: a segmentation with one logit per pixel. note: what the user should know, or "".
    """

    path: Path = ()
    pick: Callable[[Any], Any] | None = None
    ending: Ending = "logits"
    dtype: torch.dtype = torch.float32
    eager: bool = False
    interpreted: bool = False
    task: str = CLASSIFICATION
    binary: bool = False

    @property
    def note(self) -> str:
        parts = []
        if self.task == SEGMENTATION:
            parts.append("The network has a score per pixel and class: it is explained as a segmentation.")
        if self.task == DETECTION:
            parts.append("The network finds boxes: each gets a map.")
        if self.path:
            parts.append(f"The class scores are the output `{spelled(self.path)}`.")
        if self.ending == "sigmoid":
            parts.append("The network ends in a sigmoid: its scores are probabilities, one per class.")
        elif self.ending != "logits":
            parts.append(f"The network ends in a {self.ending}: its scores are probabilities that add up to 1.")
        return " ".join(parts)


class ScoredNetwork(nn.Module):
    """Wraps a network whose output becomes logits B×K float32; its modules, parameters and buffers are shared.

    Layers have the names of the network. With `entry`, images pass a child `ENTRY`, which is a layer of its own.
    """

    def __init__(
        self, network: nn.Module, reading: ScoreReading, *, entry: bool = False, references: Tensor | None = None
    ) -> None:
        training = _is_training(network)
        self.__dict__[NETWORK] = network
        super().__init__()
        self.training = training
        self.reading, self.entry = reading, entry
        inner = reader_of(network) if reading.interpreted else network  # type: ignore[arg-type]
        self.__dict__["_inner"] = inner
        closed = isinstance(inner, torch.jit.ScriptModule)
        own: dict[str, Any] = {"scripted": network} if closed else inner._modules
        shared = {} if closed else {"_parameters": inner._parameters, "_buffers": inner._buffers}
        self.__dict__.update(_modules={**own, ENTRY: nn.Identity()} if entry else own, **shared)
        self.__dict__.update(_pixels=PixelSums(), _boxes=BoxScores(), _references=references)

    @property
    def training(self) -> bool:
        """Whether the network is in training mode."""
        return _is_training(self.__dict__[NETWORK])

    @training.setter
    def training(self, value: bool) -> None:
        if self.training != value:
            self.__dict__[NETWORK].training = value

    def around(self, network: nn.Module) -> ScoredNetwork:
        """Wraps a replica of the network with the same settings."""
        return ScoredNetwork(network, self.reading, entry=self.entry, references=self.__dict__["_references"])

    @property
    def references(self) -> Tensor | None:
        """The unit embeddings R×D to which those of images are compared; wrappers of replicas share them."""
        found: Tensor | None = self.__dict__["_references"]
        return found

    def with_references(self, references: Tensor | None) -> ScoredNetwork:
        """Returns this network with the cosines to R embeddings R×D as its scores; None: with the embeddings."""
        unit = None if references is None else functional.normalize(references.float(), dim=1)
        return ScoredNetwork(self.__dict__[NETWORK], self.reading, entry=self.entry, references=unit)

    @property
    def gives_values(self) -> bool:
        """Whether its scores are values, or one per box: no softmax over them is a probability."""
        return self.reading.task in (*VALUES, DETECTION)

    def with_entry(self) -> ScoredNetwork:
        """Returns this network with the layer `ENTRY`, which its images pass."""
        return ScoredNetwork(self.__dict__[NETWORK], self.reading, entry=True, references=self.__dict__["_references"])

    @contextlib.contextmanager
    def summed_over(self, regions: Regions | None, mask: Tensor | None = None) -> Iterator[PixelSums]:
        """While active, a segmentation sums its logits over `regions`; None: over those that each forward predicts.

        mask: B×h×w, the pixels that count in predicted regions (see `Regions.predicted`). Yields the sums, with their
        regions.
        """
        sums = PixelSums(regions, mask, predict=regions is None)
        before = self.__dict__["_pixels"]
        self.__dict__["_pixels"] = sums
        try:
            yield sums
        finally:
            self.__dict__["_pixels"] = before

    @contextlib.contextmanager
    def detecting(self, least: float) -> Iterator[BoxScores]:
        """While active, a detector keeps boxes with scores from `least` on. Yields the boxes of its last forward."""
        before, found = self.__dict__["_boxes"], BoxScores(least)
        self.__dict__["_boxes"] = found
        try:
            yield found
        finally:
            self.__dict__["_boxes"] = before

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns logits B×K float32 of images B×C×H×W float32; of a detector, a column per box."""
        reading, recorder = self.reading, EndingRecorder()
        if self.entry:
            pictures = self.get_submodule(ENTRY)(pictures)
        if reading.task == DETECTION:
            boxes: BoxScores = self.__dict__["_boxes"]
            return boxes.scores_of(self.__dict__["_inner"], pictures.to(reading.dtype))
        recording: contextlib.AbstractContextManager[Any] = (
            contextlib.nullcontext() if reading.ending == "logits" else recorder
        )
        with recording, _eager(reading.eager):
            output = self.__dict__["_inner"](pictures.to(reading.dtype))
            found = reading.pick(output) if reading.pick else at(output, reading.path)
        if reading.task == SEGMENTATION:
            logits = as_logits(found, reading.ending, recorder)
            summed: Tensor = self.__dict__["_pixels"](pixels_as_classes(logits) if reading.binary else logits)
            return summed
        if reading.task in VALUES:
            return self._values(as_scores(found, len(pictures)).float())
        return as_logits(as_scores(found, len(pictures)), reading.ending, recorder)

    def _values(self, outputs: Tensor) -> Tensor:
        """Returns values B×K of outputs B×D: cosines to the references, the step on an ordinal scale, or outputs."""
        if self.reading.task == SIMILARITY and self.references is not None:
            return functional.normalize(outputs, dim=1) @ self.references.T
        if self.reading.task == ORDINAL:
            steps = outputs if self.reading.ending == "sigmoid" else outputs.sigmoid()
            return steps.sum(1, keepdim=True)
        return outputs


class PixelSums:
    """Sums the logits of pixels: over given regions, over predicted ones, or over the whole image.

    regions: the given ones, or those that the last forward has predicted.
    """

    def __init__(self, regions: Regions | None = None, mask: Tensor | None = None, *, predict: bool = False) -> None:
        self.regions, self._mask, self._predict = regions, mask, predict

    def __call__(self, logits: Tensor) -> Tensor:
        """Returns scores B×K of logits B×K×H×W."""
        if self._predict:
            self.regions = Regions.predicted(logits, self._mask)
        return whole_sums(logits) if self.regions is None else self.regions.sums(logits)


def task_of(module: nn.Module) -> str:
    """Returns the task of a network from `scored_network`."""
    return module.reading.task if isinstance(module, ScoredNetwork) else CLASSIFICATION


def scored_network(module: nn.Module, picture: Tensor, wanted: Wanted = None, task: str = CLASSIFICATION) -> nn.Module:
    """Returns a network whose output is logits B×K: `module` itself if it is one, else a `ScoredNetwork` around it.

    picture: 1×C×H×W, normalised. wanted: which output holds the scores. task: one of `tasks`; `auto` recognises
    detectors and segmentations by their output. Runs the network once, and once more on two images if its output is not
    simply B×K. Raises `CamxError` if the network does not run on the image, or has no scores of that task, or several
    possible ones.
    """
    if isinstance(module, ScoredNetwork):
        return module
    module = getattr(module, "_orig_mod", module)
    compiled = any("_orig_mod" in one._modules or _compiled_in_place(one) for one in module.modules())
    interpreted = isinstance(module, torch.jit.ScriptModule) and is_readable(module, picture.to(_dtype(module)))
    reading = ScoreReading(dtype=_dtype(module), eager=compiled, interpreted=interpreted)
    output, recorder = _run(module, picture, reading)
    if task == DETECTION or (task == AUTO and is_detected(output)):
        detections_of(output)
        return ScoredNetwork(module, replace(reading, task=DETECTION))
    ordinary = isinstance(output, Tensor) and output.dim() == 2 and len(output) == 1
    if ordinary and wanted is None and task in (AUTO, CLASSIFICATION):
        reading = replace(reading, ending=ending_of(output, recorder))
        plain = reading == ScoreReading() and not isinstance(module, torch.jit.ScriptModule)
        return module if plain else ScoredNetwork(module, reading)
    batch = 1
    with contextlib.suppress(CamxError):
        output, recorder = _run(module, picture.expand(2, -1, -1, -1), reading)
        batch = 2
    if callable(wanted):
        reading = replace(reading, pick=wanted)
        output, wanted, own = _picked(wanted, output), None, True
    else:
        own = False
    pixels = pixel_scores(output, picture.expand(batch, -1, -1, -1), wanted, task)
    if pixels is not None:
        found = at(output, pixels.path)
        reading = replace(reading, task=SEGMENTATION, path=pixels.path, binary=pixels.binary)
        return ScoredNetwork(module, replace(reading, ending=ending_of(found, recorder)))
    if not own:
        reading = replace(reading, path=score_path(output, batch, wanted))
    found = as_scores(at(output, reading.path), batch)
    return ScoredNetwork(
        module, replace(reading, ending=ending_of(found, recorder), task=task if task in VALUES else CLASSIFICATION)
    )


def _run(module: nn.Module, pictures: Tensor, reading: ScoreReading) -> tuple[Any, EndingRecorder]:
    recorder = EndingRecorder()
    with undisturbed(module), recorder, _eager(reading.eager), running(module, pictures):
        return module(pictures.detach().to(reading.dtype).requires_grad_().clone()), recorder


def _picked(pick: Callable[[Any], Any], output: Any) -> Tensor:
    found = pick(output)
    if not isinstance(found, Tensor) or not found.is_floating_point():
        raise CamxError(f"`scores`: the function returns a {type(found).__name__}, not a tensor of scores.")
    return found


def _is_training(module: nn.Module) -> bool:
    """Whether a network is in training mode; a module of torch.jit.freeze has no mode."""
    return bool(getattr(module, "training", False))


def _dtype(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


def _compiled_in_place(module: nn.Module) -> bool:
    return vars(module).get("_compiled_call_impl") is not None


@contextlib.contextmanager
def _eager(wanted: bool) -> Iterator[None]:
    """While active, compiled modules run as they were written: hooks see nothing inside compiled code."""
    if not wanted:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
