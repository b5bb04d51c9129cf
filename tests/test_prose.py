"""Docstrings say the effect first, in plain words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Every room of the package, and the scripts around it.
ROOMS = (
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "cam_cli").iterdir() if (path / "__init__.py").exists()),
    "benchmarks",
    "cli",
    "tests",
    "tools",
)
#: Words that put the effect off, and riddles: a value that is told, a fault that costs, a thing that is seen.
INDIRECT = re.compile(r"^(What|How|The same)\b|\btold\b|\bcosts? (its|the|an)\b|\b(is|are) seen\b")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Every docstring of a file with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def indirect(source: str) -> list[int]:
    """The lines of docstrings that begin with a word that puts the effect off, or hold a riddle."""
    return [line for line, text in docstrings(source) if INDIRECT.search(text)]


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_say_the_effect_first(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert sum(len(list(docstrings(path.read_text("utf-8")))) for path in files) > len(files)
    assert [(str(path.relative_to(ROOT)), line) for path in files for line in indirect(path.read_text("utf-8"))] == []


def test_docstrings_of_the_top_modules_say_the_effect_first() -> None:
    files = sorted((ROOT / "cam_cli").glob("*.py"))
    assert [(path.name, line) for path in files for line in indirect(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What of a map.", True),
        ("How much of a map.", True),
        ("The same of a map.", True),
        ("Whatever of a map.", False),
        ("The rows of a map.", False),
        ("The user is told of a map.", True),
        ("A crash costs its image a row.", True),
        ("The peak is seen in a map.", True),
        ("Measures the costs of a map.", False),
    ],
)
def test_an_indirect_docstring_is_found(text: str, found: bool) -> None:
    source = f'"""Maps."""\n\n\ndef rows() -> None:\n    """{text}"""\n'
    assert indirect(source) == [4] * found
