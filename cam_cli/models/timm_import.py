"""Imports timm without wandb, whose import would take a second of every start.

Also pauses the garbage collector: imported objects stay, so scanning them is useless.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

from ..errors import CamxError, first_line

#: Lock while wandb is hidden. Code that imports wandb takes it, too.
WANDB_HIDDEN = threading.Lock()


def import_timm() -> Any:
    """Imports the package timm. Does not affect an already imported wandb.

    Raises `CamxError` where timm, or what it imports of torchvision and torch, cannot be imported.
    """
    with WANDB_HIDDEN, _no_collections():
        if "timm" in sys.modules or "wandb" in sys.modules:
            return _imported()
        sys.modules["wandb"] = None  # type: ignore[assignment]
        try:
            return _imported()
        finally:
            del sys.modules["wandb"]


def _imported() -> Any:
    try:
        return importlib.import_module("timm")
    except Exception as error:  # a torchvision of another build raises anything, not only ImportError
        raise CamxError(
            f"torch, torchvision or timm cannot be imported ({first_line(error)}).",
            "Install versions that fit together, all for CPUs or all for the same CUDA; `camx doctor` lists them.",
        ) from error


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
