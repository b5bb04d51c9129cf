"""Computes the features of a frozen backbone with torch, compile or OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cams.engine.backend_choice import choose_backend
from ..cams.engine.batches import Runner
from ..cams.target_layer.probe import probe_picture
from ..models.catalog import Network
from ..models.gap import GapNetwork
from .settings import Settings


@dataclass(frozen=True)
class Extractor:
    """Computes features of batches. backend: torch, compile or openvino. warnings: reasons for another backend.

    compute: a normalised batch B×C×H×W on the device → float32, maps B×C×h×w or their means B×C.
    """

    compute: Callable[[Tensor], Tensor]
    backend: str
    warnings: tuple[str, ...] = ()


def extractor(
    network: Network, gap: GapNetwork, settings: Settings, backend: str, images: int, *, pooled: bool
) -> Extractor:
    """Builds the extractor of the frozen `gap`, which was built from `network`.

    backend: one of `BACKENDS`. images: expected number of forwards, by which `auto` decides. pooled: means over the
    positions instead of maps. Raises `CamxError` if the backend is not installed or cannot compile the network.
    """
    # A new object with this module: its digest must cover only the weights before the layer, too.
    runner = Runner(replace(network, module=gap), str(settings.device), settings.precision)
    inputs, own = network.preprocessing, gap.design.layer
    layer = replace(own, name=f"backbone.{own.name}")
    picture = probe_picture(inputs.channels, inputs.input_size).to(settings.device)
    chosen = choose_backend(backend, gap, [layer], picture, runner, images)

    @torch.no_grad()
    def compute(batch: Tensor) -> Tensor:
        with runner.autocast(), chosen.backend(batch) as same:
            features = gap.features(same)
        features = features.float()
        return features.mean((2, 3)) if pooled else features

    return Extractor(compute, chosen.name, chosen.warnings)
