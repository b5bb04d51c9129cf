"""The task of `camx patterns --check`: covers the spots of patterns and runs the network of the run again."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from ..cams.engine.explainer import Explainer
from ..cams.engine.options import ExplainOptions
from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..faithfulness.covering import SpotChecker
from ..faithfulness.evaluation import Evaluation
from ..faithfulness.results import EvaluationRenderer
from ..images.listing import Inputs, Source, find
from ..images.picture import Decodable, load
from ..images.remote import is_remote
from ..models.catalog import load_model
from ..models.options import ModelSpec, PreprocessingOptions
from ..outputs.record import RunRecord
from ..outputs.rows import ImageRow
from ..outputs.run_folder import RunFolder
from ..outputs.tables import line, number, text
from ..patterns.checking import ELSEWHERE, RADIUS, Covered, covered_of, score_name, suspects, with_checks
from ..patterns.find import with_gates
from ..patterns.options import PatternsOptions
from ..patterns.records import FILLS, MEASURES, Patterns
from ..run_layout import CHECK, CHECKS_TABLE, PATTERNS
from ..sentences import counted
from .fingerprint import common_fingerprint
from .job import RunOptions
from .progress import Observer, Silent
from .relabel import Naming
from .resume import same_label
from .session import run_task
from .stop import Stop
from .task import Table, Work

_SCORES = [
    score_name(measure, fill, elsewhere=away) for measure in MEASURES for fill in FILLS for away in (False, True)
]


class CheckRequest(NamedTuple):
    """Command line and origins of the options of a check, for the record."""

    command: str = ""
    origins: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class CheckJob(RunOptions):
    """All options of a check. sources: of the checked run, for images that are no files. wanted: covers by image name.
    inputs: folder to which names are relative. weights, layers: of the run. explain: device and scores of the run."""

    wanted: Mapping[str, Sequence[Covered]]
    inputs: str
    weights: str
    explain: ExplainOptions
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
    """Network of a run from its record. Raises `CamxError` if the record lacks it."""
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
            f"run.json does not name the network of the maps ({error}).", "Explain the images again."
        ) from error


@dataclass(frozen=True)
class CheckTask:
    """Measures the drop of the class score for images with covered spots."""

    job: CheckJob

    @property
    def device(self) -> str:
        return self.job.explain.device

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return check_table()

    def with_job(self, job: CheckJob) -> CheckTask:
        return CheckTask(job)

    def on_device(self, device: str) -> CheckTask:
        options = dataclasses.replace(self.job.explain, device=device)
        return CheckTask(dataclasses.replace(self.job, explain=options))

    def find(self) -> Inputs:
        base = self.job.inputs
        sources = {name: Source(name, os.path.join(base, name)) for name in sorted(self.job.wanted)}
        missing = {name for name, one in sources.items() if not (is_remote(base) or os.path.lexists(one.path))}
        if missing and self.job.sources:
            # Members of tar files and images of lists have no path of their own. Missing images become failed rows.
            with contextlib.suppress(CamxError):
                sources |= {one.key: one for one in find(self.job.sources).sources if one.key in missing}
        return Inputs(tuple(sources.values()), base)

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> SpotChecker:
        """Builds the checker. Raises `CamxError` also if the weights differ from those of the run."""
        network = load_model(self.job.model)
        if network.digest != self.job.weights:
            raise CamxError(
                f"The weights of {self.job.model.name!r} differ from those of the run.",
                "Explain the images again, into another `output`.",
            )
        explainer = Explainer(network, self.job.explain, on_step=on_step, images=images)
        return SpotChecker(explainer, self.job.wanted, self.job.seed)

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
        """None: rows of a check have no class names."""

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        return same_label(row, source)

    def warnings(self, engine: SpotChecker, inputs: Inputs) -> Iterable[str]:
        return ()

    def cost(self, engine: SpotChecker, images: int) -> str:
        """Returns a line about the forwards per image and pattern."""
        pairs = sum(map(len, self.job.wanted.values()))
        shared = sum(len({len(one.spots) for one in some}) for some in self.job.wanted.values())
        forwards = len(self.job.wanted) + len(FILLS) * (pairs + ELSEWHERE * shared)
        names = len({one.name for some in self.job.wanted.values() for one in some})
        return f"{counted(names, 'pattern')} to cover: about {counted(forwards, 'forward')}" if images else ""


def check_patterns(
    found: Patterns,
    options: PatternsOptions,
    observer: Observer = Silent(),
    stop: Stop | None = None,
    asked: CheckRequest = CheckRequest(),
) -> Patterns:
    """Covers the spots of the patterns that `cover` selects, in the `check` most typical images of each. Returns the
    patterns with drops and gates.

    Uses the network of the run, and resumes an interrupted check. Raises `CamxError` if that network is missing or has
    changed, or if the check was interrupted.
    """
    if found.run.get("fingerprint", {}).get("pixels"):
        raise CamxError("The run was made with options for pixels, which `check` does not support. Leave `check` out.")
    folder = os.path.join(found.path, PATTERNS, CHECK)
    wanted = covered_of(found, suspects(found, options.cover), options.check or 0)
    if not wanted:
        note = "Nothing was covered, because no pattern has a flag. Name patterns with `cover`, or give `cover=all`."
        return with_gates(dataclasses.replace(found, notes=[*found.notes, note]), options)
    job = check_job(found, wanted, options.seed, asked)
    summary = run_task(CheckTask(job), observer, stop or Stop())
    if summary.state != "finished":
        raise CamxError(f"The check was not finished ({summary.state}).", "Run the same command again to continue.")
    return with_gates(with_checks(found, RunFolder.read(folder).rows(), options.seed), options)


def check_job(
    found: Patterns, wanted: Mapping[str, Sequence[Covered]], seed: int, asked: CheckRequest = CheckRequest()
) -> CheckJob:
    """Job of a check. Raises `CamxError` if the record of the run does not name its network."""
    model = recorded_model(found.run)
    record: Any = found.run
    before, explain = record.get("fingerprint", {}), record.get("job", {}).get("explain", {})
    device = str(explain.get("device", "auto"))
    return CheckJob(
        sources=tuple(record.get("job", {}).get("sources", ())),
        model=model,
        wanted=wanted,
        inputs=before.get("inputs", ""),
        weights=before.get("weights", ""),
        explain=ExplainOptions(
            layers=tuple(before.get("layers", ())) or ("auto",),
            device="auto" if "," in device or device == "all" else device,
            multi_label=bool(explain.get("multi_label", False)),
            seed=seed,
        ),
        seed=seed,
        output=os.path.join(found.path, PATTERNS, CHECK),
        overwrite=True,
        command=asked.command,
        origins=dict(asked.origins),
    )
