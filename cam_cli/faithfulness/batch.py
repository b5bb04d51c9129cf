"""A batch of images under measurement: maps on one grid, and probabilities of changed images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cams.tracing.replay import Replay

#: Class scores in memory at once.
_MOST_SCORES = 2**25
#: Images B×C×H×W, number of a draw, indices of n of the M maps → raw maps B×n×h×w of the same classes on the grid.
Mapper = Callable[[Tensor, int, Sequence[int]], Tensor]


@dataclass(frozen=True)
class MeasuredBatch:
    """B images with M maps each; the two baselines are last.

    inputs: B×C×H×W, normalised. classes: class of all maps of an image, B. base: its probability, B. maps: B×M×h×w, raw
    and finite. ranks: ranks of their cells from the hottest. keys: names of the images. pixel: size of 1 (pixels in
    [0, 1]) after normalisation, 1×C×1×1. class_count: number of scores. explain: maps of changed images. permuted: maps
    by networks with permuted weights.
    """

    replay: Replay
    inputs: Tensor
    classes: Tensor
    base: Tensor
    maps: Tensor
    ranks: Tensor
    keys: tuple[str, ...]
    pixel: Tensor
    class_count: int
    explain: Mapper
    permuted: tuple[Mapper, ...]
    steps: int
    draws: int
    seed: int

    @property
    def count(self) -> int:
        """Number of maps of an image."""
        return self.maps.shape[1]

    @property
    def every(self) -> range:
        """Indices of all maps."""
        return range(self.count)

    @property
    def cells(self) -> int:
        """Number of cells of the grid."""
        return self.maps.shape[2] * self.maps.shape[3]

    def probabilities(self, owner: Tensor, changed: Callable[[slice], Tensor]) -> Tensor:
        """Probability of the owner's class for each of N changed images, in main memory.

        owner: N, index of the original image in the batch. changed: creates a slice of the changed images.
        """
        size, found = max(1, _MOST_SCORES // self.class_count), []
        for start in range(0, len(owner), size):
            some = owner[start : start + size]

            def make(part: slice, start: int = start) -> Tensor:
                return changed(slice(start + part.start, start + part.stop))

            scores = self.replay.probabilities(self.replay.scores(len(some), make))
            found.append(scores.gather(1, self.classes[some][:, None])[:, 0].cpu())
        return torch.cat(found)
