"""Decodes images in threads ahead of the device, augments them with seeded random numbers, and stacks them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import CamxError, UnreadableImage
from ..images.decode import decode, read
from ..images.geometry import INTERPOLATIONS, Preprocessing
from ..images.picture import Unreadable
from .data import Sample

T = TypeVar("T")
R = TypeVar("R")
#: uint8 H×W×C of the network's input size, before normalisation.
Pixels = np.ndarray
Loaded = Pixels | Unreadable
#: Ranges of a random crop: its share of the image area, and its aspect ratio.
_AREA, _RATIO = (0.4, 1.0), (3 / 4, 4 / 3)


class Pictures:
    """Loads samples as network inputs. A context manager that owns the decoding threads."""

    def __init__(
        self, preprocessing: Preprocessing, workers: int, device: torch.device, train_size: int | None = None
    ) -> None:
        self.preprocessing = preprocessing
        self._train_size = (train_size, train_size) if train_size else preprocessing.input_size
        self.device = device
        self._pool = ThreadPoolExecutor(workers, "decode")
        self._ahead = 4 * workers
        self._mean = torch.tensor(preprocessing.mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=device).view(1, -1, 1, 1)

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def load(self, samples: Sequence[Sample]) -> Iterator[Loaded]:
        """Yields the samples in order with the validation crop, or `Unreadable` with the reason."""
        return self._in_order(self._plain, samples)

    def plain(self, samples: Sequence[Sample]) -> Iterator[Pixels]:
        """As `load`, for samples that were readable before. Raises `CamxError` for one that is not any more."""
        return map(_readable, self.load(samples))

    def augmented(self, samples: Sequence[Sample], chance: Sequence[tuple[int, ...]]) -> Iterator[Pixels]:
        """Yields the samples in order with a random crop and flip. Each has its own seed in `chance`."""
        return map(_readable, self._in_order(self._random, list(zip(samples, chance))))

    def normalised(self, pixels: Sequence[Pixels]) -> Tensor:
        """B×C×H×W float32 on the device, channels last in memory."""
        stacked = torch.from_numpy(np.stack(pixels)).to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return (stacked.float() / 255 - self._mean) / self._std

    def _in_order(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        running: deque[Future[R]] = deque()
        try:
            for item in items:
                running.append(self._pool.submit(work, item))
                if len(running) >= self._ahead:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()

    def _plain(self, sample: Sample) -> Loaded:
        try:
            return self.preprocessing.apply(decode(read(sample.source.path)))[0]
        except (UnreadableImage, MemoryError, ValueError, OSError) as error:
            return Unreadable(sample.source, str(error) or "not enough memory")

    def _random(self, drawn: tuple[Sample, tuple[int, ...]]) -> Loaded:
        sample, seed = drawn
        try:
            crops = replace(self.preprocessing, input_size=self._train_size)
            return random_crop(decode(read(sample.source.path)), crops, np.random.default_rng(seed))
        except (UnreadableImage, MemoryError, ValueError, OSError) as error:
            return Unreadable(sample.source, str(error) or "not enough memory")


def random_crop(picture: Image.Image, preprocessing: Preprocessing, chance: np.random.Generator) -> Pixels:
    """Random crop of an upright image, with a random aspect ratio, resized to the input size; flipped half the time."""
    width, height = picture.size
    area = width * height * chance.uniform(*_AREA)
    ratio = math.exp(chance.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
    crop_width = min(width, max(1.0, math.sqrt(area * ratio)))
    crop_height = min(height, max(1.0, math.sqrt(area / ratio)))
    left, top = chance.uniform(0, width - crop_width), chance.uniform(0, height - crop_height)
    to_height, to_width = preprocessing.input_size
    source = picture.convert("L") if preprocessing.channels == 1 else picture
    box = (left, top, left + crop_width, top + crop_height)
    part = source.resize((to_width, to_height), INTERPOLATIONS[preprocessing.interpolation], box)
    pixels = np.asarray(part).reshape(to_height, to_width, preprocessing.channels)
    return np.ascontiguousarray(pixels[:, ::-1]) if chance.random() < 0.5 else pixels


def _readable(loaded: Loaded) -> Pixels:
    if isinstance(loaded, Unreadable):
        raise CamxError(
            f"The image {loaded.source.path!r} was readable when the training began, but is not now: {loaded.reason}. "
            "Restore the file, and continue with `resume`."
        )
    return loaded
