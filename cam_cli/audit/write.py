"""The files that an audit leaves in `OUT/audit`."""

from __future__ import annotations

import json
import os

from ..gates import junit
from ..outputs.folder import explained_errors
from ..outputs.store import write_file
from .options import AuditOptions
from .records import AuditResult
from .summary import summary
from .tables import groups_csv, pairs_csv

FOLDER = "audit"


def write(path: str, result: AuditResult, options: AuditOptions, junit_file: str | None = None) -> str:
    """Write groups.csv, pairs.csv and summary.json, each one whole, and the JUnit file; return the folder.

    Raises `CamxError` if the folder cannot be written.
    """
    folder = os.path.join(path, FOLDER)
    with explained_errors(path):
        write_file(os.path.join(folder, "groups.csv"), groups_csv(result))
        write_file(os.path.join(folder, "pairs.csv"), pairs_csv(result))
        content = json.dumps(summary(result, options), indent=2, ensure_ascii=False, allow_nan=False)
        write_file(os.path.join(folder, "summary.json"), content.encode("utf-8", "backslashreplace") + b"\n")
    if junit_file:
        with explained_errors(os.path.dirname(os.path.abspath(junit_file))):
            write_file(os.path.abspath(junit_file), junit(FOLDER, result.gates))
    return folder
