"""Scores of a segmentation network: the logits of a class, summed over the pixels that count for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Regions:
    """The pixels of B images whose logits are summed.

    labels: B×H×W int64, the class that each pixel is predicted as. mask: B×H×W bool, pixels that count for every class
    in place of those predicted as it; None without a mask.
    """

    labels: Tensor
    mask: Tensor | None = None

    @classmethod
    def predicted(cls, logits: Tensor, mask: Tensor | None = None) -> Regions:
        """The regions of logits B×K×H×W. mask: B×h×w bool of any size, brought to that of the logits."""
        labels = logits.detach().nan_to_num().argmax(1)
        if mask is not None and mask.shape[1:] != labels.shape[1:]:
            resized = interpolate(mask[:, None].float(), tuple(labels.shape[1:]), mode="nearest-exact")
            mask = resized[:, 0] > 0
        return cls(labels, mask)

    def of(self, image: int) -> Regions:
        """The regions of one image."""
        return self.part(slice(image, image + 1))

    def part(self, part: slice) -> Regions:
        """The regions of some of the images."""
        return replace(self, labels=self.labels[part], mask=None if self.mask is None else self.mask[part])

    def sums(self, logits: Tensor) -> Tensor:
        """Returns scores B×K from logits B×K×H×W of as many images, or of several with the regions of a single one."""
        images, classes = logits.shape[:2]
        if self.mask is not None:
            return (logits * self.mask[:, None]).sum((2, 3))
        labels = self.labels.expand(images, -1, -1)[:, None]
        own = logits.gather(1, labels).flatten(1)
        return logits.new_zeros(images, classes).scatter_add(1, labels.flatten(1), own)

    def shares(self, classes: int) -> Tensor:
        """Returns the share of the pixels, of the mask where there is one, predicted as each class: B×K."""
        counts = torch.ones_like(self.labels) if self.mask is None else self.mask.long()
        counts = counts.flatten(1)
        found = counts.new_zeros(len(counts), classes).scatter_add(1, self.labels.flatten(1), counts)
        return found / counts.sum(1, keepdim=True).clamp_min(1)


def whole_sums(logits: Tensor) -> Tensor:
    """Returns the sums B×K of logits B×K×H×W over all pixels: each pixel counts for each class."""
    return logits.sum((2, 3))
