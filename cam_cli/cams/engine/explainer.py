"""Batches of pictures in, explanations out: the engine behind every command and for use as a library."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import torch
from PIL import Image
from torch import Tensor

from ...errors import CamxError
from ...images.listing import Source
from ...images.picture import Decodable, Picture
from ...maps.explanation import ClassMap, Explanation, Prediction
from ...models.catalog import Network
from ...models.classes import checked
from ..methods.augmentation import VIEWS, average_views
from ..methods.concepts import CONCEPTS
from ..methods.fusion import Maps, maps_of
from ..methods.method import Method
from ..methods.registry import METHODS
from ..target_layer.choose import choose_layer
from ..target_layer.probe import probe_picture
from ..tracing.classifier import Classifier, find_classifier
from ..tracing.replay import Replay, StepCallback
from ..tracing.trace import Trace, trace, traces
from .backends import Compiled, compiled
from .batches import Runner
from .device_overlays import OverlayRenderer
from .inputs import as_pictures
from .options import ExplainOptions
from .targets import Scores, as_columns, chosen

#: What the map of a method that reads no layer is called in its place.
_PLACES = {"pixels": "input", "patches": "attention"}


class Explainer:
    """A network with its target layer, ready for batches.

    >>> network = load_model("resnet50")
    >>> explainer = Explainer(network)
    >>> explanations = explainer([Image.open("dog.jpg")])

    `layers` are those that were asked for, `layer` the first of them.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        network: Network,
        options: ExplainOptions = ExplainOptions(),
        *,
        overlays: OverlayRenderer | None = None,
        on_step: StepCallback | None = None,
    ) -> None:
        """Moves the network to the device and finds the layer.

        overlays: draws the maps of JPEG files on the device; the maps must be of one sign. on_step: called with
        (steps done, steps in all) by methods that take many forwards. Raises `CamxError` for what cannot be done, and
        for methods that do not work with this network.
        """
        self.network = network
        self.options = options
        self.overlays = overlays
        self._on_step = on_step
        self._runner = Runner(network, options.device, options.precision)
        self.device, self.precision = self._runner.device, self._runner.precision
        preprocessing = network.preprocessing
        found = [
            choose_layer(self._runner.module, preprocessing.input_size, preprocessing.channels, name)
            for name in options.layers
        ]
        # The automatic choice may be one of those that are named.
        self.layers = tuple({(layer.name, layer.path, layer.call): layer for layer in found}.values())
        self.layer = self.layers[0]
        self._compiled = self._compile() if options.compile else None
        self.compiled = options.compile
        self._classifier: Classifier | None = None
        self._several_labels = options.multi_label
        probed = self._probed()
        self.class_count = probed.logits.shape[1]
        #: A head with one logit has two classes; its own share of probability is the softmax of both.
        self._several_labels = options.multi_label and not probed.one_logit
        self.classes = network.classes.two_sided() if probed.one_logit else network.classes
        checked(self.classes, self.class_count, "The list of class names")
        self._targets = [target.resolved(self.classes, self.class_count) for target in options.targets]

    def replica(self) -> Explainer:
        """The same explainer on modules of its own, with the same weights in memory: for another thread."""
        other = copy.copy(self)
        other._runner = self._runner.replica()
        other.network = other._runner.network
        if self._compiled is not None:
            other._compiled = self._compiled.of(other._runner.module)
        return other

    def __call__(self, inputs: Tensor | Image.Image | Sequence[Image.Image]) -> list[Explanation]:
        """Explain PIL images, or a normalised batch B×C×H×W: one explanation each, in order.

        Raises `CamxError` for a batch of another size than the network was prepared for.
        """
        return self.explain(as_pictures(inputs, self.network.preprocessing))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def explain(self, images: Sequence[Decodable]) -> list[Explanation]:
        """Explain prepared pictures and JPEG files as one batch, in smaller ones where the memory does not hold it.

        The size that fits is remembered. A picture that does not even fit alone is told so in its explanation, and
        a file that cannot be decoded as well.
        """
        return self._runner.in_batches(
            images, self._batch, lambda one, why: Explanation(one, problem=why), self.overlays
        )

    @torch.inference_mode(False)
    @torch.enable_grad()
    def explain_tensor(self, inputs: Tensor, classes: Tensor | None = None) -> tuple[Trace, dict[str, Tensor]]:
        """The engine alone: a normalised batch B×C×H×W on the device → its trace, and raw maps B×T×h×w per method.

        `classes` B×T; None for the predicted one. A method without a class gives one map per image, `dff` its concepts.
        """
        traced = self._traced(inputs)
        wanted = traced[0].logits.argmax(1, keepdim=True) if classes is None else classes.clone()
        return traced[0], {name: maps.values for name, maps in self._maps(traced, wanted).items()}

    def _traced(self, inputs: Tensor) -> list[Trace]:
        """One forward: its traces at all layers, with the network to be asked again."""
        replay = Replay(
            self._runner.module,
            inputs,
            self.layers,
            self._runner.normalised_black,
            self.options.seed,
            self._several_labels,
            self._runner.autocast,
            self._on_step,
            self._fast,
        )
        twice = any(METHODS[name].second_order for name in self.options.methods)
        with self._runner.autocast(), self._fast(inputs) as batch:
            return traces(self._runner.module, batch, self.layers, self._classifier, second_order=twice, replay=replay)

    def _maps(self, traced: Sequence[Trace], classes: Tensor) -> dict[str, Maps]:
        """The maps of every method for B×T classes, averaged over the views of `--smooth`.

        Outside autocast: the arithmetic of the maps is float32 whatever the network ran in.
        """
        views = VIEWS[self.options.smooth]
        inputs = traced[0].replay.inputs
        every = [traced, *(self._traced(view.apply(inputs)) for view in views)]
        return {
            name: average_views([maps_of(METHODS[name], one, classes, self.options.evidence) for one in every], views)
            for name in self.options.methods
        }

    def _batch(self, pictures: Sequence[Picture], inputs: Tensor) -> list[Explanation]:
        labels = [self.label_of(picture.source) for picture in pictures]
        traced = self._traced(inputs)
        logits = traced[0].logits
        scores = self._scores(logits)
        classes = chosen(self._targets, scores, labels)
        maps = {name: one.cpu() for name, one in self._maps(traced, as_columns(classes, logits)).items()}
        finite = torch.isfinite(logits).all(1).tolist()
        needs_label = any(target.kind == "label" for target in self._targets)
        explanations = []
        for i, picture in enumerate(pictures):
            if not finite[i]:
                explanations.append(Explanation(picture, problem="the network returned NaN or infinite scores"))
            elif needs_label and labels[i] is None:
                explanations.append(Explanation(picture, problem=self._no_label(picture.source)))
            else:
                ranking = self._ranking(scores, i)
                wanted = [self._prediction(c, scores.probabilities[i]) for c in classes[i]]
                shown = [one for name in maps for one in self._class_maps(name, maps[name], i, wanted)]
                correct = None if labels[i] is None else labels[i] in scores.predicted(i)
                explanations.append(Explanation(picture, ranking, tuple(shown), labels[i], correct))
        return explanations

    def _class_maps(self, name: str, maps: Maps, image: int, wanted: Sequence[Prediction]) -> Iterator[ClassMap]:
        """The maps of one method for one image: of its classes, of the first one only, or of its concepts."""
        method = METHODS[name]
        layers = [layer.name for layer in self.layers] if method.grid == "layer" else [_PLACES[method.grid]]
        for index, one in enumerate(maps.values[image].numpy()):
            concept: tuple[Prediction, ...] = ()
            if maps.scores is not None:
                concept = self._ranking(self._scores(maps.scores[image, index : index + 1]), 0)
            elif index >= len(wanted):
                return
            yield ClassMap(
                method=name,
                layer="+".join(layers),
                prediction=concept[0] if concept else wanted[index],
                values=one,
                energies=tuple(zip(layers, maps.energies[image, index].tolist())) if len(layers) > 1 else (),
                two_sided=self.options.evidence == "both",
                fine=method.grid == "pixels",
                concept=index + 1 if concept else None,
                concept_classes=concept,
            )

    @property
    def most_maps(self) -> int | None:
        """How many maps a picture has at most; None where its own scores decide."""
        if self.options.multi_label:
            return None
        maps = {"class": sum(target.top for target in self._targets), "image": 1, "concept": CONCEPTS}
        return sum(maps[METHODS[name].per] for name in self.options.methods)

    def label_of(self, source: Source) -> int | None:
        """The class that a source's label means to this model; None without a label or if the model lacks it."""
        if not source.label:
            return None
        try:
            return self.classes.index(source.label, self.class_count)
        except CamxError:
            return None

    def _no_label(self, source: Source) -> str:
        return f"its label {source.label!r} is no class of the model" if source.label else "it has no label to explain"

    def _ranking(self, scores: Scores, image: int) -> tuple[Prediction, ...]:
        """The best classes of one image."""
        best = scores.ranking[image, : self.options.top_k].tolist()
        return tuple(self._prediction(c, scores.probabilities[image]) for c in best)

    def _scores(self, logits: Tensor) -> Scores:
        threshold = self.options.threshold if self.options.multi_label else None
        return Scores.of(logits, threshold, several_labels=self._several_labels)

    def _prediction(self, index: int, probabilities: Tensor) -> Prediction:
        return Prediction(index, self.classes[index], float(probabilities[index]))

    def _fast(self, batch: Tensor) -> AbstractContextManager[Tensor]:
        """The context in which the network runs on a batch, which it gives: compiled, where that was asked for."""
        return contextlib.nullcontext(batch) if self._compiled is None else self._compiled(batch)

    def _compile(self) -> Compiled:
        return compiled(self._runner.module, self.layers, self._probe_picture(), self._runner.autocast)

    def _probe_picture(self) -> Tensor:
        preprocessing = self.network.preprocessing
        return probe_picture(preprocessing.channels, preprocessing.input_size).to(self.device)

    def _probed(self) -> Trace:
        """The trace of the probe picture; raises `CamxError` for a method that does not work with this network."""
        picture = self._probe_picture()
        traced = self._traced(picture)
        for name in self.options.methods:
            method = METHODS[name]
            if method.needs_classifier:
                if len(self.layers) > 1:
                    raise CamxError(f"--method {name} reads one layer, the last one; {len(self.layers)} are given.")
                # In full precision: a rough forward would prove nothing.
                exact = trace(self._runner.module, picture, self.layer)
                self._classifier = find_classifier(self._runner.module, exact.features, exact.logits)
            if method.check is not None:
                method.check(traced[0])
            if method.second_order:
                _check_twice(name, method, traced)
        return traced[0]


def _check_twice(name: str, method: Method, traced: Sequence[Trace]) -> None:
    """Raise `CamxError` where an operation of the head has no second derivative."""
    try:
        maps_of(method, traced, traced[0].logits.argmax(1, keepdim=True))
    except (RuntimeError, NotImplementedError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise CamxError(
            f"--method {name} differentiates what lies behind the layer twice, which this network does not allow: "
            f"{reason}. Use --method gradcam."
        ) from error
