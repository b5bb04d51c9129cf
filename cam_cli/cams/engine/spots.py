"""Adds spots to the maps of a batch: contributions of the channels at their peaks, as short vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...errors import CamxError
from ...maps.explanation import Explanation
from ...maps.spots import Peak, Spot, peaks, projection, quantised
from ..methods.registry import METHODS
from ..tracing.trace import Trace

#: (index of the image, index of its map, column of its class, peak)
_Place = tuple[int, int, int, Peak]


def check_spots(methods: Sequence[str], *, gradients: bool) -> None:
    """Raises `CamxError` for maps without spots: those of concepts, and of a network without gradients."""
    for name in methods:
        if METHODS[name].per == "concept":
            raise CamxError(
                f"`save=spots` does not go with `methods={name}`: its maps are of concepts, not of classes.",
                "Leave one of the two out.",
                field="save",
            )
    if not gradients:
        raise CamxError(
            "`save=spots` needs the gradient of a class score, and this network has none.", "Leave it out.",
            field="save",
        )  # fmt: skip


def with_spots(
    explanations: Sequence[Explanation], classes: Sequence[Sequence[int]], columns: Tensor, trace: Trace
) -> list[Explanation]:
    """Returns the explanations of B images with the spots of every map.

    classes: of each image, in the order of `columns` B×T. trace: of the layer whose channels contribute; its sign is
    that of the evidence.
    """
    grid = (trace.features.shape[2], trace.features.shape[3])
    found: list[_Place] = [
        (image, number, list(classes[image]).index(one.prediction.index), peak)
        for image, explanation in enumerate(explanations)
        for number, one in enumerate(explanation.maps)
        for peak in peaks(one.values, grid)
    ]
    if not found:
        return list(explanations)
    vectors = quantised(_contributions(found, grid, columns, trace))
    spots: dict[tuple[int, int], list[Spot]] = {}
    for (image, number, _, peak), vector in zip(found, vectors):
        spots.setdefault((image, number), []).append(Spot(peak, vector))
    return [
        replace(
            explanation,
            maps=tuple(
                replace(one, spots=tuple(spots.get((image, number), ())))
                for number, one in enumerate(explanation.maps)
            ),
        )
        for image, explanation in enumerate(explanations)
    ]  # fmt: skip


def _contributions(found: Sequence[_Place], grid: tuple[int, int], columns: Tensor, trace: Trace) -> np.ndarray:
    """Returns the projected contributions of the channels at every place: one row each, float32."""
    device = trace.features.device
    cells = [peak.cell(*grid) for _, _, _, peak in found]
    images, targets = (torch.tensor([one[place] for one in found], device=device) for place in (0, 2))
    ys, xs = (torch.tensor([cell[axis] for cell in cells], device=device) for axis in (0, 1))
    weights = trace.mean_gradients(columns)[images, targets, :, 0, 0]
    elsewhere = trace.features.mean(dim=(2, 3))
    contributions = torch.nan_to_num(weights * (trace.features[images, :, ys, xs] - elsewhere[images]))
    matrix = torch.from_numpy(projection(contributions.shape[1])).to(device)
    # In units of the largest one: the squares of small gradients would underflow.
    largest = contributions.abs().amax(1, keepdim=True).clamp_min(1e-38)
    projected = (contributions / largest) @ matrix
    return projected.cpu().numpy()
