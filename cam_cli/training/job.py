"""The job of `camx train-gap` as one value, and the fingerprint of its result."""

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
#: What a fingerprint calls the kind of features that a head was trained on; trainings of 0.1.0 do not tell.
FEATURES = "precision of the features"
AUGMENT = ("basic", "none")
BALANCE = ("none", "loss", "sampler")

#: A training of 0.1.0 may go on with another precision.
_PRECISION = dataclasses.replace(PRECISION, results=False)
_BACKEND = dataclasses.replace(
    BACKEND, help="What computes the features of a frozen backbone: auto, torch, compile or openvino."
)
_SEED = Flag("Seed of all random choices.", panel=TRAINING, order=1, min=0, max=2**63 - 1, results=True)


def _learning_rate(text: str) -> float:
    return number(text, float, " such as 0.001, or auto")


@dataclass(frozen=True)
class Backbone(ModelSpec):
    """The network whose head is replaced: its classes and averaged weights are not asked for."""

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
    """Everything that `camx train-gap` does. `lr`, `batch_size` and `workers` None: chosen for the task.

    `cache_limit` in bytes; `ema` is the decay of averaged weights, 0 for none; `log_cams` validation images are
    explained after every epoch, and of `log_activations` of them the feature maps are drawn; `train_size` is the side
    of the random crops, None for that of the input (objects look larger in a crop than in the whole image: smaller
    crops make up for it); `command` and `origins` are kept for the record only. Raises `CamxError` for values that do
    not exist.
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
            "Side of the random crops, if not that of the input: objects look larger in a crop.",
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
            "For unequal classes: none, loss (class weights) or sampler (draw them equally).",
            panel=TRAINING,
            choices=BALANCE,
            results=True,
        ),
    ] = "none"
    ema: Annotated[
        float,
        Flag(
            "Keep averaged weights with this decay (0.99 to 0.9999); 0 for none.",
            name="ema-decay",
            panel=TRAINING,
            results=True,
        ),
    ] = 0.0
    val_fraction: Annotated[
        float,
        Flag("Share of each class for validation where DATA has no train/ and val/.", panel=TRAINING),
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
    overwrite: Annotated[bool, Flag("Replace the training in that folder.", panel=OUTPUT)] = False
    resume: Annotated[
        bool, Flag("Continue the training in that folder; the result is that of an uninterrupted one.", panel=OUTPUT)
    ] = False
    precision: Annotated[str, _PRECISION] = field(default="auto", kw_only=True)
    backend: Annotated[str, _BACKEND] = field(default="auto", kw_only=True)
    workers: Annotated[
        int | None, Flag("Threads that decode, or auto.", short="-j", panel=SPEED, none="auto", min=1)
    ] = None
    cache_limit: Annotated[
        int,
        Flag(
            "Room on the disk for features, such as 500MB; what does not fit is computed every epoch.",
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
                f"`val_fraction` {self.val_fraction} is outside 0 … 1: the share of each class kept for validation.",
                field="val_fraction",
            )
        if self.lr is not None and not 0 < self.lr < 100:
            raise CamxError(
                f"`lr` {self.lr} is no step that can work.", "Give a number such as 0.001, or auto.", field="lr"
            )
        if not 0 <= self.ema < 1:
            raise CamxError(
                f"`ema_decay` {self.ema} is outside 0 … 1.", "Give 0.99 to 0.9999, or 0 for no averaging.", field="ema"
            )
        if not 0 <= self.label_smoothing < 1:
            raise CamxError(
                f"`label_smoothing` {self.label_smoothing} is outside 0 … 1.",
                "Give 0 for none, or 0.1.",
                field="label_smoothing",
            )
        if self.train_size is not None and self.freeze == "backbone":
            raise CamxError("`train_size` is for random crops, which only `freeze=none` makes.", "Add it.")
        if self.backend not in ("auto", "torch") and self.freeze == "none":
            raise CamxError(
                f"`backend={self.backend}` computes the features of a frozen backbone, and `freeze=none` trains it.",
                "Leave it out.",
                field="backend",
            )
        if self.resume and self.overwrite:
            raise CamxError("`resume` continues a run, `overwrite` replaces it.", "Give one of them.")


def fingerprint(job: TrainJob, network: Network, data: Dataset, precision: str) -> dict[str, Any]:
    """Everything that the final weights depend on. A run resumes only if its fingerprint is equal.

    precision: what `auto` stands for. Features in float32 are the same by any backend; in bf16 each rounds elsewhere.
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
