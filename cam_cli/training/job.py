"""What `camx train-gap` is asked to do, as one value, and what its result depends on."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

from ..errors import CamxError, nearest
from ..models.catalog import ModelSpec, Network
from .data import Dataset

FREEZE = ("backbone", "none")
AUGMENT = ("basic", "none")
BALANCE = ("none", "loss", "sampler")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class TrainJob:
    """Everything that `camx train-gap` does. `lr`, `batch_size` and `workers` None: chosen for the task.

    `cache_limit` in bytes; `ema` is the decay of averaged weights, 0 for none; `log_cams` validation images are
    explained after every epoch, and of `log_activations` of them the feature maps are drawn; `train_size` is the side
    of the random crops, None for that of the input (objects look larger in a crop than in the whole picture: smaller
    crops make up for it); `command` is kept for the record only. Raises `CamxError` for values that do not exist.
    """

    data: str
    model: ModelSpec
    output: str = "camx-gap"
    layer: str = "auto"
    freeze: str = "backbone"
    epochs: int = 10
    lr: float | None = None
    batch_size: int | None = None
    gap_channels: int = 0
    augment: str = "basic"
    train_size: int | None = None
    label_smoothing: float = 0.0
    balance: str = "none"
    ema: float = 0.0
    device: str = "auto"
    precision: str = "auto"
    workers: int | None = None
    val_fraction: float = 0.2
    cache_limit: int = 4_000_000_000
    seed: int = 0
    log_cams: int = 0
    log_activations: int = 0
    resume: bool = False
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        choices = (("--freeze", self.freeze, FREEZE), ("--augment", self.augment, AUGMENT))
        more = (("--balance", self.balance, BALANCE), ("--precision", self.precision, PRECISIONS))
        for flag, value, known in (*choices, *more):
            if value not in known:
                raise CamxError(f"{flag} {value!r} is unknown.{nearest(value, known)} It is one of {', '.join(known)}.")
        if not 0 < self.val_fraction < 1:
            raise CamxError(
                f"--val-fraction {self.val_fraction} is outside 0 … 1: the share of each class kept for validation."
            )
        if self.lr is not None and not 0 < self.lr < 100:
            raise CamxError(f"--lr {self.lr} is no step that can work. Give a number such as 0.001, or auto.")
        if not 0 <= self.ema < 1:
            raise CamxError(f"--ema-decay {self.ema} is outside 0 … 1. Give 0.99 to 0.9999, or 0 for no averaging.")
        if not 0 <= self.label_smoothing < 1:
            raise CamxError(f"--label-smoothing {self.label_smoothing} is outside 0 … 1. Give 0 for none, or 0.1.")
        if self.train_size is not None and self.freeze == "backbone":
            raise CamxError("--train-size is for random crops, which only --freeze none makes. Add it.")
        if self.epochs < 1 or min(self.gap_channels, self.log_cams, self.log_activations, self.cache_limit) < 0:
            raise CamxError(
                "--epochs starts at 1; --gap-channels, --log-cams, --log-activations and --cache-limit start at 0."
            )
        if self.resume and self.overwrite:
            raise CamxError("--resume continues a run, --overwrite replaces it. Give one of them.")


def fingerprint(job: TrainJob, network: Network, data: Dataset) -> dict[str, Any]:
    """What the final weights depend on, key by key; only a run with the same can be continued."""
    images = hashlib.sha256()
    for part in (data.train, data.val):
        for sample in part:
            images.update(f"{sample.source.key}\0{sample.label}\n".encode("utf-8", "surrogateescape"))
        images.update(b"\n")
    names = ("layer", "freeze", "epochs", "lr", "batch_size", "gap_channels", "augment", "balance", "ema", "seed")
    settings = (*names, "train_size", "label_smoothing")
    return {
        "command": "train-gap",
        "model": network.name,
        "weights": network.digest,
        "preprocessing": dataclasses.asdict(network.preprocessing),
        "images": images.hexdigest()[:16],
        "classes": list(data.classes),
        **{name: getattr(job, name) for name in settings},
    }
