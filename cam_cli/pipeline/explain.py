"""The task of `camx explain`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..cams.engine.batches import find_device
from ..cams.engine.device_overlays import OverlayRenderer
from ..cams.engine.explainer import Explainer
from ..cams.methods.registry import METHODS
from ..errors import CamxError
from ..images.labels import labelled
from ..images.listing import Inputs, Source, find
from ..images.picture import load
from ..maps.colormaps import palette
from ..maps.explanation import Explanation
from ..models.catalog import load_model
from ..outputs.journal import Row
from ..outputs.renderer import ExplanationRenderer
from ..outputs.tables import table
from ..report import thumbnail_side
from ..run_layout import TABLE
from .job import Job, decoding_as, fingerprint
from .lanes import as_in_a_lane
from .loop import Work
from .progress import Observer, Plan, Silent, Summary
from .session import Task, plan_task, run_task
from .stop import Stop


def plan(job: Job) -> Plan:
    """What `run` would do; writes nothing."""
    return plan_task(task(job), job)


def run(job: Job, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Explain every image of the job into its output folder; see `session.carried_out`."""
    return run_task(task(job), job, observer, stop or Stop())


def task(job: Job) -> Task[Explainer, Explanation]:
    """What `camx explain` is for a run."""
    return Task(
        gather=lambda: _gathered(job),
        build=lambda: decoding_as(job, _built(job)),
        fingerprint=partial(fingerprint, job),
        batch=Explainer.explain,
        work=partial(_work, job),
        relabel=_relabelled,
        warnings=_unknown_labels,
        table_name=TABLE,
        table=lambda rows: table(rows, job.explain.top_k),
        listen=_listen,
    )


def _built(job: Job) -> Explainer:
    network = load_model(job.model)
    if not job.explain.compile:
        return Explainer(network, job.explain)
    with as_in_a_lane(find_device(job.explain.device)):
        return Explainer(network, job.explain)


def _listen(explainer: Explainer, told: Callable[[int, int], None]) -> None:
    explainer.told = told


def _gathered(job: Job) -> Inputs:
    """The images of a job with their labels."""
    listed = any(source.startswith("@") for source in job.sources)
    if any(target.kind == "label" for target in job.explain.targets) and not (job.labels or listed):
        raise CamxError(
            "--target label needs labels. Give --labels folder, --labels FILE.csv, or an @list.csv with them."
        )
    inputs = find(job.sources, job.filters, limit=job.limit)
    return dataclasses.replace(inputs, sources=labelled(inputs.sources, job.labels)) if job.labels else inputs


def _work(job: Job, explainer: Explainer, sources: Sequence[Source]) -> Work[Explanation]:
    """What is done with each image; rows carry the position among all `sources`. The explainer gets its painter."""
    rendering, thumbnail = job.rendering, thumbnail_side(len(sources)) if job.report else 0
    overlays = _painted(job, explainer)
    explainer.painter = OverlayRenderer(palette(rendering.colormap), rendering.alpha, thumbnail) if overlays else None
    return Work(
        load=partial(
            load,
            preprocessing=explainer.network.preprocessing,
            canvas=rendering.size,
            max_pixels=job.max_pixels,
            decoding=job.decode,
            # A thumbnail is no larger than an overlay.
            copies=overlays + bool(thumbnail) if overlays else 1,
        ),
        render=ExplanationRenderer(rendering, thumbnail).of,
        indices={source.key: index for index, source in enumerate(sources)},
    )


def _painted(job: Job, explainer: Explainer) -> int:
    """How many overlays the device makes of a picture, at most; 0 where workers draw.

    They do for maps of two signs or on the pixels of the input, where another file is made of the whole picture, and
    where nobody knows how many overlays there will be.
    """
    files, options = set(job.rendering.save), job.explain
    alone = "overlay" in files and files <= {"overlay", "array"}
    ordinary = options.evidence != "both" and all(METHODS[name].grid != "pixels" for name in options.methods)
    return explainer.most_maps or 0 if job.decode == "device" and alone and ordinary else 0


def _relabelled(explainer: Explainer, row: Row, source: Source) -> Row | None:
    """A row with the label that its source has now; None where the label chose the map."""
    options = explainer.options
    if options.multi_label or any(target.kind == "label" for target in options.targets):
        return None
    label = explainer.label_of(source)
    relabelled: Row = {**row, "label": source.label}
    relabelled.pop("correct", None)
    relabelled.pop("label_index", None)
    if label is not None:
        relabelled |= {"correct": row["top"][0]["index"] == label, "label_index": label}
    return relabelled


def _unknown_labels(explainer: Explainer, inputs: Inputs) -> Iterator[str]:
    labels = {source.label: source for source in inputs.sources if source.label}
    unknown = sorted(label for label, source in labels.items() if explainer.label_of(source) is None)
    if unknown:
        shown = ", ".join(unknown[:3]) + (" …" if len(unknown) > 3 else "")
        yield f"{len(unknown)} labels are no class of the model ({shown}); `correct` stays empty for them."
