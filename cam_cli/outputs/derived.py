"""What is derived from the rows of a run: files that are written whole, together, into a folder of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from .folder import explained_errors
from .store import write_file

Content = bytes | Iterable[bytes]


def write_derived(folder: str, files: Mapping[str, Content], below: str) -> None:
    """Write files, by their names, into `folder`, which lies below the folder `below` or is it.

    Raises `CamxError` if one cannot be written, or if a link leads elsewhere.
    """
    with explained_errors(folder):
        for name, content in files.items():
            write_file(os.path.join(folder, name), content, below=below)


def write_beside(path: str, content: bytes) -> None:
    """Write a file where the user wants it. Raises `CamxError` if that cannot be done."""
    whole = os.path.abspath(path)
    with explained_errors(os.path.dirname(whole)):
        write_file(whole, content)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, indented. Raises `ValueError` for a number that is not finite."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"
