"""Helpers of `test_checkpoints` and `test_broken_checkpoints`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from cam_cli.models.catalog import Network, load_model
from cam_cli.models.options import ModelSpec

ARCH = "test_resnet"


def trained(classes: int = 4, seed: int = 7, name: str = ARCH) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = timm.create_model(name, num_classes=classes)
    return module


def loaded(path: Path, **spec: Any) -> Network:
    return load_model(ModelSpec(ARCH, checkpoint=str(path), **spec))
