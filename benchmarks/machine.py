"""Describes the machine of a measurement, and waits for its device."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from cam_cli.outputs.versions import versions


def machine(device: torch.device) -> dict[str, Any]:
    """Processor, number of cores, device, and versions of the software."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return {"processor": _processor(), "cores": os.cpu_count(), "device": name, "versions": versions()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def synchronised(device: torch.device) -> None:
    """Waits until the device has finished all submitted work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
