"""Opens a page of this machine in the browser of the user."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path

from .terminal import warn


def open_page(path: str) -> None:
    """Opens a file. Where there is no page or no browser, as on a server, that is a warning."""
    if not os.path.isfile(path):
        warn(f"There is no page {path!r} to open.")
    elif not webbrowser.open(Path(path).resolve().as_uri()):
        warn(f"No browser could be started. Open {path!r} yourself.")
