"""The library names fields, the command line flags: no flag is spelled below `cli/`, and every field exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bind import flags_of
from cli.main import COMMANDS
from cli.names import Names

ROOT = Path(__file__).parents[1]
#: Files whose sentences are not about fields: another command line, and the spelling of flags.
OTHERS = {"cam_cli/demo/__main__.py", "cam_cli/options.py"}
#: A command in backticks, which the user can type.
COMMAND = re.compile(r"`(camx|ray|pip|git) [^`]*`")
FIELD = re.compile(r"`([a-z_]+)(?:=[^`]*)?`")
#: Words in backticks that are values, commands or columns.
WORDS = {"activations", "ask", "correct", "evaluate", "caption", "explain", "folder", "image", "with"}


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Text in the code of a file, without docstrings, with {} for the values of an f-string."""
    tree = ast.parse(path.read_text("utf-8"))
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            left_out.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            left_out.update(map(id, node.values))
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, COMMAND.sub("", node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = (str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
            yield node.lineno, COMMAND.sub("", "".join(parts))


FILES = [path for path in sorted((ROOT / "cam_cli").rglob("*.py")) if str(path.relative_to(ROOT)) not in OTHERS]


def test_no_flag_is_spelled_below_the_command_line() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in FILES
        for line, text in sentences(path)
        if re.search(r"(?<![\w-])--[a-z]", text)
    ]
    assert not found


def test_every_field_in_a_sentence_is_one_of_a_command() -> None:
    commands = [Names(flags_of(command.run)) for command in COMMANDS.values()]
    unknown = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in FILES
        for line, text in sentences(path)
        for name in FIELD.findall(text)
        if name not in WORDS and not any(names.find(name) for names in commands)
    ]
    assert not unknown


@pytest.mark.parametrize("text", ['x = f"give --top-k {y}"', 'x = "a" "--method b"'])
def test_a_spelled_flag_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)
    assert any("--" in sentence for _, sentence in sentences(tmp_path / "a.py"))
