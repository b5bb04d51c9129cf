"""Finds the tensors before the target layer that the head of a network reads, so that another engine can make them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...models.hooks import TargetLayer, answering, hooked
from ...models.layouts import Path, map_tensors, tensors_in
from .network_state import undisturbed
from .scores import scores_of
from .upstream import UpstreamModules, in_turn

#: Images in the forward that finds a cut; few tensors have an axis of this length by chance.
_IMAGES = 5


class Piece(NamedTuple):
    """A tensor in the output of a module: the module's name, which call of it, and the place in its output."""

    name: str
    call: int
    path: Path


class NoCut(Exception):
    """The part before the target layer cannot be run by itself; the text says why."""


class Cut:
    """The modules before the first of some target layers, and what the head reads of their outputs.

    layer: the target layer that runs first. pieces: the tensors that the head reads: those of the layer itself, and
    others that pass it by, such as a residual stream. A tensor is read if the scores change when it is NaN.
    """

    def __init__(self, module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor) -> None:
        """Runs the network on a normalised image 1×C×H×W, and its head some more times.

        Raises `NoCut` if the head gives other scores when the stored outputs replace the modules before the layer.
        """
        pictures = picture.repeat(_IMAGES, 1, 1, 1)
        upstream = UpstreamModules(layers)

        def record(name: str, call: int, inputs: tuple[Any, ...], output: Any) -> None:
            # A copy: the next operation may change it in place.
            upstream.hook(name, call, inputs, map_tensors(output, lambda _path, tensor: tensor.clone()))

        with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), record):
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
        # Shapes and values other than tensors are enough from here on.
        self._outputs = {
            name: [map_tensors(output, lambda _path, tensor: tensor.to("meta")) for output in outputs]
            for name, outputs in self._outputs.items()
        }

    def pieces_of(self, run: Callable[[], object], module: nn.Module) -> tuple[Tensor, ...]:
        """Calls `run`, which runs the network, and returns its pieces; the forward ends at the target layer."""
        found: dict[tuple[str, int], Any] = {}

        def record(name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
            if any((one.name, one.call) == (name, call) for one in self.pieces):
                found[name, call] = map_tensors(output, lambda _path, tensor: tensor.clone())
            if (name, call) == (self.layer.name, self.layer.call):
                raise _Reached

        names = {one.name for one in self.pieces}
        with contextlib.suppress(_Reached), hooked({name: module.get_submodule(name) for name in names}, record):
            run()
        return tuple(dict(tensors_in(found[one.name, one.call]))[one.path] for one in self.pieces)

    def answers(
        self, module: nn.Module, values: Mapping[Piece, Tensor], count: int
    ) -> dict[nn.Module, Callable[..., Any]]:
        """Returns forwards that replace those of the modules up to the layer, in one forward of `count` images.

        values: at least the `pieces`; all other tensors are uninitialised, since the head does not read them. A module
        that runs again behind the layer runs its own forward there.
        """
        return {
            (one := module.get_submodule(name)): in_turn(
                [self._output(name, call, output, values, count) for call, output in enumerate(outputs)], one.forward
            )
            for name, outputs in self._outputs.items()
        }

    def _output(self, name: str, call: int, output: Any, values: Mapping[Piece, Tensor], count: int) -> Any:
        def value(path: Path, tensor: Tensor) -> Tensor:
            known = values.get(Piece(name, call, path))
            if known is not None:
                return known
            device = next(iter(values.values())).device
            return torch.empty(_shape(tensor.shape, count), dtype=tensor.dtype, device=device)

        return map_tensors(output, value)


class _Reached(Exception):
    """Ends a forward: the target layer has run."""


def _shape(shape: torch.Size, count: int) -> list[int]:
    """Returns the shape for `count` images of a shape for `_IMAGES`: the axis of that length grows, else the first."""
    axis = next((axis for axis, length in enumerate(shape) if length == _IMAGES), 0)
    return [length * count // _IMAGES if at == axis else length for at, length in enumerate(shape)]
