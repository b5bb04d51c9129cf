"""Converts errors of the operating system about an output folder to messages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ..errors import CamxError
from ..regular_files import NotRegular
from ..shortages import advice


@contextlib.contextmanager
def explained_errors(path: str) -> Iterator[None]:
    """While active, converts errors of the operating system to a `CamxError` about the folder."""
    try:
        yield
    except OSError as error:
        if os.path.lexists(path) and not os.path.isdir(path):
            raise CamxError(f"{path!r} is not a folder. Choose another `output`.") from error
        reason = error.strerror or str(error)
        if isinstance(error, NotRegular) and error.path != path:
            hint = "Remove it or choose another `output`. The same command continues the run."
            raise CamxError(f"{error.path!r} cannot be used: {reason}.", hint) from error
        hint = advice(error, "Make room or choose another `output`.")
        raise CamxError(
            f"The output folder {path!r} cannot be written: {reason}. {hint} The same command continues the run."
        ) from error
    except NotImplementedError as error:
        # Some network file systems have no locks.
        raise CamxError(
            f"The file system of the output folder {path!r} has no locks. Choose a local `output`, and copy it there."
        ) from error
