"""From the files of a run to `report/index.html`."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..maps.colormaps import COLORMAPS, TWO_SIDED, palette
from ..outputs import store
from ..outputs.folder import OutputFolder, explained_errors
from ..outputs.journal import Row
from ..run_layout import JOURNAL, REPORT
from .chart import charts
from .chunks import Beside, Chunks, Inside
from .failures import Failures
from .headline import image_facts, training_facts
from .images import Images
from .page import Content, page
from .pictures import EMBEDDED, embedded, picture_of
from .run import TRAIN_GAP, Run
from .training import metrics_of, samples_of

_SIDES = {"picture": 512, "overlay": 512, "sheet": 1400}
_OFFERED = ("turbo", "viridis", "inferno", "gray")


def build_report(path: str, keys: Sequence[str] | None = None) -> str:
    """Write the report of the run in `path`, finished or not, and return the file.

    Of the images `keys`; without them of all in the journal, in input order. Up to 200 images are one file that
    holds everything; more of them a page with data files and pictures beside it. The page is written last: whoever
    looks sees the old report or the new one. Raises `CamxError` for a folder that holds no run or cannot be written.
    """
    run = Run.read(path)
    with explained_errors(path):
        content = _of_training(run) if run.kind == TRAIN_GAP else _of_images(run, keys)
        store.write_file(run.file(REPORT), page(run, content), below=run.path)
        OutputFolder(path).remove_report_data(but=content.parts.base.removeprefix("data/"))
    return run.file(REPORT)


def _of_training(run: Run) -> Content:
    metrics, record = metrics_of(run), run.record
    samples, inside = samples_of(run)
    best = record.get("best_epoch")
    data = {"classes": record.get("classes") or [], "confusion": record.get("confusion"), "samples": samples}
    failures = Failures()
    for one in record.get("unreadable_images") or ():
        failures.add(one["error"], one["image"])
    return Content(
        data={**data, "bestEpoch": best, "metrics": metrics, **_colours(run)},
        parts=Inside() if inside else Beside(run.path, _build(run)),
        facts=training_facts(metrics, record),
        failures=failures,
        charts=charts(metrics, (record.get("plan") or {}).get("epochs") or 1, best),
        metrics=metrics,
    )


def _of_images(run: Run, keys: Sequence[str] | None) -> Content:
    count, found = run.rows(keys)
    rows: Iterable[Row] = found if count > EMBEDDED else list(found)
    parts: Chunks = Beside(run.path, _build(run)) if count > EMBEDDED else Inside()
    images = Images(run, parts, None if count > EMBEDDED else _pictures(run, rows))
    data = images.put(rows)
    evidence = (run.record.get("fingerprint") or {}).get("evidence", "for")
    return Content({**data, **_colours(run), "evidence": evidence}, parts, image_facts(images.counts), images.failures)


def _pictures(run: Run, rows: Iterable[Row]) -> dict[str, str]:
    """The pictures of the rows as `data:` addresses."""
    names: dict[str, list[str]] = {}
    for row in rows:
        name, kind = picture_of(row)
        if name:
            names.setdefault(kind, []).append(name)
    addresses: dict[str, str] = {}
    for kind, found in names.items():
        addresses |= embedded(run, found, _SIDES[kind])
    return addresses


def _colours(run: Run) -> dict[str, Any]:
    rendering = (run.record.get("fingerprint") or {}).get("rendering") or {}
    chosen = rendering.get("colormap", "turbo")
    names = dict.fromkeys((chosen, *_OFFERED))
    colours = {name: _packed(palette(name)) for name in names if name in COLORMAPS}
    return {"colormaps": colours, "twoSided": _packed(palette(TWO_SIDED)), "alpha": rendering.get("alpha", 0.5)}


def _packed(levels: np.ndarray) -> str:
    return base64.b64encode(levels.tobytes()).decode("ascii")


def _build(run: Run) -> str:
    """Twelve hexadecimal digits that name the data files of this state of the run."""
    state = os.stat(run.file(JOURNAL)) if run.has(JOURNAL) else os.stat(run.path)
    return hashlib.sha256(f"{state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:12]
