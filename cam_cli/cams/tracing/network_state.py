"""The state of a network during a trace, and its restoration."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from ...errors import CamxError


@contextlib.contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Switches a network to evaluation mode without parameter gradients, with autograd on; restores all on leaving.

    Raises `CamxError` for parameters created under `torch.inference_mode()`.
    """
    modules = list(module.modules())
    training = [m for m in modules if m.training]
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
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for one in training:
            one.training = True
