"""Stores the data of a page in parts: in its main script, in elements, or in script files that are loaded on demand.

Pages on `file://` cannot `fetch`, but can load classic scripts. A part is one call of `camxPart` with JSON.
"""

from __future__ import annotations

import json
import os
from typing import Any, Protocol

from ..outputs import store
from ..run_layout import REPORT_DATA


class Chunks(Protocol):
    """Receives parts. base: start of their addresses relative to the page, or "" for parts inside the page.

    inside: parts within the data of the page. elements: parts in own elements, as JSON text.
    """

    base: str
    inside: dict[str, Any]
    elements: dict[str, str]

    def put(self, name: str, value: Any) -> None: ...


class InlineChunks:
    """Parts within the data of the page."""

    base = ""

    def __init__(self) -> None:
        self.inside: dict[str, Any] = {}
        self.elements: dict[str, str] = {}

    def put(self, name: str, value: Any) -> None:
        self.inside[name] = value


class ElementChunks:
    """Parts in the page, each in its own element, which the page parses on demand."""

    base = ""

    def __init__(self) -> None:
        self.inside: dict[str, Any] = {}
        self.elements: dict[str, str] = {}

    def put(self, name: str, value: Any) -> None:
        self.elements[name] = script_safe(value)


class FileChunks:
    """Parts as files `<folder>/<build>-<name>.js` below `path`, beside the page. Another build does not overwrite
    them."""

    def __init__(self, path: str, build: str, folder: str = REPORT_DATA) -> None:
        self.inside: dict[str, Any] = {}
        self.elements: dict[str, str] = {}
        self.build = build
        self.base = f"data/{build}-"
        self._folder = path
        self._start = os.path.join(path, folder, build)

    def put(self, name: str, value: Any) -> None:
        text = f'camxPart("{name}",{script_safe(value)});\n'
        store.write_file(f"{self._start}-{name}.js", text.encode("ascii"), below=self._folder)


def script_safe(value: Any) -> str:
    """JSON in ASCII that can neither end a script element nor begin a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
