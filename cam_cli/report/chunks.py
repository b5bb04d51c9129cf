"""The data of a page in parts: inside the page, in elements of it, or as scripts beside it, loaded when needed.

`fetch` does not work from `file://`; a classic script does. A part is one call of `camxPart` with JSON in it.
"""

from __future__ import annotations

import json
import os
from typing import Any, Protocol

from ..outputs import store
from ..run_layout import REPORT_DATA


class Chunks(Protocol):
    """Takes the parts. `base` is the start of their addresses, seen from the page, or "" for parts inside the page.

    `inside`: parts that stand with the data of the page. `elements`: parts as elements of their own, as JSON in text.
    """

    base: str
    inside: dict[str, Any]
    elements: dict[str, str]

    def put(self, name: str, value: Any) -> None: ...


class Inside:
    """Parts that stand in the page."""

    base = ""

    def __init__(self) -> None:
        self.inside: dict[str, Any] = {}
        self.elements: dict[str, str] = {}

    def put(self, name: str, value: Any) -> None:
        self.inside[name] = value


class Elements:
    """Parts that stand in the page, each in an element of its own that the page reads when it needs it."""

    base = ""

    def __init__(self) -> None:
        self.inside: dict[str, Any] = {}
        self.elements: dict[str, str] = {}

    def put(self, name: str, value: Any) -> None:
        self.elements[name] = script_safe(value)


class Beside:
    """Parts as files `<folder>/<build>-<name>.js` below `path`; another build leaves those of the page that is there
    alone. The page lies beside the folder."""

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
    """JSON in ASCII that ends no script element and begins no comment, whatever the texts in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
