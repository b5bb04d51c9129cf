"""Jobs of the commands over images: options, defaults, help texts, and contradictions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeVar

from ..cams.engine.options import ExplainOptions
from ..errors import CamxError
from ..faithfulness.options import FaithfulOptions
from ..features.options import ReadOptions
from ..images.filters import Filters
from ..images.mask_options import MaskOptions
from ..images.options import DECODINGS, MAX_PIXELS, PixelOptions
from ..images.scheduler import chosen_shard
from ..images.shard import Shard
from ..models.options import NAME, ModelSpec
from ..options import BEHAVIOUR, FILLED, INPUT, OUTPUT, SPEED, Flag, check
from ..outputs.options import Rendering
from ..outputs.records import require_pyarrow

if TYPE_CHECKING:
    from .progress import Engine

ENGINES = ("local", "ray")
Output = Annotated[str, Flag("Folder for the results.", short="-o", panel=OUTPUT)]
Labels = Annotated[
    str | None,
    Flag(
        "Ground truth: `folder` (names of the class folders) or a CSV with image,label.",
        panel=INPUT,
        order=-1,
        example="folder",
    ),
]
#: Shared by both kinds of `evaluate`: images for a network, or the folder of a run for a truth.
EVALUATED = Flag("Images, as for `camx explain`; with `truth` the output of `camx explain`.", argument=True)
EVALUATION = Flag("Folder for the results: camx-evaluate, or with `truth` OUT/evaluate.", short="-o", panel=OUTPUT)
PAGE = Flag("Write a page with curves and images.", panel=OUTPUT)

E = TypeVar("E", bound="Engine")


def _shard(text: str) -> Shard | None:
    return chosen_shard(text, os.environ)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of every command over images. `batch_size` and `workers`: None chooses a value for the device.

    image_timeout: seconds for decoding one image, 0 for no limit. report: write the page at the end. shard: only this
    share of the images, in a part of the output folder. processes: number of processes that share the machine. engine:
    local, or ray on the cluster at `ray_address` or a new one. decode: see docs/decoding.md. command, origins (of
    option values, by name): only for run.json. Raises `CamxError` for invalid values.
    """

    sources: Annotated[
        tuple[str, ...],
        Flag(
            "Images, folders, globs, tar files, s3:// gs:// hf:// http:// addresses, @list.txt, @list.csv, "
            ".jsonl or .parquet (column image, optional label), - for paths on stdin, or demo: for drawn samples.",
            argument=True,
        ),
    ]
    model: ModelSpec
    filters: Filters = Filters()
    pixels: PixelOptions = PixelOptions()
    limit: Annotated[int | None, Flag("Use only the first N images.", panel=INPUT, min=1, example="100")] = None
    output: Output
    overwrite: Annotated[bool, Flag("Replace the results of another run in the output folder.", panel=OUTPUT)] = False
    verify: Annotated[
        bool,
        Flag(
            "Verify all bytes of the files of an earlier run, not only their sizes, and redo damaged ones.",
            panel=OUTPUT,
        ),
    ] = False
    report: bool = False
    batch_size: Annotated[
        int | None, Flag("Images per batch, or auto.", short="-b", panel=SPEED, none="auto", min=1)
    ] = None
    workers: Annotated[
        int | None,
        Flag(
            "Processes that decode images, and as many that draw, or auto.", short="-j", panel=SPEED, none="auto", min=1
        ),
    ] = None
    decode: Annotated[
        str,
        Flag(
            "Decoding of JPEG files: exact, draft (large ones at a smaller sufficient scale), or device (on the GPU).",
            panel=SPEED,
            choices=DECODINGS,
            results=True,
            page="decoding.md",
        ),
    ] = "exact"
    fail_fast: Annotated[bool, Flag("Stop after the first failed image.", panel=BEHAVIOUR)] = False
    max_pixels: Annotated[
        int, Flag("Largest image in pixels; larger ones fail before they are decoded.", panel=BEHAVIOUR, min=1)
    ] = MAX_PIXELS
    image_timeout: Annotated[
        float,
        Flag(
            "Seconds to decode one image, 0 for no limit; slower images fail.",
            panel=BEHAVIOUR,
            min=0,
        ),
    ] = 30.0
    shard: Annotated[
        Shard | None,
        Flag(
            "Process one share of the images: i/n, or auto (auto/n) from the scheduler; see `camx merge`.",
            panel=SPEED,
            order=1,
            parse=_shard,
            example="1/8",
            page="scaling.md",
        ),
    ] = None
    engine: Annotated[
        str,
        Flag(
            "Where to run: local, or ray (one actor per GPU of a cluster; needs camx[ray]).",
            panel=SPEED,
            order=1,
            choices=ENGINES,
            page="scaling.md",
        ),
    ] = "local"
    ray_address: Annotated[
        str | None,
        Flag(
            "Address of the Ray cluster: auto or HOST:PORT. By default camx starts one on this machine.",
            panel=SPEED,
            order=1,
            example="auto",
        ),
    ] = None
    processes: int = 1
    command: Annotated[str, FILLED] = ""
    origins: Annotated[Mapping[str, str], FILLED] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        check(self)
        if self.engine == "local" and self.ray_address is not None:
            raise CamxError(
                "`ray_address` works only with `engine=ray`.", "Give both, or neither.", field="ray_address"
            )
        if self.engine == "ray" and self.shard is not None:
            raise CamxError(
                "`shard` does not work with `engine=ray`, which divides the images itself.",
                "Leave `shard` out.",
                field="shard",
            )


@dataclass(frozen=True, kw_only=True)
class ExplainJob(RunOptions):
    """All options of `camx explain`. labels: `folder`, a CSV file, or None."""

    labels: Labels = None
    explain: ExplainOptions = ExplainOptions()
    mask: MaskOptions = MaskOptions()
    rendering: Rendering = Rendering()
    output: Output = "camx-out"
    table: Annotated[
        tuple[str, ...],
        Flag(
            "Formats of the tables of images and maps: csv (always), parquet (needs camx[parquet]), jsonl.",
            panel=OUTPUT,
            choices=("csv", "parquet", "jsonl"),
            page="recipes.md",
        ),
    ] = ("csv",)
    report: Annotated[
        bool,
        Flag("Write report/index.html, with thumbnails of the images.", panel=OUTPUT, page="report.md"),
    ] = True

    def __post_init__(self) -> None:
        RunOptions.__post_init__(self)
        if "parquet" in self.table:
            require_pyarrow()
        if self.labels == "":
            raise CamxError("`labels` is empty.", "Give `folder` or a CSV, or leave it out.", field="labels")
        if self.explain.backend == "compile" and self.batch_size == 1:
            raise CamxError("`compile` needs batches of two or more images.", "Leave `compile` or `batch_size=1` out.")


@dataclass(frozen=True)
class ModelWithoutClasses(ModelSpec):
    """Options of a network without the option of class names."""

    class_names: str | None = None


@dataclass(frozen=True, kw_only=True)
class ActivationsJob(RunOptions):
    """All options of `camx activations`."""

    model: ModelWithoutClasses
    output: Output = "camx-activations"
    read: ReadOptions = ReadOptions()


@dataclass(frozen=True)
class OptionalModel(ModelSpec):
    """Options of an optional network: an empty name means none."""

    name: Annotated[str, NAME] = ""


@dataclass(frozen=True, kw_only=True)
class EvaluateJob(RunOptions):
    """All options of `camx evaluate` over images. labels: as in `ExplainJob`."""

    sources: Annotated[tuple[str, ...], EVALUATED]
    model: OptionalModel = OptionalModel()
    labels: Labels = None
    faithful: FaithfulOptions = FaithfulOptions()
    output: Annotated[str, EVALUATION] = "camx-evaluate"
    report: Annotated[bool, PAGE] = True


def decoding_as(job: RunOptions, engine: E) -> E:
    """Returns the engine unchanged. Raises `CamxError` if it does not support the decoding or the bands of the job."""
    job.pixels.check_channels(engine.network.preprocessing.channels)
    if job.decode == "device" and engine.network.preprocessing.whole:
        raise CamxError(
            "`decode=device` decodes all images to one input size, and this network takes each at its own size.",
            "Leave `decode` out.",
            field="decode",
        )
    if job.decode == "device":
        from ..cams.engine.device_decoding import check_decoder

        check_decoder(engine.device)
    return engine
