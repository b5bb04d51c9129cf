"""What runs before a layer, as one forward shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .cut import TargetLayer


class Before:
    """For hooks on all modules of a network: keeps what the outermost modules that end before the first layer gave.

    outputs: by the name of such a module, one of each of its calls. layer: the first of `layers` to run, None before it
    has. output: the output of its module. ended: the names of all modules that end before it. later: those that end
    after it.
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
