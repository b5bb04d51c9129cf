"""The task of `camx explain`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial

from ..cams.engine.batches import find_device
from ..cams.engine.device_overlays import OverlayRenderer
from ..cams.engine.explainer import Explainer
from ..cams.methods.registry import METHODS
from ..cams.tracing.replay import StepCallback
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
        build=lambda images, on_step: decoding_as(job, _built(job, images, on_step)),
        fingerprint=partial(fingerprint, job),
        batch=Explainer.explain,
        work=partial(_work, job),
        relabel=_relabelled,
        warnings=_unknown_labels,
        table_name=TABLE,
        table=lambda rows: table(rows, job.explain.top_k),
    )


def _built(job: Job, images: int, on_step: StepCallback | None) -> Explainer:
    network, options = load_model(job.model), job.explain
    # Compiled code holds for a number of threads: that of a lane.
    threads = as_in_a_lane(find_device(options.device)) if options.compile else contextlib.nullcontext()
    with threads:
        return Explainer(network, options, overlays=_overlays_on_device(job, images), on_step=on_step)


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
    """What is done with each image; rows carry the position among all `sources`."""
    rendering, thumbnail = job.rendering, _thumbnail_side(job, len(sources))
    overlays = (explainer.most_maps or 0) if explainer.overlays else 0
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


def _overlays_on_device(job: Job, images: int) -> OverlayRenderer | None:
    """Draws the overlays of a run over so many images on the device; None where workers draw them.

    Workers draw maps of two signs or on the pixels of the input, and where another file needs the whole picture. They
    also draw where the scores of an image decide how many overlays it gets.
    """
    rendering, options = job.rendering, job.explain
    files = set(rendering.save)
    alone = "overlay" in files and files <= {"overlay", "array"}
    ordinary = options.evidence != "both" and all(METHODS[name].grid != "pixels" for name in options.methods)
    if job.decode != "device" or not alone or not ordinary or options.multi_label:
        return None
    return OverlayRenderer(palette(rendering.colormap), rendering.alpha, _thumbnail_side(job, images))


def _thumbnail_side(job: Job, images: int) -> int:
    """Long side in pixels of the thumbnails for the report; 0 without a report."""
    return thumbnail_side(images) if job.report else 0


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
