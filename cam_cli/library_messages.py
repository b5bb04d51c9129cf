"""Messages of the libraries that camx runs on, which say nothing to its user."""

from __future__ import annotations

import logging
import os
import warnings

_LIBRARIES = ("torch", "torchvision", "timm", "huggingface_hub", "safetensors", "fsspec", "transformers", "wandb")


def quiet_libraries() -> None:
    """Silences warnings and logs of libraries in this process: for a program whose own words go to the terminal.

    Their errors still are errors. Variables for what is not Python must be set before torch is imported.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Warnings are told apart by the module that they point at, which may be ours, and by their kind.
    for kind in (DeprecationWarning, FutureWarning, UserWarning):
        warnings.simplefilter("ignore", kind)
    for name in _LIBRARIES:
        logging.getLogger(name).addHandler(logging.NullHandler())
