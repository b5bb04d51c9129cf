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

#: Held while wandb is hidden; whoever imports wandb itself holds it, too.
WANDB_HIDDEN = threading.Lock()


def import_timm() -> Any:
    """The package timm. A wandb that is imported already stays what it is."""
    with WANDB_HIDDEN, _no_collections():
        if "timm" in sys.modules or "wandb" in sys.modules:
            return importlib.import_module("timm")
        sys.modules["wandb"] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("timm")
        finally:
            del sys.modules["wandb"]


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
