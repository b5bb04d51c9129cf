"""A map of regions, ranked by their integrated gradients: B×T×h×w, h and w at most 224."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, one_hot

from ..tracing.trace import Trace
from .graph_segments import MEANT_FOR
from .method import method
from .paths import STEPS, along, from_black
from .segmented import reduced, segments_of

#: The growth of segments in pixels, and the fewest pixels that a segment must add, both for 224×224 pixels (authors'
#: code).
GROWN, ADDED = 5, 50


@method(
    "xrai",
    summary="regions ranked by their integrated gradients from black and white",
    paper="Kapishnikov et al. 2019",
    equation="mean of integrated gradients over the part of a segment not yet taken; the largest mean first",
    forwards=str(2 * STEPS),
    grid="pixels",
    reads_layer=False,
)
def xrai(trace: Trace, classes: Tensor) -> Tensor:
    """Mean of the integrated gradients over each region, the best region taken first (Kapishnikov et al. 2019).

    The gradients are the mean of those from black and from white. Regions are the segments of the image at six scales
    (`graph_segments`), grown by some pixels; a region loses the pixels of a better one.
    """
    replay = trace.replay
    white = replay.shared("from white", classes, lambda: along(trace, classes, replay.white))
    values = reduced(trace.sign * (from_black(trace, classes) + white) / 2)
    found = []
    for image, scales in enumerate(segments_of(replay, classes)):
        masks = _grown(scales, values.device).cpu().flatten(1)
        least = max(1, round(ADDED * masks.shape[1] / MEANT_FOR))
        maps = [ranked(one, masks, least) for one in values[image].flatten(1).cpu().double()]
        found.append(torch.stack(maps).view_as(values[image]))
    return torch.stack(found).to(values)


def ranked(values: Tensor, masks: Tensor, least: int) -> Tensor:
    """Returns the mean of `values` P over the part that each of the masks n×P adds, the largest mean first.

    A mask that would add less than `least` elements is left out; elements in no mask get their own mean.
    """
    free = torch.ones_like(values, dtype=torch.bool)
    sums = torch.stack([values[mask].sum() for mask in masks])
    counts = masks.sum(dim=1)
    left = torch.ones_like(counts, dtype=torch.bool)
    found = torch.zeros_like(values)
    while bool((left := left & (counts >= least)).any()):
        means = torch.where(left, sums / counts.clamp_min(1), -torch.inf)
        best = int(means.argmax())
        added = masks[best] & free
        found[added] = means[best]
        taken = masks[:, added]
        sums, counts = sums - taken.to(values) @ values[added], counts - taken.sum(dim=1)
        free &= ~added
        left[best] = False
    if bool(free.any()):
        found[free] = values[free].mean()
    return found


def _grown(scales: list[np.ndarray], device: torch.device) -> Tensor:
    """Returns the masks n×h×w of the segments of all scales, each grown by a disk."""
    share = scales[0].size / MEANT_FOR
    radius = max(1, round(GROWN * share**0.5))
    steps = torch.arange(-radius, radius + 1, device=device)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).float()[None, None]
    masks = [one_hot(torch.from_numpy(one)).permute(2, 0, 1).to(device) for one in scales]
    return torch.cat([conv2d(one[:, None].float(), disk, padding=radius)[:, 0] > 0.5 for one in masks])
