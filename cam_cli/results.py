"""Reads the results of a finished run in Python."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, Literal

from .errors import CamxError
from .outputs.records import Record, image_record, map_records
from .outputs.run_folder import EXPLAIN, RunFolder


def read_results(path: str | os.PathLike[str], of: Literal["images", "maps"] = "images", *, rows: bool = False) -> Any:
    """Results of `camx explain` in `path`: one row per image in input order (including failed ones), or one per map.

    Columns are those of `predictions.csv` or `maps.csv`, as numbers, texts and booleans; None for a missing value.
    Rows of images also have the columns of the labels file, each as `attribute:NAME`. Returns a `pandas.DataFrame` if
    pandas is installed; otherwise, or with `rows`, a list of dictionaries. Raises `CamxError` for a folder without
    such results.
    """
    run = RunFolder.read(os.fspath(path))
    if run.command != EXPLAIN:
        raise CamxError(f"{path!r} holds results of `camx {run.command}`.", "Give the output of `camx explain`.")
    if of not in ("images", "maps"):
        raise CamxError(f"There are no results of {of!r}.", "Give images or maps.")
    found = _images(run) if of == "images" else [record for row in run.rows() for record in map_records(row)]
    if rows or find_spec("pandas") is None:
        return found
    import pandas

    return pandas.DataFrame.from_records(found)


def _images(run: RunFolder) -> list[Record]:
    read = list(run.rows())
    most = max((len(row.get("top", ())) for row in read), default=0)
    names = dict.fromkeys(name for row in read for name in row.get("attributes", {}))
    return [
        {
            **image_record(row, most),
            **{f"attribute:{name}": row.get("attributes", {}).get(name) for name in names},
        }
        for row in read
    ]
