"""The files that a comparison leaves."""

from __future__ import annotations

import json
import os

from ..gates import junit
from ..outputs.folder import explained_errors
from ..outputs.store import write_file
from .options import CompareOptions
from .records import Comparison
from .summary import summary
from .tables import groups_csv, images_csv

#: Where the files go within B, unless another folder is given.
FOLDER = "compare"


def write(folder: str, found: Comparison, options: CompareOptions, junit_file: str | None = None) -> None:
    """Write images.csv, groups.csv and summary.json into `folder`, each one whole, and the JUnit file.

    Raises `CamxError` if they cannot be written.
    """
    with explained_errors(folder):
        write_file(os.path.join(folder, "images.csv"), images_csv(found))
        write_file(os.path.join(folder, "groups.csv"), groups_csv(found))
        content = json.dumps(summary(found, options), indent=2, ensure_ascii=False, allow_nan=False)
        write_file(os.path.join(folder, "summary.json"), content.encode("utf-8", "backslashreplace") + b"\n")
    if junit_file:
        with explained_errors(os.path.dirname(os.path.abspath(junit_file))):
            write_file(os.path.abspath(junit_file), junit(FOLDER, found.gates))
