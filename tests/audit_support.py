"""Helpers of `test_audit`, `test_audit_groups` and `test_audit_simulation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cam_cli.audit.audit import audit
from cam_cli.audit.options import AuditOptions
from cam_cli.audit.records import AuditResult, GroupRow
from cam_cli.gates import GateResult

from .run_folders import rights, run_folder


def lit(total: int, right: int, light: str, **more: Any) -> list[dict[str, Any]]:
    return rights(total, right, light, attributes={"light": light}, **more)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """The example of the specification: 80 dark images, 78 of them right, and 80 bright ones, 77 of them right."""
    return run_folder(tmp_path / "run", [*lit(80, 78, "dark"), *lit(80, 77, "bright", border=0.3)])


def group(result: AuditResult, by: str, name: str) -> GroupRow:
    (found,) = (row for row in result.groups if (row.by, row.group) == (by, name))
    return found


def one_gate(path: Path, text: str, **options: Any) -> GateResult:
    (found,) = audit(str(path), AuditOptions(fail_if=(text,), **options)).gates
    return found
