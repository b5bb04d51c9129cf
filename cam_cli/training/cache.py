"""Caches the features of a frozen backbone in a memory-mapped file of bounded size."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from ..images.picture import Unreadable
from ..outputs.folder_errors import explained_errors
from .data import Sample
from .pictures import Pictures, Pixels

#: Called with the number of images done since the last call. It may raise to stop the work.
Tick = Callable[[int], None]
#: A normalised batch B×C×H×W on the device → its features B×…, float32.
Extract = Callable[[Tensor], Tensor]


class FeatureStore:
    """Features of samples and, with `flips`, of their mirror images. A context manager that owns the file.

    Caches the first samples, as many as fit into `limit` bytes, and computes the features of the others at every
    access. The file has no name, so the system frees it even if the process is killed.
    """

    def __init__(
        self, samples: Sequence[Sample], pictures: Pictures, extract: Extract, shape: tuple[int, ...],
        *, flips: bool, limit: int, folder: str,
    ) -> None:  # fmt: skip
        """`shape` is that of one sample's features. Raises `CamxError` if `folder` has no room for the file."""
        self.samples = samples
        self.variants = 2 if flips else 1
        self._pictures, self._extract, self._shape = pictures, extract, shape
        bytes_each = self.variants * 4 * math.prod(shape)
        self.cached = min(len(samples), limit // bytes_each)
        self.bytes = self.cached * bytes_each
        self._rows: np.ndarray | None = None
        if self.cached:
            with explained_errors(folder):
                self._file = tempfile.TemporaryFile(dir=folder, prefix=".camx-features-")  # noqa: SIM115 - closed by __exit__
                self._reserve()
            rows = (self.cached * self.variants, *shape)
            self._rows = np.memmap(self._file, np.float32, "r+", shape=rows)

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rows is not None:
            self._rows = None
            self._file.close()

    def fill(self, size: int, tick: Tick) -> list[Unreadable]:
        """Decodes every sample, caches the features that fit, and returns the unreadable images."""
        unreadable: list[Unreadable] = []
        waiting: list[tuple[int, Pixels]] = []
        for index, loaded in enumerate(self._pictures.load(self.samples)):
            if isinstance(loaded, Unreadable):
                unreadable.append(loaded)
            elif index < self.cached:
                waiting.append((index, loaded))
            if len(waiting) == size:
                self._keep(waiting)
                waiting.clear()
            tick(1)
        if waiting:
            self._keep(waiting)
        return unreadable

    def batch(self, indices: np.ndarray, flipped: np.ndarray) -> Tensor:
        """Features of the samples at `indices`, mirrored where `flipped`: B×… float32 on the device."""
        features = np.empty((len(indices), *self._shape), np.float32)
        known = indices < self.cached
        if self._rows is not None:
            features[known] = self._rows[indices[known] * self.variants + flipped[known]]
        if not known.all():
            features[~known] = self._computed(indices[~known], flipped[~known])
        return torch.from_numpy(features).to(self._pictures.device)

    def _computed(self, indices: np.ndarray, flipped: np.ndarray) -> np.ndarray:
        pixels = list(self._pictures.plain([self.samples[i] for i in indices]))
        mirrored = [p[:, ::-1] if flip else p for p, flip in zip(pixels, flipped)]
        return self._extract(self._pictures.normalised(mirrored)).cpu().numpy()

    def _keep(self, waiting: Sequence[tuple[int, Pixels]]) -> None:
        assert self._rows is not None
        indices = np.array([index for index, _ in waiting])
        inputs = self._pictures.normalised([pixels for _, pixels in waiting])
        for variant in range(self.variants):
            features = self._extract(inputs.flip(-1) if variant else inputs)
            self._rows[indices * self.variants + variant] = features.cpu().numpy()

    def _reserve(self) -> None:
        """Reserves the disk space now: writing to a mapped file on a full disk would kill the process."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), 0, self.bytes)
        else:
            self._file.truncate(self.bytes)
