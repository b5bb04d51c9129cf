"""timm and torchvision behind one protocol: build a network, say how it wants its pictures, name its classes."""

from .architecture import Architecture
from .timm import TimmModel, timm_names
from .torchvision import TorchvisionModel, torchvision_names

__all__ = ["Architecture", "TimmModel", "TorchvisionModel", "timm_names", "torchvision_names"]
