"""The mark `results` of a flag is true: another value is another fingerprint, and no other flag is in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.engine.references import References
from cam_cli.cams.engine.targets import Target
from cam_cli.features.options import ChannelChoice
from cam_cli.images.geometry import Preprocessing
from cam_cli.images.mask_options import MaskOptions
from cam_cli.images.options import Levels
from cam_cli.images.shard import Shard
from cam_cli.models.classes import ClassNames
from cam_cli.models.options import ModelSpec
from cam_cli.options import Option, options_of, results
from cam_cli.outputs.options import Rendering
from cam_cli.pipeline.fingerprint import fingerprint
from cam_cli.pipeline.job import ExplainJob
from cam_cli.training.job import Backbone, TrainJob
from cam_cli.training.job import fingerprint as training_fingerprint

NETWORK = SimpleNamespace(
    name="n",
    args={},
    digest="d",
    preprocessing=Preprocessing((8, 8), (8, 8), "center", "bilinear", (0.5,), (0.5,)),
    classes=ClassNames(),
    scores=None,
)


def engine(job: ExplainJob) -> Any:
    """The part of an engine that a fingerprint reads."""
    layer = SimpleNamespace(name="l")
    return SimpleNamespace(
        task="classification",
        references=References(),
        network=NETWORK,
        precision="fp32",
        backend="torch",
        layer=layer,
        layers=(layer,),
        options=job.explain,
    )


HERE = Path(__file__).parent
#: Options that are folders; the one of masks holds images.
MASKS = (str(HERE / "fixtures" / "0.1.0"), str(HERE / "golden"))
EXPLAIN = ExplainJob(
    sources=("a",),
    model=ModelSpec("n"),
    explain=ExplainOptions(multi_label=True),
    mask=MaskOptions(target_mask=MASKS[0]),
)
TRAIN = TrainJob("data", Backbone("n"))
#: The fingerprint has the results of these in the engine: the network, the precision and the layers.
#: The address of a cluster needs another engine.
#: The number of boxes counts for detectors only (`tests/test_detection.py`).
FOUND = {"model", "precision", "layers", "ray_address", "max_boxes"}
#: Values other than the default, if the type does not suggest one.
OTHERS: dict[str, Any] = {
    "scale": "run",
    "sources": ("b",),
    "levels": Levels.parse("clip"),
    "bands": (1, 2, 3),
    "include": ("*.png",),
    "exclude": ("b",),
    "limit": 1,
    "batch_size": 2,
    "workers": 2,
    "labels": "folder",
    "shard": Shard(1, 2),
    "methods": ("cam",),
    "targets": (Target("label"),),
    "target_mask": MASKS[1],
    "save": ("array",),
    "engine": "ray",
    "lr": 0.1,
    "train_size": 64,
    "freeze": "none",
}


def other(option: Option, value: Any) -> Any:
    """A valid value other than the default."""
    if option.field in OTHERS:
        return OTHERS[option.field]
    if option.flag.choices:
        return next(choice for choice in option.flag.choices if choice != value)
    if isinstance(value, bool):
        return not value
    return value / 2 + 0.125 if isinstance(value, float) else value + 16 if isinstance(value, int) else f"{value}-"


def changed(job: Any, path: tuple[str, ...]) -> Callable[[Any], Any]:
    """The job with another value at that path."""
    if len(path) == 1:
        return lambda value: dataclasses.replace(job, **{path[0]: value})
    inner = changed(getattr(job, path[0]), path[1:])
    return lambda value: dataclasses.replace(job, **{path[0]: inner(value)})


def at(job: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        job = getattr(job, name)
    return job


def options(job: Any) -> list[Option]:
    return [option for option in options_of(type(job)) if not FOUND & set(option.path)]


@pytest.mark.parametrize("option", options(EXPLAIN), ids=lambda option: option.name)
def test_the_fingerprint_of_a_run_has_what_its_results_depend_on(option: Option) -> None:
    job = changed(EXPLAIN, option.path)(other(option, at(EXPLAIN, option.path)))
    differs = fingerprint(job, engine(job), "/") != fingerprint(EXPLAIN, engine(EXPLAIN), "/")
    assert differs == option.flag.results


@pytest.mark.parametrize("option", options(TRAIN), ids=lambda option: option.name)
def test_the_fingerprint_of_a_training_has_what_its_result_depends_on(option: Option) -> None:
    freeze = "backbone" if option.field == "backend" else "none"
    start = dataclasses.replace(TRAIN, freeze=freeze, resume=option.field == "resume")
    job = changed(start, option.path)("backbone" if option.field == "freeze" else other(option, at(start, option.path)))
    empty = SimpleNamespace(train=(), val=(), classes=())
    found, before = (training_fingerprint(one, NETWORK, empty, "fp32") for one in (job, start))  # type: ignore[arg-type]
    differs = found != before
    assert differs == option.flag.results


def test_what_is_drawn_of_feature_maps_is_in_their_fingerprint() -> None:
    assert results(ChannelChoice("index", 3)) == {"sort": "index", "max_channels": 3}
    assert set(results(Rendering())) == {
        *(
            "save",
            "size",
            "colormap",
            "alpha",
            "opacity",
            "min_heat",
            "draw",
            "scale",
            "panel",
            "format",
            "box_threshold",
        ),
    }
