"""The modules that finish before a target layer runs, recorded in one forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from ...models.hooks import TargetLayer

#: The context of one forward of a batch; it yields the batch for the network. The modules before the target layer may
#: run another way in it (compiled, in OpenVINO), so nothing there has a gradient.
UpstreamBackend = Callable[[Tensor], AbstractContextManager[Tensor]]


class UpstreamModules:
    """Records which modules finish before the first of some target layers, and their outputs.

    `hook` is a forward hook for all modules of a network. After one forward:

    layer: the first of the layers to run; None if none of them ran. output: the output of its module.
    outputs: one entry per outermost module that finishes before it, by name: its outputs, call by call.
    finished: the names of all modules that finish before it. later: the names of those that finish after it.
    """

    def __init__(self, layers: Sequence[TargetLayer]) -> None:
        self._layers = {(layer.name, layer.call): layer for layer in layers}
        self.outputs: dict[str, list[Any]] = {}
        self.layer: TargetLayer | None = None
        self.output: Any = None
        self.finished: set[str] = set()
        self.later: set[str] = set()

    def hook(self, name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        """Forward hook. Stores the outputs of the outermost modules that finish before the first target layer runs."""
        if self.layer is not None:
            self.later.add(name)
            return
        for inside in [one for one in self.outputs if one.startswith(f"{name}.")]:
            del self.outputs[inside]
        if (name, call) in self._layers:
            self.layer, self.output = self._layers[name, call], output
        elif name:
            self.outputs.setdefault(name, []).append(output)
            self.finished.add(name)


def in_turn(outputs: Sequence[Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that gives one of `outputs` per call, whatever its arguments, and then calls `forward`."""
    remaining = iter(outputs)
    missing = object()

    def answer(*args: Any, **kwargs: Any) -> Any:
        output = next(remaining, missing)
        return forward(*args, **kwargs) if output is missing else output

    return answer
