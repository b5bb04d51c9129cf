"""Options of the engine: the maps, their methods and classes, and the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ...declared_types import Names, names_of
from ...errors import CamxError
from ...models.options import SEED
from ...options import EXPLANATION, MODEL, SPEED, Flag, check
from ..methods.names import EVIDENCE, METHOD_NAMES, SMOOTHINGS
from .targets import Target, Targets, as_targets, default_targets

#: `auto`, and the keys of `devices.PRECISIONS`, which need torch.
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

DEVICE = Flag(
    "auto, cpu, cuda, cuda:1, mps; for `explain`, `activations` and `evaluate` also several (cuda:0,cuda:1) or all.",
    words=("auto", "cpu", "cuda", "mps", "all"),
    panel=SPEED,
    order=-1,
    page="scaling.md",
)
PRECISION = Flag("auto, fp32, bf16, fp16.", panel=SPEED, order=-1, choices=PRECISIONS, results=True)

LAYERS = Flag(
    "Target layer: auto, or a name that `camx layers MODEL` lists. Repeatable: the maps of several layers become one.",
    name="layer",
    words=("auto",),
    known="layers",
    panel=MODEL,
    order=1,
    repeatable=True,
    results=True,
)

#: Backends of the network before the target layer; `auto` is OpenVINO on a CPU if that is faster, else torch.
BACKENDS = ("auto", "torch", "compile", "openvino")
BACKEND = Flag(
    "What runs the network before the target layer: auto, torch, compile or openvino (needs camx[openvino], a CPU).",
    panel=SPEED,
    choices=BACKENDS,
    page="compiling.md",
)


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """Options of everything that runs a network.

    device: a name of torch, or `auto`. precision: fp32, bf16 or fp16; `auto` is bf16 on GPUs that have it, else fp32.
    """

    device: Annotated[str, DEVICE] = "auto"
    precision: Annotated[str, PRECISION] = "auto"


@dataclass(frozen=True, kw_only=True)
class MapOptions(ComputeOptions):
    """Options of everything that makes maps.

    layers: target layers, `auto` or by name; the maps of several become one. seed: of methods that draw random numbers.
    backend: runs the network before the target layer.
    """

    layers: Annotated[Names, LAYERS] = names_of("auto")
    seed: Annotated[int, SEED] = 0
    backend: Annotated[str, BACKEND] = "auto"


#: The most classes in a row of the table, each with three columns.
MOST_CLASSES = 50_000


@dataclass(frozen=True)
class ExplainOptions(MapOptions):
    """Options of an `Explainer`.

    methods: names of `METHOD_NAMES`. targets: the classes that get a map. top_k: classes per ranking. evidence: `for` a
    class, `against` it, or `both` in one map. smooth: averages maps over the mirror image (`flip`), and over contrasts
    too (`aug`). multi_label: every class from the probability `threshold` on is predicted. max_boxes: boxes of a
    detector that get maps; `threshold` is their smallest score. backend: runs the network before the target layer;
    others than torch take a while at the start, and change values by rounding only. `auto` is OpenVINO for a long run
    in fp32 on a CPU, if it is installed. compile: another word for `backend=compile`. Raises `CamxError` for values
    that do not exist or do not go together.
    """

    methods: Annotated[
        Names,
        Flag(
            f"{', '.join(METHOD_NAMES)}. Repeatable.",
            name="method",
            panel=EXPLANATION,
            repeatable=True,
            choices=METHOD_NAMES,
            results=True,
            page="methods.md",
        ),
    ] = names_of("gradcam")
    targets: Annotated[
        Targets,
        Flag(
            "predicted, label, top:K, a class by index or name, or like:REF.jpg, like:PAIRS.csv (for encoders). "
            "Repeatable.",
            name="target",
            words=("predicted", "label", "top:3"),
            known="classes",
            panel=EXPLANATION,
            repeatable=True,
            lines=True,
            parse=Target.parse,
            results=True,
        ),
    ] = default_targets()
    top_k: Annotated[int, Flag("Classes per image in the table.", panel=EXPLANATION, min=1, results=True)] = 5
    evidence: Annotated[
        str,
        Flag(
            "Evidence for the class, against it, or both in one map of two colours.",
            panel=EXPLANATION,
            choices=EVIDENCE,
            results=True,
            page="methods.md",
        ),
    ] = "for"
    smooth: Annotated[
        str,
        Flag(
            "Average over the mirror image (flip), and also over contrasts (aug), or none.",
            panel=EXPLANATION,
            choices=SMOOTHINGS,
            results=True,
        ),
    ] = "none"
    multi_label: Annotated[
        bool,
        Flag(
            "An image can have several classes: all that reach `threshold` are predicted.",
            panel=EXPLANATION,
            results=True,
        ),
    ] = False
    threshold: Annotated[
        float,
        Flag(
            "Smallest probability of a predicted class, with `multi_label`; smallest score of a box of a detector.",
            panel=EXPLANATION,
            results=True,
        ),
    ] = 0.5
    max_boxes: Annotated[
        int,
        Flag(
            "Best boxes of a detector, which get maps.",
            panel=EXPLANATION,
            min=1,
            results=True,
            page="tasks.md",
        ),
    ] = 10
    compile: Annotated[
        bool,
        Flag(
            "Another word for `backend=compile`: slow to start, faster for many images; needs a compiler.",
            panel=SPEED,
            page="compiling.md",
        ),
    ] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", as_targets(self.targets))
        # A `torch.device` becomes its name.
        if type(self.device).__name__ == "device":
            object.__setattr__(self, "device", str(self.device))
        check(self)
        if self.compile and self.backend not in ("auto", "compile"):
            raise CamxError(f"`compile` contradicts `backend={self.backend}`.", "Give one of them.", field="backend")
        if self.compile:
            object.__setattr__(self, "backend", "compile")
        for name in ("methods", "targets", "layers"):
            if not getattr(self, name):
                raise CamxError(f"`{name}` is empty.", "Name at least one, or leave it out.", field=name)
        self._check_together()
        if self.top_k > MOST_CLASSES:
            raise CamxError(
                f"`top_k` {self.top_k} is more than a table can hold.", f"Give at most {MOST_CLASSES}.", field="top_k"
            )
        if not 0 < self.threshold < 1:
            raise CamxError(
                f"`threshold` {self.threshold:g} must be above 0 and below 1.",
                "Give one such as 0.5.",
                field="threshold",
            )

    def _check_together(self) -> None:
        """Raises `CamxError` for a method without evidence against a class, or without maps to average."""
        if (self.evidence, self.smooth) == ("for", "none"):
            return
        # Imported here: its functions import torch, which the defaults do not need.
        from ..methods.registry import METHODS

        for name in self.methods:
            method = METHODS[name]
            if self.evidence != "for" and not method.signed:
                raise CamxError(
                    f"`evidence={self.evidence}`: the maps of {name} do not separate evidence for a class from "
                    "evidence against it.",
                    "Use `evidence=for`, or a method such as gradcam.",
                    field="evidence",
                )
            if self.smooth != "none" and method.per == "concept":
                raise CamxError(
                    f"`smooth={self.smooth}`: the concepts of {name} differ between views, so they have no average.",
                    "Use `smooth=none`.",
                    field="smooth",
                )
