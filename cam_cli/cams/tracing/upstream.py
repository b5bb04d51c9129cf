"""What runs before a layer, as one forward shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .trace import TargetLayer


class UpstreamModules:
    """For hooks on all modules of a network: `seen` keeps what the outermost modules that end before a layer gave.

    layer: the first of several layers to run, None before it has. output: that of its module. outputs: by the name of a
    module that ends before it, one for each of its calls. ended: the names of all modules that end before it. later:
    of those that end after it.
    """

    def __init__(self, layers: Sequence[TargetLayer]) -> None:
        self._layers = {(layer.name, layer.call): layer for layer in layers}
        self.outputs: dict[str, list[Any]] = {}
        self.layer: TargetLayer | None = None
        self.output: Any = None
        self.ended: set[str] = set()
        self.later: set[str] = set()

    def seen(self, name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        if self.layer is not None:
            self.later.add(name)
            return
        for inside in [one for one in self.outputs if one.startswith(f"{name}.")]:
            del self.outputs[inside]
        if (name, call) in self._layers:
            self.layer, self.output = self._layers[name, call], output
        elif name:
            self.outputs.setdefault(name, []).append(output)
            self.ended.add(name)
