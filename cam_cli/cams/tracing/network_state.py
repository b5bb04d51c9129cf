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
    # What torch.jit.freeze has made has no mode.
    modules = list(module.modules())
    training = [m for m in modules if getattr(m, "training", False)]
    own = [p for m in modules for p in m.parameters(recurse=False)]
    parameters = [p for p in own if p.requires_grad]
    if any(p.is_inference() for p in own):
        raise CamxError(
            "The network was made under torch.inference_mode(), so no gradient can pass it. Build it outside."
        )
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


class _PlainCheckpoint:
    """Runs what is checkpointed as if it were not: the reentrant kind."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve: bool, *args: Any) -> Any:
        return function(*args)


def _nothing_around(*_: object, **more: object) -> Iterator[None]:
    """Does nothing before and after what is checkpointed: the other kind."""
    yield


#: What stands in for the functions that torch does it with; their names differ between its versions.
_STAND_INS = {
    "CheckpointFunction": _PlainCheckpoint,
    "_checkpoint_without_reentrant_generator": _nothing_around,
    "_checkpoint_without_reentrant_generator_impl": _nothing_around,
}
_PLAIN = {name: function for name, function in _STAND_INS.items() if hasattr(checkpoint, name)}
_CHECKPOINTING = {name: getattr(checkpoint, name) for name in _PLAIN}
_plain_lock = threading.Lock()
_plain_users = 0


@contextlib.contextmanager
def _plain_checkpoints() -> Iterator[None]:
    """Runs parts under `torch.utils.checkpoint` as they are, in all threads.

    Gradient checkpointing saves memory by running a part a second time for its gradients, and changes no value. The
    reentrant kind has no graph in the part, and torch refuses `torch.autograd.grad` through it; the other kind runs
    the part again when our hooks, which cut the network there, are gone. So a network that has it switched on gives
    the maps that it gives without, instead of an error.
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
