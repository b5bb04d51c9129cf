"""Prepares the module and the batches: a head on cached features, or the whole network on images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..images.picture import Unreadable
from ..models.catalog import Network
from ..models.gap import GapNetwork
from .batches import Batches, FeatureBatches, Order, PictureBatches
from .cache import FeatureStore, Tick
from .data import Dataset, Sample
from .features import extractor
from .head import FeatureHead
from .job import TrainJob
from .pictures import Pictures
from .settings import Settings

#: Opens a stage of the work (name, number of images) and returns its counter of images.
Stage = Callable[[str, int], AbstractContextManager[Tick]]
#: Largest number of images on which the mean and deviation of features are measured.
_MEASURED = 4096


@dataclass(frozen=True)
class Prepared:
    """The module to train and its batches. data: readable images. cached: images in a cache of `cache_bytes`."""

    data: Dataset
    batches: Batches
    module: nn.Module
    cached: int = 0
    cache_bytes: int = 0
    #: Backend of the features of a frozen backbone, and warnings why it is not the requested one.
    backend: str = "torch"
    warnings: tuple[str, ...] = ()

    def network(self, result: nn.Module, frozen: GapNetwork) -> GapNetwork:
        """The trained network: `result` itself, or the frozen one with `result` as its head."""
        if isinstance(result, FeatureHead):
            result.write_into(frozen)
            return frozen
        assert isinstance(result, GapNetwork)
        return result


@contextlib.contextmanager
def prepared(
    job: TrainJob, source: Network, network: GapNetwork, data: Dataset, pictures: Pictures, settings: Settings,
    folder: str, stage: Stage,
) -> Iterator[Prepared]:  # fmt: skip
    """Reads every image once, and caches the features of a frozen backbone while the context is open.

    source: the network from which `network` was built. Raises `CamxError` if a class has no readable image.
    """
    if job.freeze == "none":
        yield _whole(job, network, data, pictures, settings, stage)
        return
    with ExitStack() as stack:
        yield _frozen(job, source, network, data, pictures, settings, folder, stage, stack)


def _whole(
    job: TrainJob, network: GapNetwork, data: Dataset, pictures: Pictures, settings: Settings, stage: Stage
) -> Prepared:
    everything = (*data.train, *data.val)
    unreadable = []
    with stage("images", len(everything)) as tick:
        for loaded in pictures.load(everything):
            unreadable += [loaded] if isinstance(loaded, Unreadable) else []
            tick(1)
    data = data.without(unreadable)
    batches = PictureBatches(
        pictures, data.train, data.val, _order(job, data.train, settings), job.augment == "basic", settings.forward_size
    )
    return Prepared(data, batches, network.requires_grad_(True))


def _frozen(
    job: TrainJob, source: Network, network: GapNetwork, data: Dataset, pictures: Pictures, settings: Settings,
    folder: str, stage: Stage, stack: ExitStack,
) -> Prepared:  # fmt: skip
    head = FeatureHead(network)
    flipped = job.augment == "basic"
    forwards = len(data.val) + len(data.train) * (2 if flipped else 1)
    pooled = head.block is None
    features = extractor(source, network.requires_grad_(False), settings, job.backend, forwards, pooled=pooled)
    grid = network.design.layer.layout
    shape = (grid.channels,) if head.block is None else (grid.channels, grid.height, grid.width)
    stores: dict[str, FeatureStore] = {}
    left = job.cache_limit
    for name, samples, flips in (("val", data.val, False), ("train", data.train, flipped)):
        store = FeatureStore(samples, pictures, features.compute, shape, flips=flips, limit=left, folder=folder)
        stores[name] = stack.enter_context(store)
        left -= store.bytes
    with stage("features", len(data.train) + len(data.val)) as tick:
        unreadable = [one for store in stores.values() for one in store.fill(settings.forward_size, tick)]
    gone = {one.source.path for one in unreadable}
    clean = data.without(unreadable)
    train_kept, val_kept = (_kept(samples, gone) for samples in (data.train, data.val))
    order = _order(job, clean.train, settings)
    if head.block is None:
        head.standardise(*_statistics(stores["train"], train_kept, settings.forward_size))
    return Prepared(
        data=clean,
        batches=FeatureBatches(stores["train"], stores["val"], train_kept, val_kept, order, settings.device),
        module=head,
        cached=sum(store.cached for store in stores.values()),
        cache_bytes=sum(store.bytes for store in stores.values()),
        backend=features.backend,
        warnings=features.warnings,
    )


def _kept(samples: Sequence[Sample], gone: set[str]) -> np.ndarray:
    return np.array([i for i, sample in enumerate(samples) if sample.source.path not in gone])


def _order(job: TrainJob, samples: Sequence[Sample], settings: Settings) -> Order:
    labels = np.array([sample.label for sample in samples])
    return Order(labels, settings.batch_size, job.seed, balanced=job.balance == "sampler")


def _statistics(store: FeatureStore, kept: np.ndarray, size: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel, from images at equal distances."""
    drawn = kept[:: -(-len(kept) // _MEASURED)]
    parts = [store.batch(part, np.zeros(len(part), int)) for part in np.array_split(drawn, -(-len(drawn) // size))]
    features = torch.cat(parts).double()
    return features.mean(0).float(), features.std(0, correction=0).float()
