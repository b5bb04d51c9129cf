"""Builds `report/index.html` from the files of a run."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import CamxError
from ..evaluation.faithful_files import faithfulness, write_faithfulness
from ..maps.colormaps import COLORMAPS, TWO_SIDED, palette
from ..outputs import store
from ..outputs.folder_errors import explained_errors
from ..outputs.leftovers import remove_report_data
from ..outputs.rows import ImageRow
from ..outputs.run_folder import COMMANDS, EVALUATE, EXPLAIN, TRAIN_GAP, RunFolder
from ..run_layout import REPORT
from ..sentences import counted
from .chart import charts
from .chunks import Chunks, ElementChunks, FileChunks, InlineChunks
from .evaluation import build_faithfulness
from .failures import Failures
from .groups import SUMMARY, GroupData, audit_options
from .headline import image_figures, training_figures
from .images import Images
from .originals import originals_of
from .page import Content, page
from .pictures import EMBEDDED, LARGE_BUDGET, SMALL_BUDGET, embedded, picture_of
from .training import captions_of, samples_of

#: Most bytes of data in a single file: browsers cannot hold texts above some 500 MB.
SINGLE_FILE_LIMIT = 400_000_000
_SIDES = {"picture": 512, "overlay": 512, "sheet": 1400}


def build_report(
    path: str,
    keys: Sequence[str] | None = None,
    warned: Callable[[str], None] = lambda message: None,
    *,
    single_file: bool = False,
) -> str:
    """Writes the report of the run in `path`, finished or not, and returns its file. The report of `evaluate` is in
    OUT/evaluate.

    keys: images to show; by default all of the journal in input order. Up to 200 images give one self-contained file;
    more give a page with data files and images beside it, or with `single_file` one file with smaller images. The page
    is written last, so a reader always sees a complete report. warned: called for damaged parts, which are left out.
    Raises `CamxError` for a folder without a run, an unwritable one, and a single file of more than 400 MB.
    """
    run = RunFolder.read(path)
    if run.command not in COMMANDS:
        raise CamxError(
            f"{path!r} holds results of `camx {run.command}`, for which this camx has no report. Update camx."
        )
    if run.command == EVALUATE:
        for problem in run.problems():
            warned(problem)
        found = faithfulness(path)
        write_faithfulness(found)
        return build_faithfulness(found)
    with explained_errors(path):
        content = _of_training(run) if run.command == TRAIN_GAP else _of_images(run, keys, warned, single_file)
        store.write_file(run.file(REPORT), page(run, content), below=run.path)
        remove_report_data(path, but=content.parts.base.removeprefix("data/"))
    for problem in run.problems():
        warned(problem)
    return run.file(REPORT)


def _of_training(run: RunFolder) -> Content:
    metrics, record = run.metrics, run.record
    samples, inside = samples_of(run)
    best = record.get("best_epoch")
    data = {"classes": record.get("classes", []), "confusion": record.get("confusion"), "samples": samples}
    data["captions"] = captions_of(run)
    failures = Failures()
    for one in record.get("unreadable_images", ()):
        failures.add(one["error"], one["image"])
    return Content(
        data={**data, "bestEpoch": best, "metrics": metrics, **_colours(run)},
        parts=InlineChunks() if inside else FileChunks(run.path, _build(run)),
        headline_figures=training_figures(metrics, record),
        failures=failures,
        charts=charts(metrics, record.get("plan", {}).get("epochs", 1), best),
        metrics=metrics,
    )


def _of_images(run: RunFolder, keys: Sequence[str] | None, warned: Callable[[str], None], single_file: bool) -> Content:
    names = run.images if keys is None else [key for key in keys if key in run]
    large = len(names) > EMBEDDED
    beside = large and not single_file
    rows: Iterable[ImageRow] = run.rows(names) if beside else list(run.rows(names))
    parts: Chunks = FileChunks(run.path, _build(run)) if beside else ElementChunks() if large else InlineChunks()
    budget = LARGE_BUDGET if large else SMALL_BUDGET
    originals = originals_of(run, os.path.dirname(run.file(REPORT)))
    images = Images(
        run, parts, None if beside else _pictures(run, rows, budget), groups=_groups(run, warned), originals=originals
    )
    data = images.put(rows) | _put_groups(images, parts, warned)
    evidence = run.record.get("fingerprint", {}).get("evidence", "for")
    figures = image_figures(images.counts)
    _check_size(parts, len(names))
    data |= {"evidence": evidence, "inputs": originals.folder if originals else ""}
    return Content({**data, **_colours(run)}, parts, figures, images.failures)


def _groups(run: RunFolder, warned: Callable[[str], None]) -> GroupData | None:
    """Collector of the groups of the images. Warns, and leaves the audit out, if its options are unreadable."""
    if run.command != EXPLAIN or run.task:
        return None
    try:
        return GroupData(run, audit_options(run))
    except CamxError as error:
        warned(str(error))
        return GroupData(run, None)


def _put_groups(images: Images, parts: Chunks, warned: Callable[[str], None]) -> dict[str, Any]:
    """Adds the groups to the parts. Warns and leaves them out if the audit does not fit these rows any more."""
    if images.groups is None:
        return {}
    try:
        known, found = images.groups.parts()
    except CamxError as error:
        warned(f"The report has no groups: {error}")
        return {}
    for name, part in found.items():
        parts.put(name, part)
    return known


def _check_size(parts: Chunks, images: int) -> None:
    size = sum(map(len, parts.elements.values()))
    if size > SINGLE_FILE_LIMIT:
        raise CamxError(
            f"A single file of {counted(images, 'image')} would take {size / 1e6:,.0f} MB, more than the limit of "
            f"{SINGLE_FILE_LIMIT / 1e6:,.0f} MB.",
            "Leave `single_file` out: the folder report/ then holds the page with its files beside it.",
            field="single_file",
        )


def _pictures(run: RunFolder, rows: Iterable[ImageRow], budget: int) -> dict[str, str]:
    """Images of the rows as `data:` addresses."""
    names: dict[str, list[str]] = {}
    for row in rows:
        name, kind = picture_of(row)
        if name:
            names.setdefault(kind, []).append(name)
    addresses: dict[str, str] = {}
    for kind, found in names.items():
        addresses |= embedded(run, found, _SIDES[kind], budget)
    return addresses


def _colours(run: RunFolder) -> dict[str, Any]:
    rendering = run.record.get("fingerprint", {}).get("rendering", {})
    chosen = rendering.get("colormap", "turbo")
    names = dict.fromkeys((chosen, *COLORMAPS))
    colours = {name: _packed(palette(name)) for name in names if name in COLORMAPS}
    return {"colormaps": colours, "twoSided": _packed(palette(TWO_SIDED)), "alpha": rendering.get("alpha", 0.5)}


def _packed(levels: np.ndarray) -> str:
    return base64.b64encode(levels.tobytes()).decode("ascii")


def _build(run: RunFolder) -> str:
    """Identifies the data files of this state of the run: twelve hexadecimal digits."""
    names = [*run.journals(), *filter(run.has, (SUMMARY,))]
    states = [os.stat(run.file(name)) for name in names] or [os.stat(run.path)]
    text = " ".join(f"{state.st_size} {state.st_mtime_ns}" for state in states)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
