"""timm and torchvision behind one protocol: build a network, give its preprocessing and class names."""

from .architecture import Architecture
from .timm import TimmModel, deprecated_names, timm_names
from .torchvision import TorchvisionModel, other_kind, segmentation_names, torchvision_names

__all__ = [
    "Architecture",
    "TimmModel",
    "TorchvisionModel",
    "deprecated_names",
    "other_kind",
    "segmentation_names",
    "timm_names",
    "torchvision_names",
]
