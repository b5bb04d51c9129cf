"""Imports the open_clip library when a network needs it, and keeps it silent."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

from ...errors import CamxError
from ..timm_import import import_timm

#: First version that was tested.
_OLDEST = (3, 3)
HINT = "Install it with `pip install 'camx[open-clip]'`."
#: Set by open_clip when it is imported, for the whole process.
_VARIABLE = "TOKENIZERS_PARALLELISM"


def open_clip(what: str) -> Any:
    """Imports the package open_clip. what: the network that needs it, for the error.

    Raises `CamxError` if it is missing or too old.
    """
    import_timm()
    before = os.environ.get(_VARIABLE)
    try:
        with quiet():
            found = importlib.import_module("open_clip")
    except ImportError as error:
        raise CamxError(f"{what} is a network of open_clip, which is not installed.", HINT) from error
    finally:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before
    version = str(found.__version__)
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise CamxError(f"{what} needs open_clip {oldest} or newer, but {version} is installed.", HINT)
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses warnings, and messages of the library to the root logger, while active."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)  # without any, `logging.warning` would add one for good
    root.addFilter(_nothing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeFilter(_nothing)
        root.removeHandler(handler)


def _nothing(_: logging.LogRecord) -> bool:
    return False
