"""Interface of a library of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from ...images.geometry import Preprocessing
from ..classes import ClassNames
from ..options import PreprocessingOptions


class Architecture(Protocol):
    """A network by name. `str()` of it is the full name, such as `timm/resnet50.a1_in1k`."""

    @property
    def origin(self) -> str:
        """Origin of the preprocessing, as text."""

    def build(self, *, pretrained: bool, num_classes: int | None, args: Mapping[str, Any]) -> nn.Module: ...

    def preprocessing(
        self, network: nn.Module, options: PreprocessingOptions, args: Mapping[str, Any]
    ) -> Preprocessing: ...

    def class_names(self, network: nn.Module, count: int) -> ClassNames: ...

    def resized_args(self, network: nn.Module, image_size: int | tuple[int, int]) -> Mapping[str, Any]:
        """Arguments for building the network for another input size; empty if it takes any size.

        Raises `CamxError` for an impossible size."""
