"""timm and torchvision behind one protocol: build a network, give its preprocessing and class names."""

from .architecture import Architecture
from .timm import TimmModel, deprecated_names, timm_names
from .torchvision import (
    TorchvisionModel,
    detection_names,
    other_kind,
    segmentation_names,
    served_names,
    torchvision_names,
)

__all__ = [
    "Architecture",
    "TimmModel",
    "TorchvisionModel",
    "deprecated_names",
    "detection_names",
    "other_kind",
    "segmentation_names",
    "served_names",
    "timm_names",
    "torchvision_names",
]
