"""The state of a network during a trace, and its restoration."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils import checkpoint

from ...errors import CamxError


@contextlib.contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Switches a network to evaluation mode without parameter gradients, with autograd on; restores all on leaving.

    Gradient checkpointing is off meanwhile. Raises `CamxError` for parameters created under `torch.inference_mode()`.
    """
    # A module of torch.jit.freeze has no training mode.
    modules = list(module.modules())
    training = [m for m in modules if getattr(m, "training", False)]
    own = [p for m in modules for p in m.parameters(recurse=False)]
    parameters = [p for p in own if p.requires_grad]
    if any(p.is_inference() for p in own):
        raise CamxError("The network was built under torch.inference_mode(), so it has no gradients. Build it outside.")
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        for one in training:
            one.training = False
        with torch.inference_mode(False), torch.enable_grad(), _plain_checkpoints():
            yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for one in training:
            one.training = True


def zero_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """Returns the weights of layers and normalisations with zeros alone, by name; some networks begin training so.

    With such a head, no score depends on the layers before it; with such a branch, none on the branch. Parameters
    without values (of lazy modules, on the device meta) are left out.
    """
    return {
        name: one for name, one in module.named_parameters() if name.endswith(("weight", "gamma")) and _is_zero(one)
    }


def _is_zero(parameter: nn.Parameter) -> bool:
    if isinstance(parameter, nn.parameter.UninitializedParameter) or parameter.is_meta:
        return False
    return bool(parameter.numel()) and not bool(parameter.any())


@contextlib.contextmanager
def as_if_trained(module: nn.Module) -> Iterator[None]:
    """Replaces weights of zero by noise in layers and by ones in normalisations and gates; restores them on leaving."""
    found = [one for one in zero_weights(module).values() if not one.is_inference()]
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for one in found:
                if one.dim() > 1:
                    one.copy_(torch.randn(one.shape, generator=generator) / one[0].numel() ** 0.5)
                else:
                    one.fill_(1.0)
        yield
    finally:
        with torch.no_grad():
            for one in found:
                one.zero_()


class _PlainCheckpoint:
    """Replaces reentrant checkpointing: runs the function once, with its graph."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve: bool, *args: Any) -> Any:
        return function(*args)


def _no_recomputation(*_: object, **more: object) -> Iterator[None]:
    """Replaces the generator around a function in the other kind of checkpointing: does nothing before and after."""
    yield


#: Replacements of functions of `torch.utils.checkpoint`, whose names differ between versions of torch.
_REPLACEMENTS = {
    "CheckpointFunction": _PlainCheckpoint,
    "_checkpoint_without_reentrant_generator": _no_recomputation,
    "_checkpoint_without_reentrant_generator_impl": _no_recomputation,
}
_PLAIN = {name: function for name, function in _REPLACEMENTS.items() if hasattr(checkpoint, name)}
_CHECKPOINTING = {name: getattr(checkpoint, name) for name in _PLAIN}
_plain_lock = threading.Lock()
_plain_users = 0


@contextlib.contextmanager
def _plain_checkpoints() -> Iterator[None]:
    """Switches `torch.utils.checkpoint` off, in all threads.

    Gradient checkpointing saves memory by running a part a second time for its gradients, and changes no value. The
    reentrant kind has no graph in the part, and torch refuses `torch.autograd.grad` through it; the other kind runs the
    part again when the hooks that cut the network there are gone. Without checkpointing, the maps are those of the same
    network that never used it.
    """
    global _plain_users  # one switch for all threads: torch looks these functions up in its module
    with _plain_lock:
        _plain_users += 1
        vars(checkpoint).update(_PLAIN)
    try:
        yield
    finally:
        with _plain_lock:
            _plain_users -= 1
            if not _plain_users:
                vars(checkpoint).update(_CHECKPOINTING)
