"""`camx patterns --check`: the spots of patterns are covered, with the network of the run that found them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..cams.engine.explainer import Explainer
from ..cams.engine.options import ExplainOptions
from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..faithfulness.covering import SpotChecker
from ..faithfulness.evaluation import Evaluation
from ..faithfulness.results import EvaluationRenderer
from ..images.listing import Inputs, Source
from ..images.picture import Decodable, load
from ..models.catalog import load_model
from ..models.options import ModelSpec, PreprocessingOptions
from ..outputs.record import RunRecord
from ..outputs.rows import ImageRow
from ..outputs.run_folder import RunFolder
from ..outputs.tables import line, number, text
from ..patterns.checking import ELSEWHERE, FILLS, RADIUS, Covered, covered_of, with_checks
from ..patterns.records import Patterns
from ..run_layout import CHECK, CHECKS_TABLE, PATTERNS
from .fingerprint import common_fingerprint
from .job import RunOptions
from .progress import Observer, Silent
from .relabel import Naming
from .resume import same_label
from .session import run_task
from .stop import Stop
from .task import Table, Work

_SCORES = [f"{what}_{fill}" for fill in FILLS for what in ("drop", "elsewhere")]


@dataclass(frozen=True, kw_only=True)
class CheckJob(RunOptions):
    """Everything that a check does. wanted: what is covered, by the name of an image. inputs: the folder that these
    names begin in. explained: the record of the run that is checked. runs_on: the device."""

    wanted: Mapping[str, Sequence[Covered]]
    inputs: str
    explained: RunRecord
    runs_on: str = "auto"
    seed: int = 0
    output: str


def check_table() -> Table:
    """`checks.csv`: one line per image and pattern."""
    return Table(CHECKS_TABLE, _lines)


def _lines(rows: Iterable[ImageRow]) -> Iterator[bytes]:
    yield line(["image", "status", "pattern", "target_prob", *_SCORES])
    for row in rows:
        for one in row.get("maps", ()):
            found = one.get("scores", {})
            cells = [text(row["image"]), row["status"], text(one.get("method", "")), number(one.get("target_prob"))]
            yield line([*cells, *(number(found.get(name)) for name in _SCORES)])


def recorded_model(record: RunRecord) -> ModelSpec:
    """The network of a run, as its record describes it. Raises `CamxError` where it does not."""
    found: Any = record.get("job", {})
    try:
        model = dict(found["model"])
        preprocessing: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in model["preprocessing"].items()
        }
        return ModelSpec(
            **{
                **model,
                "ignore_tensors": tuple(model.get("ignore_tensors", ())),
                "preprocessing": PreprocessingOptions(**preprocessing),
            }
        )
    except (KeyError, TypeError) as error:
        raise CamxError(
            f"run.json does not say which network made the maps ({error}).", "Explain the images once more."
        ) from error


@dataclass(frozen=True)
class CheckTask:
    """Images with spots of patterns become drops of their class."""

    job: CheckJob

    @property
    def device(self) -> str:
        return self.job.runs_on

    @property
    def table(self) -> Table:
        return check_table()

    def with_job(self, job: CheckJob) -> CheckTask:
        return CheckTask(job)

    def on_device(self, device: str) -> CheckTask:
        return CheckTask(dataclasses.replace(self.job, runs_on=device))

    def find(self) -> Inputs:
        base = self.job.inputs
        return Inputs(tuple(Source(name, os.path.join(base, name)) for name in sorted(self.job.wanted)), base)

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> SpotChecker:
        """Raises `CamxError` also where the weights are no longer those that made the maps."""
        network, before = load_model(self.job.model), self.job.explained.get("fingerprint", {})
        if network.digest != before.get("weights"):
            raise CamxError(
                f"The weights of {self.job.model.name!r} are others than those that made the maps.",
                "Explain the images once more, into another `output`.",
            )
        layers = tuple(before.get("layers", ())) or ("auto",)
        options = ExplainOptions(layers=layers, device=self.job.runs_on, seed=self.job.seed)
        return SpotChecker(Explainer(network, options, on_step=on_step), self.job.wanted, self.job.seed)

    def fingerprint(self, engine: SpotChecker, base: str) -> dict[str, Any]:
        covered = sorted((name, [(one.name, one.spots) for one in some]) for name, some in self.job.wanted.items())
        digest = hashlib.sha256(repr(covered).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return {
            "command": CHECK,
            **common_fingerprint(self.job, engine, base),
            "covered": digest,
            "radius": RADIUS,
            "elsewhere": ELSEWHERE,
            "seed": self.job.seed,
        }

    def run_batch(self, engine: SpotChecker, images: Sequence[Decodable]) -> Sequence[Evaluation]:
        return engine.check(images)

    def work(self, engine: SpotChecker, images: int) -> Work[Evaluation]:
        read = partial(
            load,
            preprocessing=engine.network.preprocessing,
            canvas=16,
            max_pixels=self.job.max_pixels,
            pixels=self.job.pixels,
            decoding=self.job.decode,
        )
        return Work(load=read, render=EvaluationRenderer().render)

    def naming(self, engine: SpotChecker) -> None:
        """Rows of a check name no classes."""

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        return same_label(row, source)

    def warnings(self, engine: SpotChecker, inputs: Inputs) -> Iterable[str]:
        return ()

    def cost(self, engine: SpotChecker, images: int) -> str:
        """Returns a line on the forwards of each image and pattern."""
        forwards = 1 + len(FILLS) * (1 + ELSEWHERE)
        return f"each image takes {forwards} forwards for each of its patterns" if images else ""


def check_patterns(
    found: Patterns, count: int, seed: int, observer: Observer = Silent(), stop: Stop | None = None
) -> Patterns:
    """Covers the spots of each pattern in its `count` most typical images, and returns the patterns with the drops.

    Uses the network of the run, and goes on with an earlier check that was stopped. Raises `CamxError` where that
    network is gone or another one by now, or the check was stopped.
    """
    record: Any = found.run
    if record.get("fingerprint", {}).get("pixels"):
        raise CamxError("The run read its images with options for their pixels: `check` does not know these.")
    folder = os.path.join(found.path, PATTERNS, CHECK)
    wanted = covered_of(found, count)
    if not wanted:
        return found
    device = str(record.get("job", {}).get("explain", {}).get("device", "auto"))
    job = CheckJob(
        sources=(),
        model=recorded_model(found.run),
        wanted=wanted,
        inputs=found.run.get("fingerprint", {}).get("inputs", ""),
        explained=found.run,
        runs_on="auto" if "," in device or device == "all" else device,
        seed=seed,
        output=folder,
        overwrite=True,
    )
    summary = run_task(CheckTask(job), observer, stop or Stop())
    if summary.state != "finished":
        raise CamxError(f"The check was not finished ({summary.state}).", "The same command continues.")
    return with_checks(found, RunFolder.read(folder).rows(), seed)
