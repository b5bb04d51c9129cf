"""Resolves `auto`: device, precision, batch size and learning rates."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..cams.engine.devices import chosen_precision, find_device
from ..machine import cpus
from .job import TrainJob


@dataclass(frozen=True)
class Settings:
    """Resolved settings of one training. forward_size: batch size of forwards without gradients."""

    device: torch.device
    precision: str
    workers: int
    batch_size: int
    forward_size: int
    lr: float
    backbone_lr: float


def settings_of(job: TrainJob, images: int) -> Settings:
    """The values of the job; for `auto` a choice by device and number of training images."""
    device = find_device(job.device)
    on_gpu = device.type == "cuda"
    pretrained = job.model.pretrained or job.model.checkpoint is not None
    lr = job.lr or _learning_rate(job, pretrained)
    largest = (128 if on_gpu else 32) if job.freeze == "none" else 256
    return Settings(
        device=device,
        precision=chosen_precision(job.precision, device),
        workers=job.workers or min(8, cpus()),
        batch_size=job.batch_size or _batch_size(images, largest),
        forward_size=128 if on_gpu else 16,
        lr=lr,
        backbone_lr=lr / 10 if pretrained else lr,
    )


def _learning_rate(job: TrainJob, pretrained: bool) -> float:
    """Peak rate for AdamW. A linear head on standardised features allows larger steps than a convolution."""
    if job.freeze == "backbone":
        return 1e-3 if job.gap_channels else 3e-3
    return 1e-3 if pretrained else 2e-3


def _batch_size(images: int, largest: int) -> int:
    """A power of two from 8 to `largest` that leaves at least 16 steps per epoch."""
    size = 8
    while size * 2 <= min(largest, images // 16):
        size *= 2
    return size
