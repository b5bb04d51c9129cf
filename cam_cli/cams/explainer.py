"""Batches of pictures in, explanations out: the engine behind every command and for use as a library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import CamxError, nearest
from ..images.decode import upright_rgb
from ..images.geometry import Preprocessing
from ..images.picture import Picture, prepare
from ..images.sources import Source
from ..models.catalog import Network
from ..models.classes import checked
from .classifier import Classifier, find_classifier
from .cut import TargetLayer, Trace, trace
from .layers import AUTO, choose_layer
from .methods import METHODS
from .probe import probe_picture
from .runner import Runner, check_precision
from .targets import Target


@dataclass(frozen=True)
class Prediction:
    """One class of an image's ranking: `probability` is the softmax of the scores, in [0, 1]."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class ClassMap:
    """The raw map of one method for one class: float32 h×w on the grid of the layer, any sign and scale."""

    method: str
    layer: str
    prediction: Prediction
    values: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """All that is known of one picture: its best classes, best first, and its maps, in the order asked for.

    `label` is its true class, if known to the model. `problem` says why there is nothing to show, or is "".
    """

    picture: Picture
    ranking: tuple[Prediction, ...] = ()
    maps: tuple[ClassMap, ...] = ()
    label: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class ExplainOptions:
    """What to explain and how to run. `precision` auto: bf16 on GPUs that have it, else fp32.

    Raises `CamxError` for values that do not exist.
    """

    methods: tuple[str, ...] = ("gradcam",)
    target: Target = Target()
    layer: str = AUTO
    top_k: int = 5
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in METHODS:
                raise CamxError(f"Unknown method {name!r}.{nearest(name, METHODS)} Methods: {', '.join(METHODS)}.")
        if self.top_k < 1:
            raise CamxError(f"--top-k {self.top_k}: at least one class is needed.")
        check_precision(self.precision)


class Explainer:
    """A network with its target layer, ready for batches.

    >>> network = load_model("resnet50")
    >>> explainer = Explainer(network)
    >>> explanations = explainer.explain_images([Image.open("dog.jpg")])
    """

    @torch.inference_mode(False)
    def __init__(self, network: Network, options: ExplainOptions = ExplainOptions()) -> None:
        """Moves the network to the device and finds the layer. Raises `CamxError` for what cannot be done."""
        self.network = network
        self.options = options
        self._runner = Runner(network, options.device, options.precision)
        self.device, self.precision = self._runner.device, self._runner.precision
        preprocessing = network.preprocessing
        self.layer: TargetLayer = choose_layer(
            self._runner.module, preprocessing.input_size, preprocessing.channels, options.layer
        )
        self.class_count, self._classifier = self._examined(preprocessing)
        checked(network.classes, self.class_count, "The list of class names")
        self._target = options.target.resolved(network.classes, self.class_count)

    def explain_images(self, images: Sequence[Image.Image]) -> list[Explanation]:
        """Explain pictures in memory (any mode, turned as their EXIF data say), one explanation each, in order."""
        named = [(Source(f"image-{i}", ""), upright_rgb(image)) for i, image in enumerate(images)]
        return self.explain([prepare(image, source, self.network.preprocessing) for source, image in named])

    def explain(self, pictures: Sequence[Picture]) -> list[Explanation]:
        """Explain prepared pictures as one batch, in smaller ones where the memory does not hold it.

        The size that fits is remembered. A picture that does not even fit alone is told so in its explanation.
        """
        return self._runner.in_batches(pictures, self._batch, lambda one, why: Explanation(one, problem=why))

    def explain_tensor(self, inputs: Tensor, classes: Tensor | None = None) -> tuple[Trace, dict[str, Tensor]]:
        """The engine alone: a normalised batch B×C×H×W on the device → its trace, and B×T×h×w maps per method.

        `classes` B×T; None for the predicted one.
        """
        with self._runner.autocast():
            traced = trace(self._runner.module, inputs, self.layer, self._classifier)
        # Outside autocast: the arithmetic of the maps is float32 whatever the network ran in.
        chosen = traced.logits.argmax(1, keepdim=True) if classes is None else classes
        return traced, {name: METHODS[name].maps(traced, chosen) for name in self.options.methods}

    def _batch(self, pictures: Sequence[Picture]) -> list[Explanation]:
        labels = [self.label_of(picture.source) for picture in pictures]
        with self._runner.autocast():
            traced = trace(self._runner.module, self._runner.inputs(pictures), self.layer, self._classifier)
        classes = self._target.classes(traced.logits.nan_to_num(), labels)
        maps = {name: METHODS[name].maps(traced, classes).cpu().numpy() for name in self.options.methods}
        probabilities = traced.logits.softmax(1)
        top = probabilities.topk(min(self.options.top_k, self.class_count), dim=1)
        wanted = probabilities.gather(1, classes).tolist()
        rankings = zip(top.indices.tolist(), top.values.tolist())
        finite = torch.isfinite(traced.logits).all(1).tolist()
        explanations = []
        for i, (picture, (indices, values)) in enumerate(zip(pictures, rankings)):
            if not finite[i]:
                explanations.append(Explanation(picture, problem="the network returned NaN or infinite scores"))
            elif self._target.kind == "label" and labels[i] is None:
                explanations.append(Explanation(picture, problem=self._no_label(picture.source)))
            else:
                ranking = tuple(self._prediction(c, p) for c, p in zip(indices, values))
                targets = [self._prediction(c, p) for c, p in zip(classes[i].tolist(), wanted[i])]
                shown = tuple(
                    ClassMap(m, self.layer.name, target, maps[m][i, t])
                    for m in maps
                    for t, target in enumerate(targets)
                )
                explanations.append(Explanation(picture, ranking, shown, labels[i]))
        return explanations

    def label_of(self, source: Source) -> int | None:
        """The class that a source's label means to this model; None without a label or if the model lacks it."""
        if not source.label:
            return None
        try:
            return self.network.classes.index(source.label, self.class_count)
        except CamxError:
            return None

    def _no_label(self, source: Source) -> str:
        return f"its label {source.label!r} is no class of the model" if source.label else "it has no label to explain"

    def _prediction(self, index: int, probability: float) -> Prediction:
        return Prediction(index, self.network.classes[index], probability)

    def _examined(self, preprocessing: Preprocessing) -> tuple[int, Classifier | None]:
        """The number of classes and, where a method needs it, the proven linear head."""
        picture = probe_picture(preprocessing.channels, preprocessing.input_size).to(self.device)
        traced = trace(self._runner.module, picture, self.layer)
        needed = any(METHODS[name].needs_classifier for name in self.options.methods)
        head = find_classifier(self._runner.module, traced.features, traced.logits) if needed else None
        return traced.logits.shape[1], head
