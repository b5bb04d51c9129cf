"""Docstrings that say the effect first: none begins with What, How or The same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: The rooms whose docstrings have been rewritten; add a room when it is done.
ROOMS = ("cam_cli/cams", "cam_cli/distributed", "cam_cli/pipeline")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Every docstring of a file with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def indirect(source: str) -> list[int]:
    """The lines of docstrings that begin with a word that puts the effect off."""
    return [line for line, text in docstrings(source) if re.match(r"(What|How|The same)\b", text)]


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_say_the_effect_first(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert sum(len(list(docstrings(path.read_text()))) for path in files) > len(files)
    assert [(str(path.relative_to(ROOT)), line) for path in files for line in indirect(path.read_text())] == []


def test_an_indirect_docstring_is_found() -> None:
    source = '"""Maps."""\n\n\ndef rows() -> None:\n    """{} of a map."""\n'
    assert [indirect(source.format(word)) for word in ("What", "How much", "The same", "Whatever", "The rows")] == [
        [4],
        [4],
        [4],
        [],
        [],
    ]
