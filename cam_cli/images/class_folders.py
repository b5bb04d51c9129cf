"""The class folders of a data set, numbered as torchvision's ImageFolder does it: by their names in text order."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import CamxError
from .listing import holds_results


def class_folders(sources: Sequence[str]) -> tuple[str, ...]:
    """Names of the folders directly in the sources, in text order; empty where a source is no folder of this machine.

    Raises `CamxError` for a folder that cannot be listed.
    """
    names: set[str] = set()
    for source in sources:
        if not os.path.isdir(source):
            return ()
        try:
            with os.scandir(source) as listing:
                folders = [entry for entry in listing if entry.is_dir() and not entry.name.startswith(".")]
        except OSError as error:
            raise CamxError(
                f"The folder {source!r} cannot be listed: {error.strerror}. Check its permissions."
            ) from error
        names |= {entry.name for entry in folders if not holds_results(entry.path)}
    return tuple(sorted(names))
