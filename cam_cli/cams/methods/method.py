"""A method: a function from the trace of a forward to maps, and its entry in the table of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, NamedTuple, TypeVar

from torch import Tensor

from ..tracing.trace import Trace


class Concepts(NamedTuple):
    """Maps of concepts instead of classes.

    maps: B×K×h×w, one per concept. scores: B×K×classes, those of each concept's activations at every position.
    """

    maps: Tensor
    scores: Tensor


#: (trace, B×T class indices) → maps B×T×h×w of any sign and scale, or concepts.
MapFunction = Callable[[Trace, Tensor], Tensor | Concepts]
F = TypeVar("F", bound=MapFunction)


@dataclass(frozen=True)
class _Entry:
    """The entry of a method in the table.

    equation: one line; g is the gradient of the class score y_c to the activations A (both C×h×w), x the image.
    forwards: forwards of the network per image in addition to the one for the predictions; "head" runs only the layers
    behind the target layer. gradients: whether the method needs any. works: the kinds of networks with which it works.
    grid: the grid of its maps. per: whether an image gets a map per class, one map, or a map per concept.
    signed: whether evidence against a class has a map of its own. needs_classifier: whether it needs
    `Trace.classifier`. reads_layer: whether its maps depend on the target layer. second_order: whether it
    differentiates the head twice. join: how the maps of several layers become one: the largest or the product of all.
    check: raises `CamxError` for a network (in a trace of one image) with which the method does not work.
    """

    name: str
    _: KW_ONLY
    summary: str
    paper: str
    equation: str
    forwards: str = "0"
    gradients: bool = True
    works: str = "CNN, ViT"
    grid: Literal["layer", "pixels", "patches"] = "layer"
    per: Literal["class", "image", "concept"] = "class"
    signed: bool = True
    needs_classifier: bool = False
    reads_layer: bool = True
    second_order: bool = False
    join: Literal["max", "product"] = "max"
    check: Callable[[Trace], None] | None = None

    @property
    def per_layer(self) -> bool:
        """Whether several target layers have a map each, to be joined; if not, they share one."""
        return self.grid == "layer" and self.reads_layer


@dataclass(frozen=True)
class Method(_Entry):
    """An entry of the table with its function `maps`."""

    maps: MapFunction = field(kw_only=True)


#: Methods of imported modules, by name; `registry.METHODS` imports all of them and orders them.
REGISTERED: dict[str, Method] = {}


class method(_Entry):  # noqa: N801 - a decorator
    """Decorator: enters a function into the table of methods and returns it unchanged."""

    def __call__(self, maps: F) -> F:
        REGISTERED[self.name] = Method(**vars(self), maps=maps)
        return maps
