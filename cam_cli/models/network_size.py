"""Arguments that a checkpoint names for its network are not believed where they make it far larger than its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..errors import CamxError
from .checkpoints import Checkpoint
from .libraries import Architecture

#: No depth, width or side of a network is larger.
_LARGEST = 10_000
#: How many times the numbers in the file a network may have, and so many more: averages and heads are left out of some.
_TIMES, _MORE = 4, 20_000_000


def check_size(architecture: Architecture, args: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Raises `CamxError` for arguments of the checkpoint that cannot be those of its weights.

    The network is built without memory for its weights first.
    """
    for key, value in args.items():
        if large := next((number for number in _numbers(value) if abs(number) > _LARGEST), None):
            raise _refused(checkpoint, f"`model_arg` {key} is {large:.6g}")
    if str(architecture).startswith("hf-hub:"):
        return
    try:
        with torch.device("meta"):
            module = architecture.build(pretrained=False, num_classes=None, args=args)
    # Some networks compute with numbers while they are built, and cannot be without.
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
        f"The checkpoint {checkpoint.path!r} names arguments that cannot be those of its weights: {why}.",
        "Give the weights alone, and the right arguments as `model_arg`.",
    )
