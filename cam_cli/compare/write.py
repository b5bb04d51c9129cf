"""Writes the files of a comparison."""

from __future__ import annotations

from ..gates import junit
from ..outputs.derived import Content, json_bytes, write_beside, write_derived
from ..run_layout import COMPARE
from .options import CompareOptions
from .records import Comparison
from .summary import summary
from .tables import groups_csv, images_csv


def write(folder: str, found: Comparison, options: CompareOptions, junit_file: str | None = None) -> None:
    """Writes images.csv, groups.csv and summary.json into `folder`, and the JUnit file if requested.

    Raises `CamxError` if they cannot be written.
    """
    files: dict[str, Content] = {
        "images.csv": images_csv(found),
        "groups.csv": groups_csv(found),
        "summary.json": json_bytes(summary(found, options)),
    }
    write_derived(folder, files, below=folder)
    if junit_file:
        write_beside(junit_file, junit(COMPARE, found.gates))
