"""Writes the files of an audit into `OUT/audit`."""

from __future__ import annotations

import os

from ..gates import junit
from ..outputs.derived import Content, json_bytes, write_beside, write_derived
from ..run_layout import AUDIT
from .options import AuditOptions
from .records import AuditResult
from .summary import summary
from .tables import groups_csv, pairs_csv


def write(path: str, result: AuditResult, options: AuditOptions, junit_file: str | None = None) -> None:
    """Writes groups.csv, pairs.csv and summary.json into OUT/audit, and the JUnit file if requested.

    Raises `CamxError` if they cannot be written.
    """
    files: dict[str, Content] = {
        "groups.csv": groups_csv(result),
        "pairs.csv": pairs_csv(result),
        "summary.json": json_bytes(summary(result, options)),
    }
    write_derived(os.path.join(path, AUDIT), files, below=path)
    if junit_file:
        write_beside(junit_file, junit(AUDIT, result.gates))
