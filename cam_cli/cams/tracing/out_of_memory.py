"""Recognises out-of-memory errors of CUDA, its libraries and the CPU allocator."""

from __future__ import annotations

import torch


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short.

    CUDA has an error class of its own and its libraries a status; the CPU allocator raises a plain RuntimeError.
    """
    phrases = ("allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)
    )
