"""Silences messages of libraries."""

from __future__ import annotations

import logging
import os
import warnings

_LIBRARIES = ("torch", "torchvision", "timm", "huggingface_hub", "safetensors", "fsspec", "transformers", "wandb")


def quiet_libraries() -> None:
    """Silences warnings and logs of libraries in this process, for a program with its own terminal output.

    Errors are unaffected. Sets environment variables for native code, so it must run before the import of torch.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Filters by the module to which a warning points, which may be one of camx, and by category.
    for kind in (DeprecationWarning, FutureWarning, UserWarning):
        warnings.simplefilter("ignore", kind)
    for name in _LIBRARIES:
        logging.getLogger(name).addHandler(logging.NullHandler())
