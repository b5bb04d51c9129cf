"""Hostile names of files and classes."""

from __future__ import annotations

import random

#: Each is dangerous for one kind of reader.
PIECES = (
    "\n", "\r\n", "\t", "\0", "\x07", "\x1b[31m", "\x1b]0;owned\x07", "\x9b31m", "\x7f", "\x85", "\u2028", "\u2029",
    "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1", "\uff1d1", "\u200b=1", "%0A", "::error::owned", "::set-output name=a::b",
    "##[error]x", "<script>alert(1)</script>", "</script>", "<!--", "-->", "]]>", "&lt;", "&", '"', "'", "`", "``", "\\", "\\|", "|", "||", "\u202e", "\u2066",
    "\u200f", "\ufeff", "\udcff", "\ud800", "\udc00", "\ufffe", "\U0001f600", "e\u0301", "[red]", "[/]", "[link=file:///x]y[/link]",
    "![x](http://x)", "[a](javascript:x)", "$(id)", "${x}", "{{7*7}}", "{% x %}", "%s", "%n", "{0}", "a,b", "a;b", "NaN", "null", "true", "-",
    "--", "~", "*", "# x", "> x", "1. x", "javascript:x", "data:text/html,x", "//x", "CON", "nul.", " lead", "trail ", ".",
    "__proto__", "constructor", "x" * 255, "\u00e9" * 127,
)  # fmt: skip
#: Without characters that no file name can hold.
OF_FILES = tuple(
    piece.replace("\0", "").replace("/", "") or "x"
    for piece in PIECES
    if "\ud800" not in piece and "\udc00" not in piece
)


def names(count: int, seed: int = 0, pieces: tuple[str, ...] = PIECES) -> list[str]:
    """Each piece alone, then some combinations of pieces."""
    draw = random.Random(seed)
    return [*pieces, *("".join(draw.choice(pieces) for _ in range(draw.randint(2, 4))) for _ in range(count))]
