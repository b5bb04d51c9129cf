"""Scores of a segmentation network: the logits of a class, summed over the pixels that count for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ...images.target_masks import EVERY_CLASS


@dataclass(frozen=True)
class Regions:
    """The pixels of B images whose logits are summed.

    labels: B×H×W int64, the predicted class of each pixel. weights: with a mask, the share in [0, 1] of each pixel that
    it marks: B×1×H×W float32 for all classes, or B×K×H×W; None: the pixels that are predicted as a class count for it.
    """

    labels: Tensor
    weights: Tensor | None = None

    @classmethod
    def predicted(cls, logits: Tensor, mask: Tensor | None = None) -> Regions:
        """Returns the regions of logits B×K×H×W.

        mask: B×h×w int16 of any size, as `MaskReading.read` returns it; resized to the size of the logits by averaging
        areas.
        """
        labels = logits.detach().nan_to_num().argmax(1)
        if mask is None:
            return cls(labels)
        every = mask[:, None] == EVERY_CLASS
        # A mask has indices of classes (≥ 0), or marks pixels for every class.
        by_class = bool((mask >= 0).any())
        marked = (
            mask[:, None] == torch.arange(logits.shape[1], device=mask.device)[:, None, None] if by_class else every
        )
        return cls(labels, adaptive_avg_pool2d(marked.float(), (labels.shape[1], labels.shape[2])))

    def of(self, image: int) -> Regions:
        """Returns the regions of one image of the batch."""
        return self.part(slice(image, image + 1))

    def part(self, part: slice) -> Regions:
        """Returns the regions of a slice of the batch."""
        return replace(self, labels=self.labels[part], weights=None if self.weights is None else self.weights[part])

    def sums(self, logits: Tensor) -> Tensor:
        """Returns scores B×K of logits B×K×H×W; regions of a single image serve any number of images."""
        images, classes = logits.shape[:2]
        if self.weights is not None:
            return (logits * self.weights).sum((2, 3))
        labels = self.labels.expand(images, -1, -1)[:, None]
        own = logits.gather(1, labels).flatten(1)
        return logits.new_zeros(images, classes).scatter_add(1, labels.flatten(1), own)

    def shares(self, classes: int) -> Tensor:
        """Returns the share of the pixels predicted as each class, B×K in [0, 1]; with a mask, of its pixels."""
        counts = torch.ones_like(self.labels) if self.weights is None else self.weights.amax(1)
        counts = counts.float().flatten(1)
        found = counts.new_zeros(len(counts), classes).scatter_add(1, self.labels.flatten(1), counts)
        return found / counts.sum(1, keepdim=True).clamp_min(1e-9)

    def pixels_of(self, index: int) -> Tensor:
        """Returns the pixels that count for a class, B×H×W bool; with a mask, those of which it marks half or more."""
        if self.weights is None:
            return self.labels == index
        return self.weights[:, index if self.weights.shape[1] > 1 else 0] >= 0.5

    def has(self, index: int) -> Tensor:
        """Returns whether any pixel of each image counts for a class: B bool."""
        if self.weights is None:
            return (self.labels == index).flatten(1).any(1)
        return self.weights[:, index if self.weights.shape[1] > 1 else 0].flatten(1).any(1)


def whole_sums(logits: Tensor) -> Tensor:
    """Returns the sums B×K of logits B×K×H×W over all pixels: each pixel counts for each class."""
    return logits.sum((2, 3))
