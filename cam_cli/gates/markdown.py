"""Writes Markdown for the summary of a CI job."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from ..errors import CamxError
from ..regular_files import require_regular
from .verdict import FAIL, PASS, WARN, GateResult

_SIGN = {PASS: "✅ pass", WARN: "⚠️ warn", FAIL: "❌ fail"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")


def gates_table(results: Sequence[GateResult]) -> str:
    """Table of judged gates."""
    rows = [(_SIGN[result.verdict], cell(result.text), cell(result.sentence)) for result in results]
    return table(("", "gate", "result"), rows) if rows else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Table of cells that are already Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: object) -> str:
    """Escapes a text for a table cell: names of groups may hold any characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return _SPECIAL.sub(r"\\\1", shown)


def append_step_summary(text: str) -> None:
    """Appends a text to the job summary of GitHub, if there is one. Raises `CamxError` if it cannot be written."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        # Only a regular file: opening a pipe without a reader would block.
        if os.path.exists(path):
            require_regular(path)
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text if text.endswith("\n") else text + "\n")
    except OSError as error:
        raise CamxError(
            f"$GITHUB_STEP_SUMMARY {path!r} cannot be written: {error.strerror}.",
            "Unset the variable, or set it to a file.",
        ) from error
