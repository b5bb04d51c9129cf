"""Devices and precisions of a network."""

from __future__ import annotations

import torch

from ...errors import CamxError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class DeviceFailed(CamxError):
    """The device computes nothing more in this process."""


def find_device(wanted: str) -> torch.device:
    """Returns the device by name; `auto` is the first CUDA device, else Apple's, else the CPU.

    Raises `CamxError` for a device that this machine does not have.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise CamxError(f"Unknown device {wanted!r}. Give auto, cpu, cuda, cuda:1 or mps.") from None
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(device.type, 1)
    if device.type not in ("cpu", "cuda", "mps") or (device.index or 0) >= count:
        present = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise CamxError(
            f"The device {wanted!r} does not exist: this machine has {present}. Leave `device` out to use the best one."
        )
    return device


def chosen_precision(wanted: str, device: torch.device) -> str:
    """Returns the precision by name; `auto` is bf16 on GPUs that have it, else fp32."""
    if wanted == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return wanted


def device_answers(device: torch.device) -> bool:
    """Whether a device still computes. After a failed assertion or an illegal access, every later call fails."""
    try:
        return device.type == "cpu" or torch.ones(1, device=device).item() == 1
    except RuntimeError:
        return False
