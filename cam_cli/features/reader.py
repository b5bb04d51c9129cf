"""Reads feature maps from batches of images."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor

from ..cams.engine.batches import Runner
from ..cams.target_layer.probe import probe_picture
from ..images.picture import Decodable, Picture
from ..models.catalog import Network
from .layer import find_map_layer, maps_at
from .maps import Reading, feature_maps
from .options import ReadOptions


class FeatureReader:
    """Reads the feature maps of one layer of a network, batch by batch."""

    #: It reads the first convolution, so there is no part before it to compile.
    backend = "torch"

    def __init__(self, network: Network, options: ReadOptions = ReadOptions()) -> None:
        """Moves the network to the device and finds the layer. Raises `CamxError` for an impossible device or layer."""
        self.network = network
        self.options = options
        self._runner = Runner(network, options.device, options.precision)
        self.device, self.precision = self._runner.device, self._runner.precision
        preprocessing = network.preprocessing
        picture = probe_picture(preprocessing.channels, preprocessing.input_size).to(self.device)
        self.layer = find_map_layer(self._runner.module, picture, options.layer)
        self.layers = (self.layer,)

    def replica(self) -> FeatureReader:
        """Copy for another thread: own modules that share the weights in memory."""
        other = copy.copy(self)
        other._runner = self._runner.replica()
        other.network = other._runner.network
        return other

    def read(self, images: Sequence[Decodable]) -> list[Reading]:
        """Maps of prepared images and JPEG files, in smaller batches if memory is short."""
        return self._runner.in_batches(images, self._batch, lambda one, why: Reading(one, problem=why))

    def _batch(self, pictures: Sequence[Picture], inputs: Tensor) -> list[Reading]:
        with self._runner.autocast():
            maps = maps_at(self._runner.module, inputs, self.layer)
        read = feature_maps(maps, self.layer.name, self.options.choice)
        return [Reading(picture, one) for picture, one in zip(pictures, read, strict=True)]
