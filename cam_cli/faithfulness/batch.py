"""A batch of images under measurement: its maps on one grid, and the probabilities of changed images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cams.tracing.replay import Replay

#: Numbers of class scores that are in memory at once.
_MOST_SCORES = 2**25
#: Images B×C×H×W, the number of a draw, which of the M maps → raw maps B×n×h×w of the same classes on the grid.
Mapper = Callable[[Tensor, int, Sequence[int]], Tensor]


@dataclass(frozen=True)
class MeasuredBatch:
    """B images with M maps each, those of the two baselines last.

    inputs: B×C×H×W, normalised. classes: the class of all maps of an image, B. base: its probability, B. maps:
    B×M×h×w, raw and finite. ranks: the places of their cells from the hottest. keys: names of the images. pixel: 1 of
    pixels in [0, 1] after normalisation, 1×C×1×1. class_count: scores of the network. explain: maps of other images
    in place of these. permuted: the same by networks with permuted weights.
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
        """The numbers of all maps."""
        return range(self.count)

    @property
    def cells(self) -> int:
        """Number of cells of the grid."""
        return self.maps.shape[2] * self.maps.shape[3]

    def probabilities(self, owner: Tensor, pictures: Callable[[slice], Tensor]) -> Tensor:
        """The probability of its owner's class for each of N changed images, in main memory.

        `owner` N: the number of the image in the batch. `pictures` makes a slice of them at a time.
        """
        size, found = max(1, _MOST_SCORES // self.class_count), []
        for start in range(0, len(owner), size):
            some = owner[start : start + size]

            def make(part: slice, start: int = start) -> Tensor:
                return pictures(slice(start + part.start, start + part.stop))

            scores = self.replay.probabilities(self.replay.scores(len(some), make))
            found.append(scores.gather(1, self.classes[some][:, None])[:, 0].cpu())
        return torch.cat(found)
