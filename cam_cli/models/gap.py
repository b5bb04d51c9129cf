"""A backbone up to its last feature map, then global average pooling and one linear layer, for which CAM is exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CamxError
from ..images.geometry import Preprocessing
from .hooks import TargetLayer, features_at, hooked
from .layouts import Layout

#: Version of the description in a checkpoint.
FORMAT = 1


@dataclass(frozen=True)
class GapHead:
    """Description of the cut and the new head, enough to rebuild the network from the backbone.

    channels: of the 3×3 convolution before the pooling, 0 for none. dropped: modules of the backbone that no longer run
    and are removed, so that their weights are neither trained nor saved.
    """

    layer: TargetLayer
    channels: int = 0
    dropped: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        layer = self.layer
        return {
            "kind": "gap",
            "layer": layer.name,
            "reason": layer.reason,
            "path": list(layer.path),
            "call": layer.call,
            "layout": layer.layout._asdict(),
            "gap_channels": self.channels,
            "dropped": list(self.dropped),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> GapHead:
        """The inverse of `as_dict`. Raises KeyError or TypeError for anything else."""
        layer = TargetLayer(
            name=stored["layer"],
            layout=Layout(**stored["layout"]),
            path=tuple(stored["path"]),
            call=int(stored["call"]),
            reason=stored["reason"],
        )
        return cls(layer, int(stored["gap_channels"]), tuple(stored["dropped"]))


class FeatureMaps(nn.Module):
    """Maps B×C×h×w before the pooling: those of the backbone, optionally after a 3×3 convolution."""

    def __init__(self, channels: int, gap_channels: int) -> None:
        super().__init__()
        self.channels = gap_channels or channels
        self.block: nn.Sequential | None = None
        if gap_channels:
            convolution = nn.Conv2d(channels, gap_channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            self.block = nn.Sequential(convolution, nn.BatchNorm2d(gap_channels), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        return self.block(features) if self.block is not None else features


class GapNetwork(nn.Module):
    """`backbone` up to the target layer → `maps` → mean over positions → `head`: B×C×H×W to B×K scores.

    Modifies the backbone: modules that no longer run are replaced in it.
    """

    def __init__(self, backbone: nn.Module, design: GapHead, num_classes: int) -> None:
        super().__init__()
        for name in design.dropped:
            backbone.set_submodule(name, nn.Identity())
        self.design = design
        self.num_classes = num_classes
        self.backbone = backbone
        self.maps = FeatureMaps(design.layer.layout.channels, design.channels)
        self.head = nn.Linear(self.maps.channels, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        maps: Tensor = self.maps(self.features(inputs))
        scores: Tensor = self.head(maps.mean((2, 3)))
        return scores

    def features(self, inputs: Tensor) -> Tensor:
        """Features of the backbone, B×C×h×w."""
        return features_at(self.backbone, inputs, self.design.layer)


def idle_behind(module: nn.Module, layer: TargetLayer, picture: Tensor) -> tuple[str, ...]:
    """Outermost modules with weights that do not influence the activations of `layer`.

    Determined by one run on an image 1×C×H×W: they are not called, and no gradient of the activations reaches them.
    """
    parameters = {name: p for name, p in module.named_parameters(remove_duplicate=False) if p.requires_grad}
    called: set[str] = set()
    modules = {name: m for name, m in module.named_modules() if name}
    with torch.enable_grad(), hooked(modules, lambda name, *_: called.add(name)):
        features = features_at(module, picture, layer)
        gradients = torch.autograd.grad(features.sum(), list(parameters.values()), allow_unused=True)
    used = called | {name for name, gradient in zip(parameters, gradients) if gradient is not None}
    idle: list[str] = []
    for name, child in modules.items():
        inside = any(name.startswith(f"{outer}.") for outer in idle)
        needed = name in used or any(one.startswith(f"{name}.") for one in used)
        if not inside and not needed and any(True for _ in child.parameters()):
            idle.append(name)
    return tuple(idle)


@dataclass(frozen=True)
class GapDescription:
    """Description of a GAP network in its checkpoint."""

    architecture: str
    model_args: Mapping[str, Any]
    classes: tuple[str, ...]
    head: GapHead
    preprocessing: Preprocessing

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "architecture": self.architecture,
            "model_args": dict(self.model_args),
            "num_classes": len(self.classes),
            "class_names": list(self.classes),
            "head": self.head.as_dict(),
            "preprocessing": self.preprocessing.as_dict(),
        }

    @classmethod
    def of(cls, about: Mapping[str, Any], path: str) -> GapDescription | None:
        """Description in a checkpoint's metadata; None if `train-gap` did not write it.

        Raises `CamxError` for a damaged one, or one of a newer camx.
        """
        head = about.get("head")
        if not isinstance(head, Mapping) or head.get("kind") != "gap":
            return None
        if about.get("format") != FORMAT:
            raise CamxError(
                f"The checkpoint {path!r} has format {about.get('format')!r}, but this camx reads format {FORMAT}. "
                "Update camx."
            )
        try:
            return cls(
                architecture=about["architecture"],
                model_args=dict(about["model_args"]),
                classes=tuple(about["class_names"]),
                head=GapHead.from_dict(head),
                preprocessing=_preprocessing(about["preprocessing"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CamxError(
                f"The description in the checkpoint {path!r} is damaged ({error!r}). Train it again."
            ) from error


def _preprocessing(stored: Mapping[str, Any]) -> Preprocessing:
    fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
    return Preprocessing(**fields)
