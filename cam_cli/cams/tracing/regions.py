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

    labels: B×H×W int64, the class that each pixel is predicted as. weights: in place of those predicted as a class, the
    share of each pixel that a mask marks, for every class B×1×H×W float32, or for each class B×K×H×W; None without one.
    """

    labels: Tensor
    weights: Tensor | None = None

    @classmethod
    def predicted(cls, logits: Tensor, mask: Tensor | None = None) -> Regions:
        """The regions of logits B×K×H×W.

        mask: B×h×w int16 of any size, as `MaskReading.read` gives it; brought to the size of the logits by area.
        """
        labels = logits.detach().nan_to_num().argmax(1)
        if mask is None:
            return cls(labels)
        every = mask[:, None] == EVERY_CLASS
        # An index of a class is never below zero.
        by_class = bool((mask >= 0).any())
        marked = (
            mask[:, None] == torch.arange(logits.shape[1], device=mask.device)[:, None, None] if by_class else every
        )
        return cls(labels, adaptive_avg_pool2d(marked.float(), (labels.shape[1], labels.shape[2])))

    def of(self, image: int) -> Regions:
        """The regions of one image."""
        return self.part(slice(image, image + 1))

    def part(self, part: slice) -> Regions:
        """The regions of some of the images."""
        return replace(self, labels=self.labels[part], weights=None if self.weights is None else self.weights[part])

    def sums(self, logits: Tensor) -> Tensor:
        """Returns scores B×K from logits B×K×H×W of as many images, or of several with the regions of a single one."""
        images, classes = logits.shape[:2]
        if self.weights is not None:
            return (logits * self.weights).sum((2, 3))
        labels = self.labels.expand(images, -1, -1)[:, None]
        own = logits.gather(1, labels).flatten(1)
        return logits.new_zeros(images, classes).scatter_add(1, labels.flatten(1), own)

    def shares(self, classes: int) -> Tensor:
        """Returns the share of the pixels, of those of the mask where there is one, predicted as each class: B×K."""
        counts = torch.ones_like(self.labels) if self.weights is None else self.weights.amax(1)
        counts = counts.float().flatten(1)
        found = counts.new_zeros(len(counts), classes).scatter_add(1, self.labels.flatten(1), counts)
        return found / counts.sum(1, keepdim=True).clamp_min(1e-9)

    def shown(self, index: int) -> Tensor:
        """Returns the pixels B×H×W that count for a class, bool."""
        if self.weights is None:
            return self.labels == index
        return self.weights[:, index if self.weights.shape[1] > 1 else 0] >= 0.5

    def has(self, index: int) -> Tensor:
        """Returns for each image, B bool, whether any pixel counts for a class."""
        if self.weights is None:
            return (self.labels == index).flatten(1).any(1)
        return self.weights[:, index if self.weights.shape[1] > 1 else 0].flatten(1).any(1)


def whole_sums(logits: Tensor) -> Tensor:
    """Returns the sums B×K of logits B×K×H×W over all pixels: each pixel counts for each class."""
    return logits.sum((2, 3))
