"""Lists the class folders of a data set in the order of torchvision's ImageFolder: by name in text order."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import CamxError
from .places import holds_results


def class_folders(sources: Sequence[str]) -> tuple[str, ...]:
    """Names of the folders directly in the sources, in text order; empty if a source is no local folder.

    Raises `CamxError` for a folder that cannot be listed.
    """
    if not all(map(os.path.isdir, sources)):
        return ()
    return tuple(sorted({name for source in sources for name in subfolders(source, linked=True)}))


def subfolders(folder: str, *, linked: bool = False) -> list[str]:
    """Names of the folders in a folder, in text order, without hidden ones and results of runs.

    linked: include links to folders. Raises `CamxError` for a folder that cannot be listed.
    """
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        raise CamxError(f"The folder {folder!r} cannot be listed: {error.strerror}. Check its permissions.") from error
    # Unlike `entry.is_dir`, this returns False for a circular link instead of raising.
    return sorted(
        entry.name
        for entry in entries
        if os.path.isdir(entry.path) and (linked or not entry.is_symlink()) and not holds_results(entry.path)
    )
