"""Opens a local page in the browser of the user."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path

from .terminal import warn


def open_page(path: str) -> None:
    """Opens a file. Warns if the page or a browser is missing, as on a server."""
    if not os.path.isfile(path):
        warn(f"There is no page {path!r} to open: the report was not written.")
    elif not webbrowser.open(Path(path).resolve().as_uri()):
        warn(f"No browser could be started. Open {path!r} yourself.")
