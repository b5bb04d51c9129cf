"""The target layers of a network for some methods, also without a gradient or a layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ...errors import CamxError
from ...models.hooks import TargetLayer
from ...models.layouts import Layout
from ...models.tasks import DETECTION
from ..methods.registry import METHODS
from ..target_layer.choose import choose_layer
from ..target_layer.probe import NoGradient
from ..target_layer.pyramid import choose_levels
from ..target_layer.without_gradient import choose_without_gradient
from ..tracing.endings import Ending
from ..tracing.scored_network import ENTRY, ScoredNetwork, ScoreReading, task_of


@dataclass(frozen=True)
class LayerChoice:
    """A network with logits as its output, its target layers, and whether its scores have gradients there."""

    module: nn.Module
    layers: tuple[TargetLayer, ...]
    gradients: bool = True

    @property
    def ending(self) -> Ending:
        """The ending of the network's own scores."""
        return self.module.reading.ending if isinstance(self.module, ScoredNetwork) else "logits"

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about the scores of the network."""
        return (
            (self.module.reading.note,) if isinstance(self.module, ScoredNetwork) and self.module.reading.note else ()
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user about branches that the maps leave out."""
        first = self.layers[0]
        if not first.beside or len(self.layers) > 1:
            return ()
        others = " and ".join(repr(name) for name in first.beside)
        joined = ", ".join(f"`layers={name}`" for name in (*first.beside, first.name))
        sentence = (
            f"{len(first.beside) + 1} branches lead to the scores: the maps explain the one that ends in "
            f"{first.name!r}, not {others}. Several `layers` join them: {joined}."
        )
        return (sentence,)

    def several_labels(self, *, multi_label: bool) -> bool:
        """Whether each class has a probability of its own: if the network ends in a sigmoid, else by `multi_label`."""
        return self.ending == "sigmoid" or (multi_label and self.ending == "logits")


def choose_layers(scored: nn.Module, picture: Tensor, layers: Sequence[str], methods: Sequence[str]) -> LayerChoice:
    """Returns the network as the methods use it, and its target layers, `auto` or by name.

    scored: a network from `scored_network`. picture: 1×C×H×W, normalised. Raises `CamxError` for methods that need a
    gradient or a layer which the network does not have.
    """
    return LayerSearch.of(scored, picture, layers).choice(methods)


@dataclass(frozen=True)
class LayerSearch:
    """The search for the target layers of a network, for methods of every kind.

    names: `auto`, or those of the user. found: the layers; empty if there are none, and `problem` says why.
    """

    scored: nn.Module
    picture: Tensor
    names: Sequence[str]
    found: tuple[TargetLayer, ...] = ()
    problem: CamxError | None = None

    @classmethod
    def of(cls, scored: nn.Module, picture: Tensor, names: Sequence[str]) -> LayerSearch:
        """Searches the layers; see `choose_layers`."""
        size = (picture.shape[2], picture.shape[3])
        try:
            if task_of(scored) == DETECTION and isinstance(scored, ScoredNetwork):
                found = _unique(level for name in names for level in choose_levels(scored, picture, name))
            else:
                found = _unique([choose_layer(scored, size, picture.shape[1], name) for name in names])
        except CamxError as error:
            return cls(scored, picture, names, problem=error)
        return cls(scored, picture, names, found)

    def choice(self, methods: Sequence[str]) -> LayerChoice:
        """Returns the network and the layers for some methods. Raises `CamxError` as `choose_layers` does."""
        if self.problem is None:
            return LayerChoice(self.scored, self.found)
        needing = [name for name in methods if METHODS[name].gradients]
        reading = [name for name in methods if METHODS[name].reads_layer]
        if not isinstance(self.problem, NoGradient):
            # A method that reads no layer needs none.
            if reading:
                raise self.problem
        elif needing:
            raise CamxError(f"`methods={needing[0]}` cannot work. {self.problem}", field="methods") from self.problem
        elif reading:
            found = [choose_without_gradient(self.scored, self.picture, name) for name in self.names]
            return LayerChoice(self.scored, _unique(found), gradients=False)
        return _with_entry(self.scored, self.picture, gradients=bool(needing))


def _unique(layers: Iterable[TargetLayer]) -> tuple[TargetLayer, ...]:
    """Returns each layer once: the automatic choice may be one of the named ones."""
    return tuple({(layer.name, layer.path, layer.call): layer for layer in layers}.values())


def _with_entry(scored: nn.Module, picture: Tensor, *, gradients: bool) -> LayerChoice:
    """Returns the network with its input images as the layer."""
    module = scored.with_entry() if isinstance(scored, ScoredNetwork) else ScoredNetwork(scored, ScoreReading())
    module = module if module.entry else module.with_entry()
    height, width = picture.shape[2:]
    layer = TargetLayer(ENTRY, Layout("NCHW", height, width, picture.shape[1]), reason="no method here reads a layer")
    return LayerChoice(module, (layer,), gradients=gradients)
