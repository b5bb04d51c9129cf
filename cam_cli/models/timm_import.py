"""timm without wandb: timm imports it wherever it is installed, a second of every start that nobody asked for."""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

#: Held while wandb is hidden; whoever imports wandb itself holds it, too.
WANDB_HIDDEN = threading.Lock()


def import_timm() -> Any:
    """The package timm. A wandb that is imported already stays what it is."""
    with WANDB_HIDDEN:
        if "timm" in sys.modules or "wandb" in sys.modules:
            return importlib.import_module("timm")
        sys.modules["wandb"] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("timm")
        finally:
            del sys.modules["wandb"]
