"""Errors for users: what happened and what to do next. The engine raises them; only the command line prints them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .redaction import redacted

#: Longest sentence in characters: it may quote a file.
_LONGEST = 2000


class CamxError(Exception):
    """The run cannot start or continue.

    message: what happened, with the offending value. hint: what to do next. field: the option with the wrong value.

    Texts name options by their fields in backticks, `top_k` or `ema=False`; the command line shows them as flags.
    Secrets of addresses are removed.
    """

    def __init__(self, message: str, hint: str = "", *, field: str = "") -> None:
        super().__init__(_sentence(f"{message} {hint}" if hint else message))
        self.field = field


class UnreadableImage(Exception):
    """One image is unusable. The message becomes the `error` of its row, and the run continues."""

    def __init__(self, message: str) -> None:
        super().__init__(_sentence(message))


def _sentence(text: str) -> str:
    """A text in one line, without secrets, shortened in the middle if too long."""
    shown = " ".join(redacted(text).splitlines())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 500]} … {shown[-500:]}"


def first_line(error: BaseException) -> str:
    """First line of an error's text without the full stop, or the name of its class if the text is empty."""
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def nearest(value: str, known: Iterable[str], *, limit: int = 3) -> str:
    """Hint with the closest known values: ` Did you mean a, b?`, or ""."""
    close = difflib.get_close_matches(value, sorted(set(known)), n=limit, cutoff=0.6)
    return f" Did you mean {', '.join(close)}?" if close else ""


def unknown(field: str, value: object, known: Iterable[str]) -> CamxError:
    """Error for a value that is none of `known`."""
    choices = list(known)
    message = f"`{field}` {value!r} is unknown.{nearest(str(value), choices)}"
    return CamxError(message, f"Give one of {', '.join(choices)}.", field=field)
