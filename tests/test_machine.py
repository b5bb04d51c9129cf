"""camx uses its share of a machine: processors, and memory for images."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cam_cli
from cam_cli import machine

GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "processes", "granted"),
    [(64 * GIB, 1, 8 * GIB), (64 * GIB, 4, 2 * GIB), (2 * GIB, 1, GIB), (0, 1, GIB), (0, 2, GIB // 2)],
)
def test_images_take_an_eighth_of_the_memory_but_a_gigabyte_of_a_small_machine(
    total: int, processes: int, granted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "total_memory", lambda: total)
    assert machine.picture_memory(processes) == granted


def test_only_the_machine_asks_the_system_for_processors_and_memory() -> None:
    """One answer for lanes, workers and batches: `os.cpu_count` ignores containers and affinity."""
    asked = {"cpu_count", "sched_getaffinity", "sysconf"}
    package = Path(cam_cli.__file__).parent
    files = {
        path.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in asked
    }
    assert files == {"machine.py"}
