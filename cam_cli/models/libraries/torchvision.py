"""Builds networks of torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import nn

from ...errors import CamxError
from ...images.geometry import Preprocessing
from .. import hub
from ..classes import ClassNames, imagenet
from ..detectors import detector_preprocessing
from ..options import PreprocessingOptions
from ..preprocessing import overridden, per_channel

#: Modules of torchvision whose networks camx cannot explain, with the reason.
_NOT_SERVED = {
    "video": "classifies clips of several frames, but camx explains single images",
    "optical_flow": "returns motion between two images, and no score of a class",
    "quantization": "computes with integers; use the network of the same name without quantized_",
}


@dataclass(frozen=True)
class TorchvisionModel:
    """`name` as `torchvision.models.get_model` takes it, `tag` one of its weights (`IMAGENET1K_V2`) or ""."""

    name: str
    tag: str = ""

    def __str__(self) -> str:
        return f"torchvision/{self.name}" + (f".{self.tag}" if self.tag else "")

    def _weights(self) -> Any:
        from torchvision.models import get_model_weights

        weights = get_model_weights(self.name)
        try:
            return weights[self.tag] if self.tag else weights.DEFAULT
        except KeyError:
            tags = ", ".join(w.name for w in weights)
            raise CamxError(f"torchvision has no weights {self.tag!r} for {self.name!r}. Give one of {tags}.") from None

    @property
    def origin(self) -> str:
        return "torchvision's default"

    def build(self, *, pretrained: bool, num_classes: int | None, args: Mapping[str, Any]) -> nn.Module:
        from torchvision.models import get_model

        arguments = dict(args) if num_classes is None else {**args, "num_classes": num_classes}
        if not pretrained and self.name in ("inception_v3", "googlenet"):
            arguments.setdefault("init_weights", False)
        if self.name in (*segmentation_names(), *detection_names()):
            # Otherwise torchvision would download weights for the backbone.
            arguments.setdefault("weights_backbone", None)
        weights = self._weights() if pretrained else None
        if weights is not None:
            hub.require_file(weights.url, str(self))
        try:
            built: nn.Module = get_model(self.name, weights=weights, **arguments)
            return built
        except Exception as error:  # its networks may raise anything on arguments
            raise CamxError(
                f"{self} cannot be built with {arguments}: {str(error).rstrip('.')}. Check `model_arg`."
            ) from error

    def preprocessing(
        self, network: nn.Module, options: PreprocessingOptions, args: Mapping[str, Any]
    ) -> Preprocessing:
        if (detected := detector_preprocessing(network)) is not None:
            return overridden(detected, options)
        preset = self._weights().transforms()
        resize = int(preset.resize_size[0])
        # Segmentation networks take whole images at this short side. A batch needs one size, so the middle is cut out.
        crop = int(preset.crop_size[0]) if hasattr(preset, "crop_size") else resize
        fixed = getattr(network, "image_size", crop)
        # The weights may need another size than the default of the architecture.
        resize, crop = round(resize * fixed / crop), fixed
        own = Preprocessing(
            input_size=(crop, crop),
            resize=(resize, resize),
            crop_mode="center",
            interpolation=preset.interpolation.value,
            mean=per_channel(preset.mean, 3),
            std=per_channel(preset.std, 3),
        )
        return overridden(own, options)

    def class_names(self, network: nn.Module, count: int) -> ClassNames:
        categories = self._weights().meta.get("categories", [])
        if len(categories) != count:
            return ClassNames()
        return ClassNames(tuple(categories), imagenet("imagenet-1k").aliases if count == 1000 else ())

    def resized_args(self, network: nn.Module, image_size: int | tuple[int, int]) -> Mapping[str, Any]:
        fixed = getattr(network, "image_size", None)
        if fixed is not None and isinstance(image_size, tuple):
            raise CamxError(
                f"{self} takes only square images, not {'×'.join(map(str, image_size))}.",
                "Give one number, or a network of timm.",
                field="image_size",
            )
        return {"image_size": image_size} if fixed not in (None, image_size) else {}


@lru_cache(maxsize=1)
def torchvision_names() -> tuple[str, ...]:
    """Names of torchvision's classifiers."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


@lru_cache(maxsize=1)
def segmentation_names() -> tuple[str, ...]:
    """Names of torchvision's networks for semantic segmentation, with a score per pixel and class."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models.segmentation))


@lru_cache(maxsize=1)
def detection_names() -> tuple[str, ...]:
    """Names of torchvision's networks for detection: boxes with a class and a score each."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models.detection))


@lru_cache(maxsize=1)
def served_names() -> tuple[str, ...]:
    """Names of all networks of torchvision that camx explains."""
    return (*torchvision_names(), *segmentation_names(), *detection_names())


def other_kind(name: str) -> str:
    """Reason why camx cannot explain a torchvision network; "" for supported networks and unknown names."""
    import torchvision

    for kind, reason in _NOT_SERVED.items():
        if name in torchvision.models.list_models(module=getattr(torchvision.models, kind)):
            return reason
    return ""
