"""The task of `camx explain`: overlays, top-k classes and measures of class activation maps."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..cams.engine.backend_choice import depends_on_threads
from ..cams.engine.device_overlays import OverlayRenderer
from ..cams.engine.devices import find_device
from ..cams.engine.explainer import Explainer
from ..cams.engine.options import ExplainOptions
from ..cams.engine.targets import PAIRED
from ..cams.methods.registry import METHODS
from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..evaluation.calibration import Calibration
from ..images.labels import FOLDER, with_labels, with_table_attributes
from ..images.listing import Inputs, Source, find
from ..images.picture import Decodable, load
from ..images.places import DEMO
from ..images.target_masks import MaskReading, with_masks
from ..maps.colormaps import palette
from ..maps.explanation import Explanation
from ..models.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, VALUES
from ..outputs.options import RUN, SPOTS
from ..outputs.records import FORMS, typed_images, typed_maps
from ..outputs.renderer import ExplanationRenderer
from ..outputs.rows import ImageRow
from ..outputs.tables import map_table, table
from ..report import thumbnail_side
from ..run_layout import MAPS_TABLE, TABLE
from .classes import check_numbered_folders, network_with_classes, unknown_labels
from .earlier import named_as_before
from .fingerprint import fingerprint
from .frames import with_frames
from .job import ExplainJob, decoding_as
from .lanes import as_in_a_lane
from .progress import Observer, Plan, Silent, Summary
from .relabel import Naming, best_known, relabelled, renamed
from .resume import has_labels_of, with_attributes
from .session import plan_task, run_task
from .stop import Stop
from .task import Table, Work


def plan(job: ExplainJob) -> Plan:
    """The plan of `run`. Writes nothing."""
    return plan_task(ExplainTask.of(job))


def run(job: ExplainJob, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Explains every image of the job into its output folder; see `run_task`."""
    return run_task(ExplainTask.of(job), observer, stop or Stop())


def explain_table(top_k: int, forms: Sequence[str] = (), task: str = CLASSIFICATION) -> Table:
    """Table `predictions.csv` with `top_k` classes per image, `maps.csv`, and both in other formats.

    task: meaning of the network's outputs; values and boxes get additional columns.
    """
    values, boxes = task in VALUES, task == DETECTION
    of_maps = partial(map_table, values=values, boxes=boxes)
    more: list[tuple[str, Callable[[Iterable[ImageRow]], Iterator[bytes]]]] = [(MAPS_TABLE, of_maps)]
    for form in (one for one in forms if one in FORMS):
        more.append((f"predictions.{form}", partial(typed_images, form=form, top_k=top_k, values=values, boxes=boxes)))
        more.append((f"maps.{form}", partial(typed_maps, form=form, values=values, boxes=boxes)))
    return Table(TABLE, partial(table, top_k=top_k, values=values, boxes=boxes), tuple(more))


@dataclass(frozen=True)
class ExplainTask:
    """Explains each image of a job."""

    job: ExplainJob

    @classmethod
    def of(cls, job: ExplainJob) -> ExplainTask:
        """Task of a job. If `box_threshold` is a run folder, reads the thresholds that `camx evaluate` chose for it.

        Raises `CamxError` if that folder has none.
        """
        rendering = job.rendering
        if isinstance(rendering.box_threshold, str):
            found = Calibration.read(rendering.box_threshold, job.explain.methods).thresholds
            job = dataclasses.replace(job, rendering=dataclasses.replace(rendering, evaluated=tuple(found.items())))
        return cls(job)

    @property
    def device(self) -> str:
        return self.job.explain.device

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return explain_table(self.job.explain.top_k, self.job.table, fingerprint.get("task", CLASSIFICATION))

    def with_job(self, job: ExplainJob) -> ExplainTask:
        return ExplainTask(job)

    def on_device(self, device: str) -> ExplainTask:
        options = dataclasses.replace(self.job.explain, device=device)
        return ExplainTask(dataclasses.replace(self.job, explain=options))

    def find(self) -> Inputs:
        job = self.job
        listed = any(source == DEMO or source.startswith("@") for source in job.sources)
        if any(target.kind == "label" for target in job.explain.targets) and not (job.labels or listed):
            raise CamxError(
                "`targets=label` needs labels. Give `labels=folder`, `labels=FILE.csv`, or an @list.csv with them."
            )
        inputs = named_as_before(with_frames(find(job.sources, job.filters, limit=job.limit), job), job)
        if job.mask.target_mask and job.decode == "device":
            raise CamxError("`target_mask` does not work with `decode=device`.", "Leave `decode` out.", field="decode")
        for target in job.explain.targets:
            if target.paired:
                # The engine reads the table again. These notes name its unmatched rows before the engine is built.
                inputs = dataclasses.replace(inputs, notes=with_table_attributes(inputs, target.name, PAIRED).notes)
        if job.mask.target_mask:
            inputs = with_masks(inputs, job.mask.target_mask)
        return with_labels(inputs, job.labels, job.filters.columns) if job.labels else inputs

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> Explainer:
        network, options = network_with_classes(self.job), self.job.explain
        if network.methods and self.job.origins.get("method", "default") == "default" and _has_default_methods(options):
            options = dataclasses.replace(options, methods=network.methods)
        spots = SPOTS in self.job.rendering.save
        # Compiled code is specific to a number of threads: that of a lane.
        fixed = depends_on_threads(options.backend, images)
        with as_in_a_lane(find_device(options.device)) if fixed else contextlib.nullcontext():
            engine = Explainer(
                network,
                options,
                overlays=self._device_overlays(images),
                spots=spots,
                on_step=on_step,
                images=images,
            )
        if self.job.mask.target_mask and engine.task != SEGMENTATION:
            raise CamxError(
                f"`target_mask` works only with a segmentation network, and {network.name} has the task {engine.task}.",
                "Leave it out.",
                field="target_mask",
            )
        check_numbered_folders(self.job, engine)
        if self.job.rendering.scale == RUN and engine.task in (SEGMENTATION, DETECTION):
            raise CamxError(
                "`scale=run` draws overlays after the last map, without the outlines and boxes of this network.",
                "Give a number, or leave it out.",
                field="scale",
            )
        return decoding_as(self.job, engine)

    def fingerprint(self, engine: Explainer, base: str) -> dict[str, Any]:
        return fingerprint(self.job, engine, base)

    def run_batch(self, engine: Explainer, images: Sequence[Decodable]) -> Sequence[Explanation]:
        return engine.explain(images)

    def work(self, engine: Explainer, images: int) -> Work[Explanation]:
        job, thumbnail = self.job, self._thumbnail_side(images)
        overlays = (engine.most_maps or 0) if engine.overlays else 0
        return Work(
            load=partial(
                load,
                preprocessing=engine.network.preprocessing,
                canvas=job.rendering.size,
                max_pixels=job.max_pixels,
                pixels=job.pixels,
                decoding=job.decode,
                # A thumbnail is no larger than an overlay.
                copies=overlays + bool(thumbnail) if overlays else 1,
                masks=self._masks(engine),
            ),
            render=ExplanationRenderer(job.rendering, thumbnail).render,
        )

    def _masks(self, engine: Explainer) -> MaskReading | None:
        mask = self.job.mask
        return MaskReading(mask.target_mask, mask.mask_levels, engine.class_count) if mask.target_mask else None

    def naming(self, engine: Explainer) -> Naming:
        return Naming.of(engine)

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """None if a label or class name selected the map and now means another class."""
        assert naming is not None
        options, now = self.job.explain, renamed(row, naming.classes)
        if now is not row and not {*naming.target_classes} <= {one.get("target_index") for one in row.get("maps", ())}:
            return None
        meanings = naming.classes_of(source)
        if has_labels_of(row, source) and best_known(row, meanings) == row.get("label_index"):
            return with_attributes(now, source)
        if any(target.kind == "label" for target in options.targets):
            return None
        return relabelled(now, source, meanings, options.threshold if options.multi_label else None)

    def warnings(self, engine: Explainer, inputs: Inputs) -> Iterable[str]:
        unknown = unknown_labels(engine, inputs, by_folder=self.job.labels == FOLDER)
        return (*inputs.notes, *self._foreign_thresholds(engine), *unknown)

    def _foreign_thresholds(self, engine: Explainer) -> Iterable[str]:
        """Warns if box thresholds were chosen for maps of another network or layer."""
        folder = self.job.rendering.box_threshold
        if not isinstance(folder, str):
            return
        try:
            found = Calibration.read(folder, self.job.explain.methods)
        except CamxError:
            # On another machine of a cluster the folder may be missing; the job holds the thresholds.
            return
        if (found.weights, found.layer) != (engine.network.digest, engine.layer.name):
            yield (
                f"The box threshold from {folder!r} was chosen for maps of another network or layer "
                f"({found.layer}), so it may not suit these. Run `camx evaluate` on this run."
            )

    def cost(self, engine: Explainer, images: int) -> str:
        """Returns "": the table of methods has their cost."""
        return ""

    def _device_overlays(self, images: int) -> OverlayRenderer | None:
        """Renderer of overlays on the device for a run over `images` images; None if workers draw.

        Workers draw two-sided maps, maps with one value per pixel, and all files if one of them needs the whole image
        or if the scores of an image determine its number of overlays.
        """
        rendering, options = self.job.rendering, self.job.explain
        files = set(rendering.save)
        alone = "overlay" in files and files <= {"overlay", "array", SPOTS}
        ordinary = options.evidence != "both" and all(METHODS[name].grid != "pixels" for name in options.methods)
        if self.job.decode != "device" or not (alone and ordinary and rendering.plain) or options.multi_label:
            return None
        return OverlayRenderer(palette(rendering.colormap), rendering.alpha, self._thumbnail_side(images))

    def _thumbnail_side(self, images: int) -> int:
        """Long side of the thumbnails for the report in pixels; 0 without a report."""
        return thumbnail_side(images) if self.job.report else 0


def _has_default_methods(options: ExplainOptions) -> bool:
    """Whether the methods are the default ones."""
    return options.methods == ExplainOptions().methods
