"""Reads a run folder into the columns of its images."""

from __future__ import annotations

import csv
import io

import numpy as np

from ..errors import CamxError
from ..outputs.run_folder import EXPLAIN, RunFolder
from .image_table import ImageTable, image_table

#: File with the scores of `camx evaluate` for each image.
_EVALUATED = "evaluate/images.csv"


def read_run(path: str, *, partial: bool, why: str) -> RunFolder:
    """Opens the folder of a finished run of a classifier by `camx explain`; with `partial` also of an unfinished one.

    why: reason why an unfinished run is refused. Raises `CamxError`.
    """
    run = RunFolder.read(path)
    if run.command != EXPLAIN:
        raise CamxError(f"{path!r} holds results of `camx {run.command}`.", "Give the output of `camx explain`.")
    run.require_probabilities()
    if not run.complete and not partial:
        raise CamxError(
            f"The run in {path!r} is not finished ({run.state}): {why}.",
            "Finish it with the same command, or accept a part with `partial`.",
            field="partial",
        )
    return run


def read_table(run: RunFolder) -> ImageTable:
    """Columns of a run, with the scores of `camx evaluate` if there are any. Raises `CamxError` for a run without
    images."""
    table = image_table(run.rows(), run.record.get("classes", ()))
    if not len(table):
        raise CamxError(
            f"The run in {run.path!r} has no images.", "Explain images into it first, or give another folder."
        )
    energy = _energy(run)
    if not energy:
        return table
    means = [energy.get(image, (0.0, 0)) for image in table.images]
    column = np.array([total / count if count else np.nan for total, count in means])
    return table.with_numbers({"energy_in_box": column})


def _energy(run: RunFolder) -> dict[str, tuple[float, int]]:
    """By image: sum over its objects of the share of the map inside the true box, and number of objects."""
    found: dict[str, tuple[float, int]] = {}
    if not run.has(_EVALUATED):
        return found
    text = run.read_file(_EVALUATED).decode("utf-8", "surrogateescape")
    method = None
    for row in csv.DictReader(io.StringIO(text, newline="")):
        method = method or row.get("method")
        if row.get("method") != method:  # only the first of several methods, as everywhere in an audit
            continue
        try:
            value, image = float(row.get("energy") or "nan"), row["image"]
        except (KeyError, ValueError) as error:
            raise CamxError(
                f"{run.file(_EVALUATED)!r} is no table of `camx evaluate`: {error}.", "Run `camx evaluate` again."
            ) from error
        if np.isfinite(value):
            # Tables prefix names that a spreadsheet would run with an apostrophe.
            name = image[1:] if image[:2] in ("'=", "'+", "'-", "'@", "'\t", "'\r") else image
            total, count = found.get(name, (0.0, 0))
            found[name] = (total + value, count + 1)
    return found
