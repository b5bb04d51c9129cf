"""Tests that need a package of an extra are marked, so that CI can run them where the extras are installed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

#: Packages of the test extra, or with their own mark (browser).
HAVE_OWN = {"axe_playwright_python", "moto", "playwright", "tensorboard", "torchvision", "wandb"}


def unmarked(source: str) -> Iterator[str]:
    """Tests that skip without a package of an extra, and lack the mark `extras`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
        names = [
            call.args[0].value.split(".")[0]
            for call in calls
            if ast.unparse(call.func) == "pytest.importorskip"
            and isinstance(call.args[0], ast.Constant)
            and isinstance(call.args[0].value, str)
        ]
        marked = any(ast.unparse(decorator) == "pytest.mark.extras" for decorator in node.decorator_list)
        if set(names) - HAVE_OWN and not marked:
            yield node.name


def test_every_test_of_an_extra_is_marked() -> None:
    files = sorted(Path(__file__).parent.rglob("*.py"))
    assert [(path.name, name) for path in files for name in unmarked(path.read_text())] == []


def test_a_missing_mark_is_found() -> None:
    source = 'def test_it() -> None:\n    pytest.importorskip("scipy.stats")\n'
    assert [*unmarked(source)] == ["test_it"]
    assert [*unmarked("@pytest.mark.extras\n" + source)] == []


def test_a_rule_is_left_aside_with_a_reason_only() -> None:
    bare = re.compile(r"# noqa(?!: [A-Z]+\d+(, [A-Z]+\d+)* - \w)")
    rooms = ("benchmarks", "cam_cli", "camx", "cli", "tests", "tools")
    files = [path for room in rooms for path in sorted((Path(__file__).parents[1] / room).rglob("*.py"))]
    found = [
        f"{path}:{n}" for path in files for n, line in enumerate(path.read_text().splitlines(), 1) if bare.search(line)
    ]
    assert [one for one in found if Path(__file__).name not in one] == []
    assert bare.search("x = 1  # noqa: E501")
    assert not bare.search("x = 1  # noqa: E501 - a table")
