"""Writes derived results of a run, such as those of an audit, into a separate folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CamxError
from ..regular_files import require_regular
from .folder_errors import explained_errors
from .store import write_file

Content = bytes | Iterable[bytes]


def write_derived(folder: str, files: Mapping[str, Content], below: str) -> None:
    """Writes files, by name, into `folder`. Raises `CamxError` if that fails, or if a path leads out of `below`."""
    with explained_errors(folder):
        for name, content in files.items():
            write_file(os.path.join(folder, name), content, below=below)


def write_beside(path: str, content: bytes) -> None:
    """Writes a file to a path of the user. Raises `CamxError` if that fails.

    Never replaces a pipe or device: run as root, that could remove /dev/null.
    """
    whole = os.path.abspath(path)
    try:
        if os.path.exists(whole):
            require_regular(whole)
        write_file(whole, content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CamxError(f"The file {path!r} cannot be written: {reason}.", "Give another path.") from error


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, indented. Raises `ValueError` for a number that is not finite."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"
