"""The features of a frozen backbone, computed by a backend of the engine."""

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
    """Features of batches. backend: what computes them: torch, compile or openvino. warnings: what was not possible.

    compute: a normalised batch B×C×H×W on the device → float32, maps B×C×h×w or their means B×C.
    """

    compute: Callable[[Tensor], Tensor]
    backend: str
    warnings: tuple[str, ...] = ()


def extractor(
    network: Network, gap: GapNetwork, settings: Settings, backend: str, images: int, *, pooled: bool
) -> Extractor:
    """Prepares the features of the frozen `gap` built from `network`.

    backend: of `BACKENDS`. images: how many forwards there will be, by which `auto` decides. pooled: means over the
    positions in place of maps. Raises `CamxError` for a backend that is not there, and for what cannot be compiled.
    """
    # An object of its own, with this module: its digest is that of the weights before the layer too.
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
