"""Everything that the head of a network reads of the modules before its target layer: other engines may run those."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...models.hooks import TargetLayer, answering, hooked
from ...models.layouts import Path, replaced, tensors_in
from .network_state import undisturbed
from .scores import scores_of
from .upstream import UpstreamModules

#: Images of the forward in which a cut is found; few tensors have an axis of this length by chance.
_IMAGES = 5


class Piece(NamedTuple):
    """A tensor in the output of a module: the module's name, which call of it, and the place in its output."""

    name: str
    call: int
    path: Path


class NoCut(Exception):
    """The part before the target layer cannot be run by itself; the text says why."""


class Cut:
    """The outputs of modules before the first of some target layers, and which of them the head reads.

    pieces: the tensors that the head reads: those of the layer itself, and others that pass it by, such as a residual
    stream. A tensor is read if the scores change when it is NaN.
    """

    def __init__(self, module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor) -> None:
        """Runs the network on a normalised image 1×C×H×W, and its head some more times.

        Raises `NoCut` where the head gives other scores when the modules before the layer answer with their outputs.
        """
        pictures = picture.repeat(_IMAGES, 1, 1, 1)
        upstream = UpstreamModules(layers)

        def seen(name: str, call: int, inputs: tuple[Any, ...], output: Any) -> None:
            # A copy: what follows may change it in place.
            upstream.hook(name, call, inputs, _map_tensors(output, lambda _path, tensor: tensor.clone()))

        with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), seen):
            expected = scores_of(module(pictures))
        if upstream.layer is None:
            raise NoCut("its target layer does not run")
        self.layer = upstream.layer
        self._outputs = {name: list(outputs) for name, outputs in upstream.outputs.items()}
        self._outputs.setdefault(self.layer.name, []).append(upstream.output)
        if len(self._outputs) == 1 and not any(True for _ in module.get_submodule(self.layer.name).parameters()):
            raise NoCut("nothing runs before its target layer")
        known = {
            Piece(name, call, path): tensor
            for name, outputs in self._outputs.items()
            for call, output in enumerate(outputs)
            for path, tensor in tensors_in(output)
        }
        own = Piece(self.layer.name, self.layer.call, self.layer.path)
        others = [one for one, tensor in known.items() if one != own and tensor.is_floating_point()]

        def unchanged(unread: Collection[Piece]) -> bool:
            values = {one: torch.full_like(t, torch.nan) if one in unread else t.clone() for one, t in known.items()}
            try:
                with undisturbed(module), torch.no_grad(), answering(self.answers(module, values, _IMAGES)):
                    scores = scores_of(module(pictures))
            except (RuntimeError, IndexError, TypeError, ValueError):
                return False
            return torch.allclose(scores, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))

        if not unchanged(()):
            raise NoCut(f"its head does not run alone behind {self.layer.name!r}")
        unread = set(others) if unchanged(others) else {one for one in others if unchanged((one,))}
        self.pieces = tuple(one for one in known if one not in unread)
        # The values of the images go; shapes and what is no tensor stay.
        self._outputs = {
            name: [_map_tensors(output, lambda _path, tensor: tensor.to("meta")) for output in outputs]
            for name, outputs in self._outputs.items()
        }

    def pieces_of(self, run: Callable[[], object], module: nn.Module) -> tuple[Tensor, ...]:
        """Returns the pieces of what `run` does with the network, which ends as soon as the target layer has run."""
        found: dict[tuple[str, int], Any] = {}

        def seen(name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
            if any((one.name, one.call) == (name, call) for one in self.pieces):
                found[name, call] = _map_tensors(output, lambda _path, tensor: tensor.clone())
            if (name, call) == (self.layer.name, self.layer.call):
                raise _Reached

        names = {one.name for one in self.pieces}
        with contextlib.suppress(_Reached), hooked({name: module.get_submodule(name) for name in names}, seen):
            run()
        return tuple(dict(tensors_in(found[one.name, one.call]))[one.path] for one in self.pieces)

    def answers(
        self, module: nn.Module, values: Mapping[Piece, Tensor], count: int
    ) -> dict[nn.Module, Callable[..., Any]]:
        """Returns functions that answer for the modules up to the layer in one forward of `count` images.

        values: at least the `pieces`; the head does not read the others. A module that runs again behind the layer
        does so as ever.
        """
        return {
            (one := module.get_submodule(name)): _in_turn(
                [self._output(name, call, output, values, count) for call, output in enumerate(outputs)], one.forward
            )
            for name, outputs in self._outputs.items()
        }

    def _output(self, name: str, call: int, output: Any, values: Mapping[Piece, Tensor], count: int) -> Any:
        def value(path: Path, tensor: Tensor) -> Tensor:
            given = values.get(Piece(name, call, path))
            if given is not None:
                return given
            device = next(iter(values.values())).device
            return torch.empty(_shape(tensor.shape, count), dtype=tensor.dtype, device=device)

        return _map_tensors(output, value)


class _Reached(Exception):
    """The target layer has run."""


def _shape(shape: torch.Size, count: int) -> list[int]:
    """A shape of `_IMAGES` images as that of others: along the axis of the images, or the first, which holds parts."""
    axis = next((axis for axis, length in enumerate(shape) if length == _IMAGES), 0)
    return [length * count // _IMAGES if at == axis else length for at, length in enumerate(shape)]


def _map_tensors(output: Any, function: Callable[[Path, Tensor], Tensor]) -> Any:
    """A module's output with other tensors in the place of its own."""
    for path, tensor in list(tensors_in(output)):
        output = replaced(output, path, function(path, tensor))
    return output


def _in_turn(outputs: list[Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns the outputs one after the other, whatever its arguments, and then does as `forward`."""
    remaining = iter(outputs)
    missing = object()

    def answer(*args: Any, **kwargs: Any) -> Any:
        output = next(remaining, missing)
        return forward(*args, **kwargs) if output is missing else output

    return answer
