"""A file that a listing finds, before it gets its key."""

from __future__ import annotations

from typing import NamedTuple

from .label_table import NO_TRUTH, Truth

#: State of an address from a list: a later run treats it as unchanged.
UNKNOWN_STATE = (-1, 0)


class Entry(NamedTuple):
    """A found file, the absolute folder to which its key may be relative, and its class folder.

    linked: a link to a folder. lost: reason why a place cannot be read; with `passed_over` the entry is no image.
    """

    path: str
    absolute: str
    root: str
    folder_label: str
    truth: Truth = NO_TRUTH
    passed_over: bool = False
    linked: bool = False
    lost: str = ""
    span: tuple[int, int] | None = None
    listed_state: tuple[int, int] | None = None
