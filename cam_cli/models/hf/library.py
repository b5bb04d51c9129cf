"""Imports the transformers library when a network needs it, and keeps it silent."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

from ...errors import CamxError

#: First major version whose processors all have a Pillow backend.
_OLDEST = 5


def transformers(what: str) -> Any:
    """Imports the package transformers. what: the network that needs it, for the error.

    Raises `CamxError` if it is missing or too old.
    """
    hint = "Install it with `pip install 'camx[text]'`."
    try:
        with _silent():
            found = importlib.import_module("transformers")
    except ImportError as error:
        raise CamxError(f"{what} is a network of the transformers library, which is not installed.", hint) from error
    version = str(found.__version__)
    if int(version.partition(".")[0]) < _OLDEST:
        raise CamxError(f"{what} needs transformers {_OLDEST} or newer, but {version} is installed.", hint)
    return found


@contextlib.contextmanager
def quiet(library: Any) -> Iterator[None]:
    """Suppresses warnings, reports and progress bars of the library while active."""
    logging = library.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with _silent():
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
