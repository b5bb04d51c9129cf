"""How a device says that its memory does not suffice."""

from __future__ import annotations

import torch


def is_out_of_memory(error: Exception) -> bool:
    """CUDA has a class of its own, and its libraries a status; the CPU allocator raises a plain RuntimeError."""
    said = ("allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    )
