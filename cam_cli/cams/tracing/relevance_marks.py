"""Marks of the tensors that depend on the image, during a forward of relevance propagation."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from .relevance_rules import ImageAsInput, LinearCall


@dataclass(frozen=True)
class Mark:
    """Properties of a tensor that depends on the image.

    is_image: no layer has read it yet, so autograd carries R instead of g. is_gate: a factor without relevance of its
    own. call: the linear layer whose output it is, as long as its memory has this version.
    """

    is_image: bool = False
    is_gate: bool = False
    call: LinearCall | None = None
    version: int = 0


_NONE = Mark()


class Marks:
    """The marks of tensors, kept as long as the tensors. A tensor without a mark does not depend on the image."""

    def __init__(self) -> None:
        self._marks: MutableMapping[Tensor, Mark] = WeakTensorKeyDictionary()

    def __contains__(self, tensor: Tensor) -> bool:
        return tensor in self._marks

    def __getitem__(self, tensor: Tensor) -> Mark:
        return self._marks.get(tensor, _NONE)

    def set(self, result: Any, mark: Mark) -> Any:
        """Marks the tensors of a result and returns it. A tensor without a graph is a gate."""
        for one in tensors_in(result):
            self._marks[one] = mark if one.requires_grad else Mark(is_gate=True)
        return result

    def is_lone_image(self, *values: Any) -> bool:
        """Whether the image is the only activation among arguments."""
        active = activations(values)
        return len(active) == 1 and self[active[0]].is_image

    def read_by_layer(self, values: Any) -> Any:
        """Returns arguments of a function that reads the image as a layer does: behind it autograd carries g."""

        def read(tensor: Tensor) -> Tensor:
            return ImageAsInput.apply(tensor) if tensor.requires_grad and self[tensor].is_image else tensor

        return tree_map_only(Tensor, read, values)


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Yields the tensors of real or complex numbers in arguments or a result."""
    tensors = (one for one in tree_flatten(values)[0] if isinstance(one, Tensor))
    return (one for one in tensors if one.is_floating_point() or one.is_complex())


def activations(values: Any) -> list[Tensor]:
    """Returns the tensors in arguments that have relevance: those with a graph to the image. Weights have none."""
    return [one for one in tensors_in(values) if one.requires_grad and not isinstance(one, nn.Parameter)]


def cut_off(values: Any) -> Any:
    """Returns arguments as constants: copies without a graph."""
    return tree_map_only(Tensor, lambda one: one.detach().clone() if one.requires_grad else one, values)
