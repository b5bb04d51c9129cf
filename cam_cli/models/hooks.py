"""Looking into a running network: the only module that hangs hooks on one. They never outlive their context."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, jit, nn

from ..errors import CamxError
from .layouts import Layout, Path, tensors_in

#: Called after a module has run: (name, which call of it, its inputs, its output) → a replacement, or None to keep it.
Seen = Callable[[str, int, tuple[Any, ...], Any], Any]


@dataclass(frozen=True)
class TargetLayer:
    """Where the network is cut: a module by name, the place in its output, how that is a map, and why it was chosen.

    `call` counts the module's runs within one forward from 0. `beside`: layers of the other branches that lead to the
    scores, where the automatic choice is that of one branch.
    """

    name: str
    layout: Layout
    path: Path = ()
    call: int = 0
    reason: str = ""
    beside: tuple[str, ...] = ()


@contextlib.contextmanager
def hooked(modules: Mapping[str, nn.Module], seen: Seen) -> Iterator[None]:
    """Let `seen` look at the inputs and outputs (and replace the outputs) of the modules while the context is open.

    Modules of TorchScript run without hooks and are left out.
    """
    calls: Counter[str] = Counter()
    handles = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            call = calls[name]
            calls[name] += 1
            return seen(name, call, inputs, output)

        return hook

    try:
        for name, module in modules.items():
            if isinstance(module, jit.ScriptModule):
                continue
            handles.append(module.register_forward_hook(watch(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def answering(answers: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Let other functions answer for modules while the context is open, so that those do not run."""
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
    """Carries the features out of a forward that has come as far as it should."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def features_at(module: nn.Module, inputs: Tensor, layer: TargetLayer) -> Tensor:
    """The activations B×C×h×w of the target layer for a normalised batch; what lies behind it does not run.

    Gradients pass as in any forward, so the layers up to there can be trained.
    Raises `CamxError` if the layer does not run.
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
