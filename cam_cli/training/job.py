"""Options of `camx train-gap`, and the fingerprint of its result."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from ..cams.engine.options import BACKEND, PRECISION, ComputeOptions
from ..errors import CamxError
from ..models.options import ModelSpec
from ..options import FILLED, MODEL, OUTPUT, SPEED, TRAINING, Flag, check, results
from ..parsers import Bytes, byte_count, number

if TYPE_CHECKING:
    from ..models.catalog import Network
    from .data import Dataset

FREEZE = ("backbone", "none")
#: Fingerprint key of the precision of the cached features. Trainings of 0.1.0 lack it.
FEATURES = "precision of the features"
AUGMENT = ("basic", "none")
BALANCE = ("none", "loss", "sampler")

#: Without a precision: a training of 0.1.0 may continue with another one.
_PRECISION = dataclasses.replace(PRECISION, results=False)
_BACKEND = dataclasses.replace(
    BACKEND, help="Backend for the features of a frozen backbone: auto, torch, compile or openvino."
)
_SEED = Flag("Seed of all random choices.", panel=TRAINING, order=1, min=0, max=2**63 - 1, results=True)


def _learning_rate(text: str) -> float:
    return number(text, float, " such as 0.001, or auto")


@dataclass(frozen=True)
class Backbone(ModelSpec):
    """The network whose head is replaced. It has no options for class names or averaged weights."""

    name: Annotated[
        str,
        Flag(
            "Backbone: any name that `model` of `camx explain` takes.",
            name="model",
            short="-m",
            panel=MODEL,
            results=True,
        ),
    ] = "resnet18"
    pretrained: Annotated[
        bool,
        Flag("Random weights: train from scratch, with `freeze=none`.", panel=MODEL, only_off=True, results=True),
    ] = True
    class_names: str | None = None
    ema: bool | None = None
    seed: Annotated[int, _SEED] = 0


@dataclass(frozen=True)
class TrainJob(ComputeOptions):
    """All options of `camx train-gap`. `lr`, `batch_size`, `workers`: None chooses a value for data and device.

    cache_limit: bytes. ema: decay of averaged weights, 0 for none. log_cams: number of validation images that are
    explained after every epoch. log_activations: number of those whose feature maps are drawn. train_size: side of
    the random crops, None for the side of the input (objects look larger in a crop than in the whole image; smaller
    crops compensate). command, origins: only for run.json. Raises `CamxError` for a value out of its range.
    """

    data: Annotated[
        str,
        Flag("A folder with train/ and val/ of class folders, or one of class folders that is split.", argument=True),
    ]
    model: Backbone = Backbone()
    output: Annotated[str, Flag("Folder for the network and its figures.", short="-o", panel=OUTPUT)] = "camx-gap"
    layer: Annotated[
        str,
        Flag(
            "Layer to cut at: auto, or a name that `camx layers MODEL` lists.",
            words=("auto",),
            known="layers",
            panel=MODEL,
            results=True,
        ),
    ] = "auto"
    gap_channels: Annotated[
        int,
        Flag("Channels of a 3×3 convolution before the pooling; 0 for none.", panel=MODEL, min=0, results=True),
    ] = 0
    freeze: Annotated[
        str,
        Flag(
            "backbone (train the head on cached features) or none (train everything).",
            panel=TRAINING,
            choices=FREEZE,
            results=True,
        ),
    ] = "backbone"
    epochs: Annotated[int, Flag("Passes over the images.", panel=TRAINING, min=1, results=True)] = 10
    lr: Annotated[
        float | None,
        Flag(
            "Highest learning rate of the new layers, or auto. A pretrained backbone learns at a tenth.",
            panel=TRAINING,
            parse=_learning_rate,
            none="auto",
            results=True,
        ),
    ] = None
    batch_size: Annotated[
        int | None,
        Flag("Images per step, or auto.", short="-b", panel=TRAINING, none="auto", min=1, results=True),
    ] = None
    augment: Annotated[
        str,
        Flag(
            "basic (flips; with `freeze=none` also random crops) or none.",
            panel=TRAINING,
            choices=AUGMENT,
            results=True,
        ),
    ] = "basic"
    train_size: Annotated[
        int | None,
        Flag(
            "Side of the random crops in pixels; default: the side of the input. Objects look larger in a crop.",
            panel=TRAINING,
            min=16,
            results=True,
            example="160",
        ),
    ] = None
    label_smoothing: Annotated[
        float, Flag("Share of the target spread over all classes.", panel=TRAINING, results=True)
    ] = 0.0
    balance: Annotated[
        str,
        Flag(
            "For classes of unequal size: none, loss (class weights) or sampler (draw each class equally often).",
            panel=TRAINING,
            choices=BALANCE,
            results=True,
        ),
    ] = "none"
    ema: Annotated[
        float,
        Flag(
            "Average the weights with this decay (0.99 to 0.9999) and keep the average; 0 for none.",
            name="ema-decay",
            panel=TRAINING,
            results=True,
        ),
    ] = 0.0
    val_fraction: Annotated[
        float,
        Flag("Share of each class for validation if DATA has no train/ and val/.", panel=TRAINING),
    ] = 0.2
    seed: Annotated[int, _SEED] = 0
    log_cams: Annotated[int, Flag("Explain the same N validation images after every epoch.", panel=OUTPUT, min=0)] = 0
    log_activations: Annotated[
        int,
        Flag(
            "Draw the feature maps of the first convolution for N validation images after every epoch (once, if the "
            "backbone is frozen).",
            panel=OUTPUT,
            min=0,
        ),
    ] = 0
    overwrite: Annotated[bool, Flag("Replace the training in the output folder.", panel=OUTPUT)] = False
    resume: Annotated[
        bool,
        Flag(
            "Continue the training in the output folder; the result equals that of an uninterrupted one.", panel=OUTPUT
        ),
    ] = False
    precision: Annotated[str, _PRECISION] = field(default="auto", kw_only=True)
    backend: Annotated[str, _BACKEND] = field(default="auto", kw_only=True)
    workers: Annotated[
        int | None, Flag("Threads that decode images, or auto.", short="-j", panel=SPEED, none="auto", min=1)
    ] = None
    cache_limit: Annotated[
        int,
        Flag(
            "Disk space for cached features, such as 500MB; features that do not fit are computed every epoch.",
            panel=SPEED,
            parse=byte_count,
            min=0,
        ),
    ] = Bytes(4_000_000_000)
    command: Annotated[str, FILLED] = ""
    origins: Annotated[Mapping[str, str], FILLED] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        check(self)
        if not 0 < self.val_fraction < 1:
            raise CamxError(
                f"`val_fraction` {self.val_fraction} must lie between 0 and 1.",
                "Give the share of each class for validation, such as 0.2.",
                field="val_fraction",
            )
        if self.lr is not None and not 0 < self.lr < 100:
            raise CamxError(
                f"`lr` {self.lr} is no usable learning rate.", "Give a number such as 0.001, or auto.", field="lr"
            )
        if not 0 <= self.ema < 1:
            raise CamxError(
                f"`ema_decay` {self.ema} must be at least 0 and below 1.",
                "Give 0.99 to 0.9999, or 0 for no averaging.",
                field="ema",
            )
        if not 0 <= self.label_smoothing < 1:
            raise CamxError(
                f"`label_smoothing` {self.label_smoothing} must be at least 0 and below 1.",
                "Give 0 for none, or 0.1.",
                field="label_smoothing",
            )
        if self.train_size is not None and self.freeze == "backbone":
            raise CamxError(
                f"`train_size` {self.train_size} is the side of random crops, which only `freeze=none` draws.",
                "Add `freeze=none`, or leave `train_size` out.",
                field="train_size",
            )
        if self.backend not in ("auto", "torch") and self.freeze == "none":
            raise CamxError(
                f"`backend={self.backend}` computes the features of a frozen backbone, but `freeze=none` trains it.",
                "Leave `backend` out.",
                field="backend",
            )
        if self.resume and self.overwrite:
            raise CamxError("`resume` continues a run, but `overwrite` replaces it.", "Give only one of them.")


def fingerprint(job: TrainJob, network: Network, data: Dataset, precision: str) -> dict[str, Any]:
    """Values on which the final weights depend. A training resumes only if all are equal.

    precision: the resolved one, never `auto`. All backends give equal features in float32; in bf16 each rounds
    differently, so the backend is a part of the fingerprint.
    """
    images = hashlib.sha256()
    for part in (data.train, data.val):
        for sample in part:
            images.update(f"{sample.source.key}\0{sample.label}\n".encode("utf-8", "surrogateescape"))
        images.update(b"\n")
    return {
        "command": "train-gap",
        "model": network.name,
        "weights": network.digest,
        "preprocessing": network.preprocessing.as_dict(),
        "images": images.hexdigest()[:16],
        "classes": list(data.classes),
        **results(job),
        **({FEATURES: _features(job, precision)} if job.freeze == "backbone" else {}),
    }


def _features(job: TrainJob, precision: str) -> str:
    return precision if precision == "fp32" else f"{precision} {job.backend if job.backend != 'auto' else 'torch'}"
