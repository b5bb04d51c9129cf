"""Helpers of `test_compare`, `test_compare_gates` and `test_compare_maps`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cam_cli.compare.compare import compare
from cam_cli.compare.options import CompareOptions
from cam_cli.gates import GateResult
from cam_cli.statistics import z_of

from .run_folders import NAMES, image_row, run_folder

Z = z_of(0.05)


CAT = 0


DOG = 1


FISH = 2


def runs(tmp_path: Path, pairs: list[tuple[dict[str, Any], dict[str, Any]]], **record: Any) -> tuple[str, str]:
    """Writes two runs, with the first and the second rows."""
    record = {"classes": list(NAMES), **record}
    first, second = (
        run_folder(tmp_path / name, [pair[side] for pair in pairs], **record) for side, name in enumerate("ab")
    )
    return str(first), str(second)


def predicted(counts: dict[tuple[int, int], int], **more: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Rows of images of cats, for counts by the class in A and in B."""
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    return [tuple(image_row(f"{i}.jpg", CAT, kind[side], **more) for side in (0, 1)) for i, kind in enumerate(kinds)]  # type: ignore[misc]


#: The example of the specification: 160 photos, accuracy 0.969 → 0.925, broke 9, fixed 2.
EXAMPLE = {(CAT, CAT): 146, (CAT, DOG): 9, (DOG, CAT): 2, (DOG, DOG): 2, (DOG, FISH): 1}


@pytest.fixture
def example(tmp_path: Path) -> tuple[str, str]:
    return runs(tmp_path, predicted(EXAMPLE))


def one_gate(pair: tuple[str, str], text: str, **options: Any) -> GateResult:
    (found,) = compare(*pair, CompareOptions(fail_if=(text,), **options)).gates
    return found
