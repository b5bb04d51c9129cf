"""Imports between the files of camx have no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def modules_of(root: Path) -> dict[str, Path]:
    """The files of the packages below `root` by their dotted names; a package is its `__init__`."""
    found = {}
    for path in [*root.glob("cam_cli/**/*.py"), *root.glob("cli/**/*.py")]:
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, modules: dict[str, Path]) -> Iterator[str]:
    """The files that a file imports anywhere: at its top, within functions, and for its types only.

    A submodule taken from a package counts as itself, not as the package too.
    """
    path = modules[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            yield from (one if one in modules else source for one in names if one in modules or source in modules)


def import_graph(root: Path) -> dict[str, set[str]]:
    """By file: the files it imports."""
    modules = modules_of(root)
    return {name: set(imports_of(name, modules)) - {name} for name in modules}


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of files, its first file repeated at the end; empty if there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for following in sorted(graph[name]):
                if circle := visit(following, [*path, name]):
                    return circle
            done.add(name)
        return []

    return next((circle for name in sorted(graph) if (circle := visit(name, []))), [])


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = import_graph(ROOT)
    assert graph["cam_cli.cams.tracing.trace"] >= {"cam_cli.cams.tracing.replay", "cam_cli.errors"}
    assert not find_circle(graph)


@pytest.mark.parametrize(
    "statement",
    [
        "from .trace import Trace",
        "from . import trace",
        "from ..cams import trace",
        "import cam_cli.cams.trace",
        "def late():\n    from .trace import Trace",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .trace import Trace",
    ],
)
def test_a_planted_circle_is_found(tmp_path: Path, statement: str) -> None:
    cams = tmp_path / "cam_cli" / "cams"
    cams.mkdir(parents=True)
    for folder in (cams.parent, cams):
        (folder / "__init__.py").touch()
    (cams / "trace.py").write_text("from .replay import Replay\n")
    (cams / "replay.py").write_text("from . import upstream\n")
    (cams / "upstream.py").write_text("import torch\n")
    assert not find_circle(import_graph(tmp_path))
    (cams / "upstream.py").write_text(f"{statement}\n")
    circle = ["cam_cli.cams.replay", "cam_cli.cams.upstream", "cam_cli.cams.trace", "cam_cli.cams.replay"]
    assert find_circle(import_graph(tmp_path)) == circle
