"""From a run folder to the columns of its images."""

from __future__ import annotations

import csv
import os

import numpy as np

from ..errors import CamxError
from ..report.run import EXPLAIN
from ..report.run import Run as Run
from .image_table import ImageTable, image_table

_FINISHED = "finished"
#: What `camx evaluate` leaves of each image.
_EVALUATED = "evaluate/images.csv"


def read_run(path: str, *, partial: bool, why: str) -> Run:
    """The folder of a finished run of `camx explain`; with `partial` also of one that is not finished.

    why: what is wrong with half a run. Raises `CamxError`.
    """
    run = Run.read(path)
    if run.kind != EXPLAIN:
        raise CamxError(f"{path!r} holds results of `camx {run.kind}`. Give the --output of `camx explain`.")
    state = run.record.get("state", "running")
    if state != _FINISHED and not partial:
        raise CamxError(
            f"The run in {path!r} is not finished (it is {state}): {why}. "
            "Finish it with the same command, or give --partial."
        )
    return run


def read_table(run: Run) -> ImageTable:
    """The columns of a run, with what `camx evaluate` has found of its images. Raises `CamxError` if it has none."""
    table = image_table(run.rows()[1], run.record.get("classes") or ())
    if not len(table):
        raise CamxError(f"The run in {run.path!r} has no images. Explain some first.")
    energy = _energy(run.file(_EVALUATED))
    if not energy:
        return table
    means = [energy.get(image, (0.0, 0)) for image in table.images]
    column = np.array([total / count if count else np.nan for total, count in means])
    return table.with_numbers({"energy_in_box": column})


def _energy(path: str) -> dict[str, tuple[float, int]]:
    """By image, the sum over its objects of the share of the map inside the true box, and their number."""
    found: dict[str, tuple[float, int]] = {}
    if not os.path.isfile(path):
        return found
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row in csv.DictReader(file):
            try:
                value, image = float(row.get("energy") or "nan"), row["image"]
            except (KeyError, ValueError) as error:
                raise CamxError(f"{path!r} is no table of `camx evaluate`: {error}. Run that once more.") from error
            if np.isfinite(value):
                # Names that a spreadsheet would run have an apostrophe in a table.
                name = image[1:] if image[:2] in ("'=", "'+", "'-", "'@", "'\t", "'\r") else image
                total, count = found.get(name, (0.0, 0))
                found[name] = (total + value, count + 1)
    return found
