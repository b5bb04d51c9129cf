"""Options that choose the network and its preprocessing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..images.options import CROP_MODES, RESAMPLINGS
from ..options import EXPLANATION, MODEL, Flag, check
from ..parsers import key_value, per_channel, sides
from .tasks import AUTO, TASKS

#: Shared by several parts of a command.
SEED = Flag("Seed of all random choices.", panel=EXPLANATION, order=1, min=0, max=2**63 - 1, results=True)

TASK = Flag(
    "Meaning of the outputs: classification, segmentation, detection, regression, ordinal (steps) or similarity (an "
    "encoder); auto decides between the first three.",
    panel=MODEL,
    choices=TASKS,
    results=True,
    page="tasks.md",
)

NAME = Flag(
    "demo, resnet50, timm/NAME[.TAG], torchvision/NAME, hf-hub:REPO (timm), hf:FOLDER or hf:REPO (transformers, "
    "open_clip), a checkpoint that names its architecture, or my_module.py:build for your own network. `camx models` "
    "lists them.",
    name="model",
    known="models",
    short="-m",
    panel=MODEL,
    results=True,
    example="demo",
)

#: Shared by the commands that look at a network without images, as is the next one.
PRETRAINED = Flag(
    "Use random weights instead of pretrained ones, for trials.", panel=MODEL, only_off=True, results=True
)
MODEL_ARGUMENT = Flag(
    "Argument for building the model, KEY=VALUE. Repeatable.",
    name="model-arg",
    panel=MODEL,
    parse=key_value,
    repeatable=True,
    results=True,
    example="drop_path_rate=0",
)


@dataclass(frozen=True)
class PreprocessingOptions:
    """Options that replace values of the model's data configuration; None keeps the model's value.

    Raises `CamxError` for impossible values.
    """

    image_size: Annotated[
        int | tuple[int, int] | None,
        Flag(
            "Input size in pixels instead of the model's own: N, or HxW (height, width).",
            panel=MODEL,
            min=16,
            parse=sides,
            results=True,
            example="224",
        ),
    ] = None
    mean: Annotated[
        tuple[float, ...] | None,
        Flag(
            "Mean per channel, for values in [0, 1], instead of the model's own.",
            panel=MODEL,
            parse=per_channel,
            results=True,
            example="0.485,0.456,0.406",
        ),
    ] = None
    std: Annotated[
        tuple[float, ...] | None,
        Flag(
            "Standard deviation per channel, for values in [0, 1], instead of the model's own.",
            panel=MODEL,
            parse=per_channel,
            results=True,
            example="0.229,0.224,0.225",
        ),
    ] = None
    crop_pct: Annotated[
        float | None,
        Flag(
            "Share of each side of the image that the crop keeps.",
            panel=MODEL,
            min=0.01,
            max=1.0,
            results=True,
            example="0.875",
        ),
    ] = None
    crop_mode: Annotated[
        str | None,
        Flag(
            "Fit into the input: center (crop), squash (ignore the aspect ratio) or border (pad).",
            panel=MODEL,
            choices=CROP_MODES,
            results=True,
            example="center",
        ),
    ] = None
    interpolation: Annotated[
        str | None,
        Flag(
            "Resampling of the resize: bilinear, bicubic, nearest, lanczos, box or hamming.",
            panel=MODEL,
            choices=RESAMPLINGS,
            results=True,
            example="bicubic",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and not all(math.isfinite(v) for v in values):
                raise CamxError(f"`{name}` {values} is not finite.", "Give numbers for pixels in [0, 1].", field=name)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and max(values) > 1:
                scaled = ",".join(f"{value / 255:.4g}" for value in values)
                raise CamxError(
                    f"`{name}` {','.join(f'{value:g}' for value in values)} is for pixels from 0 to 255, but camx "
                    "needs it for pixels from 0 to 1.",
                    f"Divide by 255: `{name}={scaled}`.",
                    field=name,
                )
        if self.std is not None and min(self.std) <= 0:
            raise CamxError(
                f"`std` {self.std} must be above 0.", "Give one standard deviation per channel.", field="std"
            )


@dataclass(frozen=True)
class ModelSpec:
    """Options that choose the network. ema: None takes averaged weights if the checkpoint has them."""

    name: Annotated[str, NAME]
    checkpoint: Annotated[
        str | None,
        Flag("File of weights for the architecture in `model`.", panel=MODEL, results=True, example="weights.pth"),
    ] = None
    pretrained: Annotated[bool, PRETRAINED] = True
    args: Annotated[Mapping[str, Any], MODEL_ARGUMENT] = field(default_factory=dict)
    class_names: Annotated[
        str | None,
        Flag(
            "Class names: a text file, one per line (also `0 Cat`), JSON or YAML (config.json, data.yaml); "
            "folder: names of the class folders, in the text order of "
            "ImageFolder; index: no names, numbers are indices.",
            words=("folder", "index"),
            panel=MODEL,
            results=True,
            example="names.txt",
        ),
    ] = None
    prompts: Annotated[
        tuple[str, ...],
        Flag(
            "For CLIP and SigLIP: text for a class, with {} for its name. Repeatable; camx averages several.",
            panel=MODEL,
            repeatable=True,
            lines=True,
            results=True,
            example="a photo of a {}",
            page="hub.md",
        ),
    ] = ()
    ignore_tensors: Annotated[
        Names,
        Flag(
            "Tensors of the checkpoint that may be left over: a GLOB such as 'aux.*'. Repeatable.",
            panel=MODEL,
            repeatable=True,
            results=True,
            example="aux.*",
        ),
    ] = names_of()
    scores: Annotated[
        str | None,
        Flag(
            "Output with the class scores, if the network returns several: a key, a position, or both (heads.0).",
            panel=MODEL,
            results=True,
            example="logits",
        ),
    ] = None
    task: Annotated[str, TASK] = AUTO
    ema: Annotated[
        bool | None,
        Flag(
            "Use averaged weights or not; by default camx uses them if the checkpoint has them.",
            panel=MODEL,
            order=1,
            results=True,
        ),
    ] = None
    preprocessing: PreprocessingOptions = PreprocessingOptions()
    seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        check(self)
        if self.class_names == "":
            raise CamxError("`class_names` is empty.", "Give a file, or leave it out.", field="class_names")
