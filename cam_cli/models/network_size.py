"""Refuses arguments in a checkpoint that would make the network far larger than its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..errors import CamxError
from .checkpoints import Checkpoint
from .libraries import Architecture

#: Largest depth, width or side of a network.
_LARGEST = 10_000
#: A network may have this many times the numbers in the file, plus this many: some files lack averages or heads.
_TIMES, _MORE = 4, 20_000_000


def check_size(architecture: Architecture, args: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Raises `CamxError` for arguments in the checkpoint that do not belong to its weights.

    Builds the network without memory for its weights.
    """
    for key, value in args.items():
        if large := next((number for number in _numbers(value) if abs(number) > _LARGEST), None):
            raise _refused(checkpoint, f"`model_arg` {key} is {large:.6g}")
    if str(architecture).startswith("hf-hub:"):
        return
    try:
        with torch.device("meta"):
            module = architecture.build(pretrained=False, num_classes=None, args=args)
    # Some networks compute with values while they are built, which the meta device cannot.
    except Exception:
        return
    wanted = sum(parameter.numel() for parameter in module.parameters())
    if wanted > _TIMES * sum(tensor.numel() for tensor in checkpoint.tensors.values()) + _MORE:
        raise _refused(checkpoint, f"with them the network has {wanted:,} weights")


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, (int, float)):
        yield value
    for inner in value if isinstance(value, (list, tuple)) else ():
        yield from _numbers(inner)


def _refused(checkpoint: Checkpoint, why: str) -> CamxError:
    return CamxError(
        f"The checkpoint {checkpoint.path!r} names arguments that do not belong to its weights: {why}.",
        "Save the weights alone, and give the right arguments with `model_arg`.",
    )
