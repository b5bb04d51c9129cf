"""Training and validation batches of features or images. The order depends only on the seed and the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .cache import FeatureStore
from .data import Sample
from .pictures import Pictures

#: Inputs of the trained module, B×…, and class indices B, both on the device.
Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """Training and validation batches; `train_count` images per epoch in `train_batches` batches."""

    @property
    def train_count(self) -> int: ...

    @property
    def train_batches(self) -> int: ...

    def train(self, epoch: int) -> Iterator[Batch]:
        """Shuffled batches of an epoch. They depend only on the seed and the number of the epoch."""

    def val(self) -> Iterator[Batch]:
        """The validation images in order."""


@dataclass(frozen=True)
class Order:
    """Draws the order of labelled images in an epoch. `balanced`: draws every class equally often, with repeats."""

    labels: np.ndarray
    size: int
    seed: int
    balanced: bool = False

    @property
    def batches(self) -> int:
        return math.ceil(len(self.labels) / self.size)

    def of(self, epoch: int) -> Iterator[np.ndarray]:
        """Batches of positions, of nearly equal size: batch normalisation cannot train on a last batch of one image."""
        chance = np.random.default_rng((self.seed, epoch))
        count = len(self.labels)
        drawn = chance.choice(count, count, p=self._shares()) if self.balanced else chance.permutation(count)
        yield from np.array_split(drawn, self.batches)

    def _shares(self) -> np.ndarray:
        counts = np.bincount(self.labels)
        shares: np.ndarray = 1.0 / counts[self.labels]
        shares /= shares.sum()
        return shares


@dataclass(frozen=True)
class FeatureBatches:
    """Batches from stores of features. `*_kept`: positions of the readable samples in the stores."""

    train_store: FeatureStore
    val_store: FeatureStore
    train_kept: np.ndarray
    val_kept: np.ndarray
    order: Order
    device: torch.device

    @property
    def train_count(self) -> int:
        return len(self.train_kept)

    @property
    def train_batches(self) -> int:
        return self.order.batches

    def train(self, epoch: int) -> Iterator[Batch]:
        chance = np.random.default_rng((self.order.seed, epoch, 1))
        for drawn in self.order.of(epoch):
            flipped = chance.integers(0, self.train_store.variants, len(drawn))
            yield self._batch(self.train_store, self.train_kept[drawn], flipped)

    def val(self) -> Iterator[Batch]:
        for kept in _in_batches(self.val_kept, max(64, self.order.size)):
            yield self._batch(self.val_store, kept, np.zeros(len(kept), int))

    def _batch(self, store: FeatureStore, indices: np.ndarray, flipped: np.ndarray) -> Batch:
        labels = torch.tensor([store.samples[i].label for i in indices], device=self.device)
        return store.batch(indices, flipped), labels


@dataclass(frozen=True)
class PictureBatches:
    """Batches of images. The job decides whether those for training are augmented."""

    pictures: Pictures
    train_samples: Sequence[Sample]
    val_samples: Sequence[Sample]
    order: Order
    augment: bool
    val_size: int = field(default=32)

    @property
    def train_count(self) -> int:
        return len(self.train_samples)

    @property
    def train_batches(self) -> int:
        return self.order.batches

    def train(self, epoch: int) -> Iterator[Batch]:
        drawn = list(self.order.of(epoch))
        samples = [self.train_samples[i] for batch in drawn for i in batch]
        chance = [(self.order.seed, epoch, 2, position) for position in range(len(samples))]
        loaded = self.pictures.augmented(samples, chance) if self.augment else self.pictures.plain(samples)
        for batch in drawn:
            pixels = [next(loaded) for _ in batch]
            labels = torch.tensor([self.train_samples[i].label for i in batch], device=self.pictures.device)
            yield self.pictures.normalised(pixels), labels

    def val(self) -> Iterator[Batch]:
        loaded = self.pictures.plain(self.val_samples)
        for batch in _in_batches(np.arange(len(self.val_samples)), self.val_size):
            pixels = [next(loaded) for _ in batch]
            labels = torch.tensor([self.val_samples[i].label for i in batch], device=self.pictures.device)
            yield self.pictures.normalised(pixels), labels


def _in_batches(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]
