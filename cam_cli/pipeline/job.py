"""What is asked for, as one value that is passed once, and what the results depend on."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

from ..cams.engine.device_decoding import check_decoder
from ..cams.engine.explainer import Explainer, ExplainOptions
from ..errors import CamxError, nearest
from ..features.reader import ReadOptions
from ..images.decode import MAX_PIXELS
from ..images.listing import Filters
from ..images.picture import DECODINGS
from ..images.shard import Shard
from ..models.catalog import ModelSpec
from ..outputs.drawing import Rendering
from .progress import Engine

E = TypeVar("E", bound=Engine)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every command that works through images needs. `batch_size` and `workers` None: chosen for the device.

    `image_timeout`: seconds for decoding one image, 0 for no limit. `report`: write the page at the end. `shard`: these
    images only, in a part of the output folder. `processes`: how many share the machine. `engine`: local, or ray, on
    the cluster at `ray_address` or one of its own. `decode`: how, see docs/decoding.md. `command` is kept for the
    record only. Raises `CamxError` for a way of decoding that does not exist.
    """

    sources: tuple[str, ...]
    model: ModelSpec
    output: str
    filters: Filters = Filters()
    limit: int | None = None
    overwrite: bool = False
    batch_size: int | None = None
    workers: int | None = None
    max_pixels: int = MAX_PIXELS
    image_timeout: float = 30.0
    fail_fast: bool = False
    report: bool = False
    shard: Shard | None = None
    processes: int = 1
    engine: str = "local"
    ray_address: str | None = None
    decode: str = "exact"
    command: str = ""

    def __post_init__(self) -> None:
        if self.decode not in DECODINGS:
            known = ", ".join(DECODINGS)
            raise CamxError(
                f"--decode {self.decode!r} is unknown.{nearest(self.decode, DECODINGS)} It is one of {known}."
            )


@dataclass(frozen=True, kw_only=True)
class Job(RunOptions):
    """Everything that `camx explain` does. `labels` is `folder`, a CSV file, or None."""

    output: str = "camx-out"
    explain: ExplainOptions = ExplainOptions()
    rendering: Rendering = Rendering()
    labels: str | None = None
    report: bool = True

    def __post_init__(self) -> None:
        RunOptions.__post_init__(self)
        if self.explain.compile and self.batch_size == 1:
            raise CamxError(
                "--compile works on batches of two and more pictures. Leave --compile or --batch-size 1 out."
            )


@dataclass(frozen=True, kw_only=True)
class ActivationsJob(RunOptions):
    """Everything that `camx activations` does."""

    output: str = "camx-activations"
    read: ReadOptions = ReadOptions()


def decoding_as(job: RunOptions, engine: E) -> E:
    """The engine. Raises `CamxError` if it cannot decode as the job wants it to."""
    if job.decode == "device":
        check_decoder(engine.device)
    return engine


def common_fingerprint(job: RunOptions, engine: Engine, base: str) -> dict[str, Any]:
    """What the results of every command depend on: the images' folder, the network, its preprocessing, the layer.

    Exact decoding is not named: folders of runs that knew no other way go on.
    """
    network = engine.network
    return {
        "inputs": base,
        "model": network.name,
        "model_args": dict(network.args),
        "weights": network.digest,
        "preprocessing": dataclasses.asdict(network.preprocessing),
        "precision": engine.precision,
        "layer": engine.layer.name,
        **({} if job.decode == "exact" else {"decode": job.decode}),
    }


def fingerprint(job: Job, explainer: Explainer, base: str) -> dict[str, Any]:
    """What the results depend on, key by key. A folder holds results of one fingerprint only."""
    names = "\n".join(explainer.network.classes.names)
    rendering = dataclasses.replace(job.rendering, save=tuple(sorted(job.rendering.save)))
    return {
        "command": "explain",
        **common_fingerprint(job, explainer, base),
        "class_names": hashlib.sha256(names.encode()).hexdigest()[:16],
        "methods": list(job.explain.methods),
        "targets": [dataclasses.asdict(target) for target in job.explain.targets],
        "layers": [layer.name for layer in explainer.layers],
        "evidence": job.explain.evidence,
        "smooth": job.explain.smooth,
        "threshold": job.explain.threshold if job.explain.multi_label else None,
        "seed": job.explain.seed,
        "top_k": job.explain.top_k,
        "rendering": dataclasses.asdict(rendering),
    }
