"""Plan, progress and summary of a run, and the interface of their observer."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ..outputs.rows import BLANK, FAILED, OK, ImageRow
from ..sentences import joined_layers

if TYPE_CHECKING:
    import torch

    from ..images.listing import Inputs
    from ..models.catalog import Network
    from ..models.hooks import TargetLayer


E = TypeVar("E", bound="Engine")

#: Most failed images kept by name; the journal has all.
_MOST_FAILURES = 100_000


class Engine(Protocol):
    """Processes batches: an `Explainer`, a `FeatureReader` or an `Evaluator`."""

    @property
    def network(self) -> Network: ...

    @property
    def layer(self) -> TargetLayer: ...

    @property
    def layers(self) -> tuple[TargetLayer, ...]: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def precision(self) -> str: ...

    @property
    def backend(self) -> str:
        """Backend of the network before the target layer: torch, compile or openvino."""
        ...

    def replica(self: E) -> E:
        """Copy for another thread: own modules that share the weights in memory."""
        ...


@dataclass(frozen=True)
class Plan:
    """Plan of a run, known before the first image is decoded. skipped: number of finished images. classes: class names
    of the network, if any. cost: line about the expected work, or "". replaced: for a dry run, text about earlier
    results that `overwrite` would remove."""

    images: int
    skipped: int
    passed_over: int
    model: str
    weights: str
    layer: str
    layer_reason: str
    grid: str
    device: str
    precision: str
    output: str
    backend: str = "torch"
    classes: tuple[str, ...] = ()
    input: str = ""
    input_origins: Mapping[str, str] = field(default_factory=dict)
    weights_notes: tuple[str, ...] = ()
    idle_tensors: tuple[str, ...] = ()
    replaced: str = ""
    cost: str = ""

    @classmethod
    def of(cls, engine: Engine, inputs: Inputs, output: str, skipped: int = 0, cost: str = "") -> Plan:
        network, layers = engine.network, engine.layers
        return cls(
            images=len(inputs.sources),
            skipped=skipped,
            passed_over=inputs.passed_over,
            model=network.name,
            weights=network.weights,
            layer=joined_layers(layer.name for layer in layers),
            layer_reason="; ".join(dict.fromkeys(layer.reason for layer in layers)),
            grid="; ".join(str(layer.layout) for layer in layers),
            device=str(engine.device),
            precision=engine.precision,
            output=output,
            backend=engine.backend,
            classes=network.classes.two_sided().names,
            input=network.input_line,
            input_origins=dict(network.origins),
            weights_notes=network.notes,
            idle_tensors=network.idle_tensors,
            cost=cost,
        )

    def as_dict(self) -> dict[str, Any]:
        """The plan for `run.json`, without class names, which may be thousands, and without an unknown cost."""
        left_out = {"classes", "replaced", *({"cost"} if not self.cost else ())}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in left_out}


class Failure(NamedTuple):
    """Key of a failed image, and the reason."""

    image: str
    reason: str


@dataclass
class Progress:
    """State of a run. Seconds are times of work, summed over workers; `waiting_*` are times in which the loop waited.

    steps: forwards done and in all of a slow method within its image, or None. drawn: images drawn and to draw at the
    end of a run with one colour scale, or None. failures: the first 100,000 failed images.
    """

    total: int
    skipped: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    correct: int = 0
    decode_seconds: float = 0.0
    model_seconds: float = 0.0
    encode_seconds: float = 0.0
    waiting_for_decode: float = 0.0
    waiting_for_model: float = 0.0
    waiting_for_encode: float = 0.0
    steps: tuple[int, int] | None = None
    drawn: tuple[int, int] | None = None
    failures: list[Failure] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    @property
    def done_now(self) -> int:
        """Number of images of this run, without those of an earlier one."""
        return self.done - self.skipped

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def rate(self) -> float:
        """Images per second of this run."""
        return self.done_now / max(1e-9, self.seconds)

    @property
    def limited_by(self) -> str:
        """The slowest stage: decode, model or encode."""
        stages = {
            "decode": self.waiting_for_decode,
            "model": self.waiting_for_model,
            "encode": self.waiting_for_encode,
        }
        return max(stages, key=lambda stage: stages[stage])

    def step(self, done: int, total: int) -> None:
        """Sets the progress of a slow method within its image."""
        self.steps = (done, total) if done < total else None

    def add(self, row: ImageRow) -> None:
        self.counts[row["status"]] += 1
        if row["status"] == FAILED and len(self.failures) < _MOST_FAILURES:
            self.failures.append(Failure(row["image"], row["error"]))
        if "correct" in row:
            self.labelled += 1
            self.correct += bool(row["correct"])


@dataclass(frozen=True)
class Summary:
    """Result of a run. state: `finished`, `interrupted` by a signal, `stopped` by `fail_fast`, or `broken` by an error.

    signal: its number, or None.
    """

    plan: Plan
    progress: Progress
    seconds: float
    batch_size: int
    state: str = "finished"
    signal: int | None = None

    @property
    def failed(self) -> int:
        return self.progress.counts[FAILED]

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints: counts, accuracy, seconds and images per second of each stage."""
        p, plan = self.progress, self.plan
        stages = {"decode": p.decode_seconds, "model": p.model_seconds, "encode": p.encode_seconds}
        return {
            "state": self.state,
            "images": plan.images,
            **{status: p.counts[status] for status in (OK, FAILED, BLANK)},
            "skipped": p.skipped,
            "labelled": p.labelled,
            "accuracy": round(p.correct / p.labelled, 6) if p.labelled else None,
            "model": plan.model,
            "layer": plan.layer,
            "output": plan.output,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(p.done_now / self.seconds, 3),
            "stages": {
                name: {"seconds": round(s, 3), "images_per_second": round(p.done_now / s, 2) if s else None}
                for name, s in stages.items()
            },
            "limited_by": p.limited_by,
            "batch_size": self.batch_size,
        }


class Observer(Protocol):
    """Receives the events of a run; the command line displays them."""

    def planned(self, plan: Plan) -> None: ...

    def advanced(self, progress: Progress) -> None: ...

    def warned(self, message: str) -> None: ...


class Silent:
    """An observer that ignores everything."""

    def planned(self, plan: Plan) -> None: ...

    def advanced(self, progress: Progress) -> None: ...

    def warned(self, message: str) -> None: ...
