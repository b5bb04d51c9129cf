"""Finds spots that lie outside the objects of a truth."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..errors import CamxError
from ..evaluation.folder import ExplainedRun
from ..evaluation.raster import truth_raster
from ..images.annotations.formats import read_truth
from ..images.annotations.matching import match_truths
from ..images.annotations.upright import upright
from ..outputs.run_folder import RunFolder
from ..sentences import counted
from .options import PatternsOptions
from .spots import SpotTable

#: Share of a raster cell that an object must cover. Distance from an object, as a share of the long side, at which a
#: spot still counts as inside.
_COVERED, _NEAR = 0.1, 0.03


def outside_truth(run: RunFolder, spots: SpotTable, options: PatternsOptions) -> tuple[np.ndarray | None, list[str]]:
    """For each spot 1 if no object lies within 3 % of the long side, else 0, NaN without truth; and notes.

    Objects of all classes count. None without a truth. Raises `CamxError` for a truth that is unreadable or matches no
    image.
    """
    if options.truth is None:
        return None, []
    truth = read_truth(options.truth, options.truth_format)
    explained = ExplainedRun(run.path, partial=options.partial)
    images = match_truths(truth.images, explained.images, explained.base, stems=truth.stems, problems=truth.problems)
    if not images:
        raise CamxError(f"No image of {options.truth!r} is in {run.path!r}.", field="truth")
    found = np.full(len(spots), np.nan)
    table = spots.table
    first = np.searchsorted(spots.owner, np.arange(len(table) + 1))
    for place, image in enumerate(table.images):
        some = slice(int(first[place]), int(first[place + 1]))
        if image not in images or some.start == some.stop:
            continue
        size = int(table.numbers["width"][place]), int(table.numbers["height"][place])
        annotations = images[image].read(size, truth.problems)
        objects = upright(annotations, image, size, partial(explained.orientation, image), truth.problems)
        scored = [one for one in objects or () if not one.ignored]
        if scored:
            inside = truth_raster(scored, (), size).inside >= _COVERED
            found[some] = ~_within(inside, spots.x[some], spots.y[some])
    known = len(np.unique(spots.owner[np.isfinite(found)]))
    notes = [f"The truth ({truth.format}) covers {known:,} of {counted(len(table), 'image')}."]
    return found, [*notes, *truth.notes]


def _within(inside: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether an object lies at or close to each place."""
    rows, columns = inside.shape
    near, reach = np.zeros(len(x), bool), round(_NEAR * max(inside.shape))
    for place, (across, down) in enumerate(zip((x * columns).astype(int), (y * rows).astype(int))):
        top, left = max(0, down - reach), max(0, across - reach)
        near[place] = inside[top : down + reach + 1, left : across + reach + 1].any()
    return near
