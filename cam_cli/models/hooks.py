"""Observes and replaces outputs of modules in a running network.

The only file with hooks; none outlives its context.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, jit, nn

from ..errors import CamxError
from .layouts import Layout, Path, tensors_in

#: Called after a module has run: (name, number of the call, inputs, output) → new output, or None to keep it.
OutputHook = Callable[[str, int, tuple[Any, ...], Any], Any]


@dataclass(frozen=True)
class TargetLayer:
    """Target layer: module name, place in its output, layout of the map, and the reason of the choice.

    call: number of the module's run within one forward, from 0. beside: layers of other branches to the scores, if the
    automatic choice belongs to one branch.
    """

    name: str
    layout: Layout
    path: Path = ()
    call: int = 0
    reason: str = ""
    beside: tuple[str, ...] = ()


@contextlib.contextmanager
def hooked(modules: Mapping[str, nn.Module], callback: OutputHook) -> Iterator[None]:
    """While open, calls `callback` with inputs and outputs of the modules; it may replace outputs.

    Skips modules of TorchScript, which run without hooks.
    """
    calls: Counter[str] = Counter()
    handles = []

    def hook_of(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            call = calls[name]
            calls[name] += 1
            return callback(name, call, inputs, output)

        return hook

    try:
        for name, module in modules.items():
            if isinstance(module, jit.ScriptModule):
                continue
            handles.append(module.register_forward_hook(hook_of(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def answering(answers: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """While open, replaces the forward of modules by other functions."""
    before = {module: vars(module).get("forward") for module in answers}
    try:
        for module, answer in answers.items():
            module.forward = answer
        yield
    finally:
        for module, own in before.items():
            if own is not None:
                module.forward = own
            else:
                vars(module).pop("forward", None)


class _Reached(Exception):
    """Raised at the target layer to stop the forward; holds the features."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def features_at(module: nn.Module, inputs: Tensor, layer: TargetLayer) -> Tensor:
    """Activations B×C×h×w of the target layer for a normalised batch. Later layers do not run.

    Gradients flow as usual, so earlier layers can be trained. Raises `CamxError` if the layer does not run.
    """

    def stop(_name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        if call == layer.call:
            raise _Reached(dict(tensors_in(output))[layer.path])

    try:
        with hooked({layer.name: module.get_submodule(layer.name)}, stop):
            module(inputs)
    except _Reached as reached:
        return layer.layout.to_nchw(reached.features)
    raise CamxError(
        f"The layer {layer.name!r} does not run in a forward of this network. Choose one that `camx layers` lists."
    )
