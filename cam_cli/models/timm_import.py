"""timm without wandb: timm imports it wherever it is installed, a second of every start that nobody asked for.

And without the garbage collector: what is imported stays, and need not be looked through again and again.
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

#: Held while wandb is hidden; whoever imports wandb itself holds it, too.
WANDB_HIDDEN = threading.Lock()


def import_timm() -> Any:
    """The package timm. A wandb that is imported already stays what it is.

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
