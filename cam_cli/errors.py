"""What can go wrong, in words a user can act on. The engine raises; only the command line speaks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CamxError(Exception):
    """The run cannot start or cannot go on: one or two sentences, what happened and what to do next."""


class UnreadableImage(Exception):
    """One image cannot be used; the message becomes the `error` of its row. The run goes on."""


def nearest(value: str, known: Iterable[str], *, limit: int = 3) -> str:
    """A hint that names the known values closest to a mistyped one: ` Did you mean a, b?`, or nothing."""
    close = difflib.get_close_matches(value, sorted(set(known)), n=limit, cutoff=0.6)
    return f" Did you mean {', '.join(close)}?" if close else ""
