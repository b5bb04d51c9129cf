"""The engine: explains batches of images, for every command and as a library."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...images.listing import Source
from ...images.picture import Decodable, Picture
from ...maps.explanation import Explanation, Explanations
from ...models.catalog import Network
from ...models.tasks import CLASSIFICATION, DETECTION
from ..methods.augmentation import VIEWS, average_views
from ..methods.concepts import CONCEPTS
from ..methods.fusion import Maps, maps_of
from ..methods.registry import METHODS
from ..target_layer.probe import probe_picture
from ..tracing.classifier import Classifier
from ..tracing.replay import Replay, StepCallback
from ..tracing.scored_network import ScoredNetwork, task_of
from ..tracing.trace import Trace, traces
from .assembly import Assembler
from .backend_choice import choose_backend
from .backends import Backend, EagerBackend
from .batches import BatchFunction, FailureFunction, Runner
from .boxes import BoxExplainer
from .device_overlays import OverlayRenderer
from .inputs import Inputs, as_pictures
from .layer_choice import choose_layers
from .options import ExplainOptions
from .references import network_for
from .requirements import check_arguments, check_methods
from .spots import check_spots, with_spots
from .targets import AnyTarget, Target, as_columns, as_targets
from .tasks import check_task, reader_of, target_of_task

R = TypeVar("R")


class Explainer:
    """A network with its target layer, ready for batches.

    >>> network = load_model("resnet50")
    >>> explainer = Explainer(network)
    >>> explanations = explainer(["dog.jpg", Image.open("cat.jpg")])

    layers: the target layers. layer: the first of them. task: the kind of the scores, one of `models.tasks`.
    references: the reference images of an encoder. network: the network, with notes on its scores. device, precision,
    backend: the resolved values of `auto`. classes, class_count: names and number of the classes. overlays: the
    renderer on the device, or None. reader: turns scores into classes.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        network: Network,
        options: ExplainOptions = ExplainOptions(),
        *,
        overlays: OverlayRenderer | None = None,
        spots: bool = False,
        on_step: StepCallback | None = None,
        images: int = 0,
    ) -> None:
        """Moves the network to the device and finds the target layer.

        overlays: draws the maps of JPEG files on the device; the maps must be of one sign. spots: whether maps get
        spots: the contributions of the channels at their peaks. on_step: called with (steps done, steps in all) by
        methods that take many forwards. images: how many there will be, by which the backend `auto` decides. Raises
        `CamxError` for options that do not work together, or not with this network.
        """
        check_arguments(network, options)
        self.options = options
        self.overlays = overlays
        self._spots = spots
        self._on_step = on_step
        self._runner = Runner(network, options.device, options.precision)
        self.device, self.precision = self._runner.device, self._runner.precision
        picture = probe_picture(network.preprocessing.channels, network.preprocessing.input_size).to(self.device)
        scored, self.references = network_for(network, self._runner, picture, options.targets)
        self.task = task_of(scored)
        check_task(self.task, options, spots=spots)
        if self.task != CLASSIFICATION:
            # Workers draw outlines.
            self.overlays = None
        choice = choose_layers(scored, picture, options.layers, options.methods)
        self._module, self.layers, self._gradients = choice.module, choice.layers, choice.gradients
        if spots:
            check_spots(options.methods, gradients=self._gradients)
        self.layer = self.layers[0]
        chosen = choose_backend(options.backend, self._module, self.layers, picture, self._runner, images)
        self._backend: Backend = chosen.backend
        self.backend = chosen.name
        warnings = (*network.warnings, *choice.warnings, *chosen.warnings)
        self.network = replace(network, notes=(*network.notes, *choice.notes), warnings=warnings)
        self._classifier: Classifier | None = None
        self._several_labels = options.multi_label
        probed = self._traces(picture)
        #: A head with one logit has two classes, whose probabilities are the softmax of both.
        self._several_labels = choice.several_labels(multi_label=options.multi_label) and not probed[0].one_logit
        self._classifier = check_methods(options.methods, picture, probed)
        self.reader = reader_of(network, options, self.references.names, probed[0], several_labels=self._several_labels)
        self.classes, self.class_count = self.reader.classes, self.reader.count
        self._assembler = Assembler(self.reader, self.layers, options.evidence == "both")
        self._targets = self._resolved(options.targets)

    def replica(self) -> Explainer:
        """Returns an explainer on modules of its own, with the same weights in memory: for another thread."""
        other = copy.copy(self)
        other._runner = self._runner.replica()
        other.network = replace(other._runner.network, notes=self.network.notes)
        other._module = self._module_around(other._runner.module)
        other._backend = self._backend.replica(other._module)
        return other

    def _module_around(self, module: nn.Module) -> nn.Module:
        """Returns another network of the same architecture in the wrapper of this one."""
        return self._module.around(module) if isinstance(self._module, ScoredNetwork) else module

    def __call__(
        self,
        inputs: Inputs,
        *,
        labels: Sequence[str | int | None] = (),
        targets: Sequence[AnyTarget | Sequence[AnyTarget]] = (),
    ) -> Explanations:
        """Explains images, or a normalised batch B×C×H×W; returns one explanation each, in order.

        An image is a path, a PIL image, or an array of NumPy H×W×3 (RGB) or H×W of type uint8. labels: the true class
        of each image by name or index, None if it is unknown. targets: those of each image, in place of the options'.
        Raises `CamxError` for other inputs, or a batch of another size than the network was prepared for.
        """
        pictures = as_pictures(inputs, self.network.preprocessing, self.reader.label_texts(labels))
        for name, values in (("labels", labels), ("targets", targets)):
            if len(values) and len(values) != len(pictures):
                raise CamxError(f"`{name}` has length {len(values)}, not {len(pictures)}.", "Give one for each image.")
        own = [self._resolved(as_targets(each)) for each in targets]
        return Explanations(self.explain(pictures, {picture.source.key: one for picture, one in zip(pictures, own)}))

    def _resolved(self, targets: Sequence[Target]) -> list[Target]:
        own = [target_of_task(target, self.task, self.class_count) for target in targets]
        return [target.resolved(self.classes, self.class_count) for target in own]

    @torch.inference_mode(False)
    @torch.enable_grad()
    def explain(
        self, images: Sequence[Decodable], targets: Mapping[str, Sequence[Target]] = MappingProxyType({})
    ) -> list[Explanation]:
        """Explains prepared images and JPEG files as one batch, or in smaller ones if memory is short.

        targets: by the key of an image, in place of the options'. The size that fits is remembered. The explanation of
        an image that does not fit alone, or cannot be decoded, has the reason as its `problem`.
        """
        return self._runner.in_batches(
            images,
            partial(self.explain_batch, targets=targets),
            lambda picture, reason: Explanation(picture, problem=reason),
            self.overlays,
        )

    def in_batches(self, images: Sequence[Decodable], run: BatchFunction[R], failed: FailureFunction[R]) -> list[R]:
        """Runs another function on batches of images, as `explain` does; see `Runner.in_batches`."""
        return self._runner.in_batches(images, run, failed)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def explain_tensor(self, inputs: Tensor, classes: Tensor | None = None) -> tuple[Trace, dict[str, Tensor]]:
        """Explains a normalised batch B×C×H×W on the device: returns its trace, and raw maps B×T×h×w by method.

        classes: B×T indices; None for the predicted one. A method without a class gives one map per image, `dff` its
        concepts.
        """
        traced = self._traces(inputs)
        wanted = traced[0].logits.argmax(1, keepdim=True) if classes is None else classes.clone()
        return traced[0], {name: maps.values for name, maps in self._maps(traced, wanted).items()}

    def replay(self, inputs: Tensor, mask: Tensor | None = None) -> Replay:
        """Returns a replay of the network for a normalised batch B×C×H×W.

        mask: B×h×w, the pixels of a segmentation that count (see `Regions.predicted`).
        """
        return Replay(
            self._module,
            inputs,
            self.layers,
            black=self._runner.normalised_black,
            white=self._runner.normalised_white,
            seed=self.options.seed,
            multi_label=self._several_labels,
            autocast=self._runner.autocast,
            on_step=self._on_step,
            backend=self._backend,
            mask=mask,
            least=self.options.threshold,
        )

    @torch.inference_mode(False)
    @torch.enable_grad()
    def trace(self, inputs: Tensor) -> Trace:
        """Runs one forward of a normalised batch B×C×H×W and returns its trace at the first layer."""
        return self._traces(inputs)[0]

    def with_methods(self, names: tuple[str, ...]) -> Explainer:
        """Returns this explainer, on the same modules, with some of its methods only."""
        other = copy.copy(self)
        other.options = replace(self.options, methods=names)
        return other

    def with_network(self, network: Network) -> Explainer:
        """Returns an explainer with these layers and classes on another network of the same architecture.

        Raises `CamxError` if a method does not work with its weights.
        """
        other = copy.copy(self)
        other._runner = Runner(network, str(self.device), self.precision)
        other._module = self._module_around(other._runner.module)
        other.network, other.overlays = network, None
        other._backend, other.backend = EagerBackend(), "torch"
        picture = probe_picture(network.preprocessing.channels, network.preprocessing.input_size).to(self.device)
        with torch.enable_grad():
            other._classifier = None
            other._classifier = check_methods(self.options.methods, picture, other._traces(picture))
        return other

    def _traces(self, inputs: Tensor, mask: Tensor | None = None) -> list[Trace]:
        """Runs one forward and returns its traces at all layers."""
        replay = self.replay(inputs, mask)
        second_order = any(METHODS[name].second_order for name in self.options.methods)
        with self._runner.autocast(), self._backend(inputs) as batch:
            return traces(
                replay.module,
                batch,
                self.layers,
                self._classifier,
                second_order=second_order,
                gradients=self._gradients,
                replay=replay,
            )

    def _maps(self, traced: Sequence[Trace], classes: Tensor) -> dict[str, Maps]:
        """Computes the maps of every method for classes B×T, averaged over the views of `smooth`.

        Runs outside autocast: the arithmetic of the maps is float32 in any precision of the network.
        """
        views = VIEWS[self.options.smooth]
        inputs, mask = traced[0].replay.inputs, traced[0].replay.mask
        # Views are their own inverse on the grid, so `undo` also brings a mask into one.
        masks = [None if mask is None else view.undo(mask) for view in views]
        every = [traced, *(self._traces(view.apply(inputs), one) for view, one in zip(views, masks))]
        return {
            name: average_views([maps_of(METHODS[name], one, classes, self.options.evidence) for one in every], views)
            for name in self.options.methods
        }

    def explain_batch(
        self,
        pictures: Sequence[Picture],
        inputs: Tensor,
        targets: Mapping[str, Sequence[Target]] = MappingProxyType({}),
    ) -> list[Explanation]:
        """Explains images with their normalised batch B×C×H×W on the device, all at once. targets: as in `explain`."""
        own = [targets.get(picture.source.key, self._targets) for picture in pictures]
        wanted, missing = self.references.chosen(pictures, own, self._runner, self._module)
        traced = self._traces(inputs, self._runner.masks(pictures))
        if self.task == DETECTION:
            return BoxExplainer(self.reader, self.options).explanations(pictures, traced, wanted)
        question = self._assembler.question(pictures, traced[0].logits, wanted, traced[0].replay.regions, missing)
        columns = as_columns(question.classes, traced[0].logits)
        maps = {name: one.cpu() for name, one in self._maps(traced, columns).items()}
        explanations = self._assembler.explanations(pictures, question, maps)
        if not self._spots:
            return explanations
        sided = traced[0].against() if self.options.evidence == "against" else traced[0]
        return with_spots(explanations, question.classes, columns, sided)

    @property
    def most_maps(self) -> int | None:
        """The largest number of maps that an image can have; None if its own scores decide."""
        if self.options.multi_label or self.task == DETECTION:
            return None
        maps = {"class": sum(target.top for target in self._targets), "image": 1, "concept": CONCEPTS}
        return sum(maps[METHODS[name].per] for name in self.options.methods)

    @property
    def target_classes(self) -> tuple[int, ...]:
        """The classes for which every image is explained, whatever its own scores and labels are."""
        return tuple(int(target.name) for target in self._targets if target.kind == "class")

    def classes_of(self, source: Source) -> dict[int, str]:
        """Returns the classes that the labels of an image mean to this network, and the text of each label."""
        return self.reader.classes_of(source)
