"""Writes the files of a search for patterns into `OUT/patterns`."""

from __future__ import annotations

import os

from ..gates import junit
from ..outputs.derived import Content, json_bytes, write_beside, write_derived
from ..run_layout import PATTERNS
from .options import PatternsOptions
from .records import Patterns
from .summary import summary
from .tables import images_csv, patterns_csv


def write(path: str, found: Patterns, options: PatternsOptions, junit_file: str | None = None) -> None:
    """Writes patterns.csv, images.csv and summary.json into OUT/patterns, and the JUnit file if requested.

    Raises `CamxError` if they cannot be written.
    """
    files: dict[str, Content] = {
        "patterns.csv": patterns_csv(found),
        "images.csv": images_csv(found),
        "summary.json": json_bytes(summary(found, options)),
    }
    write_derived(os.path.join(path, PATTERNS), files, below=path)
    if junit_file:
        write_beside(junit_file, junit(PATTERNS, found.gates))
