"""Tracker values from a training, while it runs or from its run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ..images.picture import file_state
from ..outputs.captions import Caption, read_captions
from ..outputs.run_folder import RunFolder
from ..run_layout import METRICS, RECORD
from ..training.metrics import EpochMetrics
from ..training.state import BEST, CAMS, CURVES, GRADCAMS
from .explain_log import most_common
from .results import files_of
from .tracker import Chart, Confusion, Files, Gallery, ImageCell, Scalar, Step, Table, Value

AXIS = "epoch"
_SIDE = 512
#: Folders with images per epoch: class activation maps, and feature maps of the first convolution.
_PICTURES = (CAMS, "activations")
#: Folders of the overlays by two methods, by their names in a tracker.
_GALLERIES = {"cam": CAMS, "gradcam": GRADCAMS}
_SUMMARY = (
    *("val_accuracy", "val_loss", "best_epoch", "epochs", "original_accuracy", "price_of_cam"),
    *("train_images", "val_images", "unreadable"),
)
#: Names in a tracker of the metrics of an epoch.
_NUMBERS = {
    "train/loss": "train_loss",
    "train/accuracy": "train_accuracy",
    "val/loss": "val_loss",
    "val/accuracy": "val_accuracy",
    "lr": "lr",
    "epoch_seconds": "seconds",
}


def epoch_values(metrics: EpochMetrics) -> tuple[dict[str, Value], Step]:
    """Metrics of one epoch, with the epoch."""
    return _values(asdict(metrics)), Step(AXIS, metrics.epoch)


def _values(row: Mapping[str, Any]) -> dict[str, Value]:
    return {name: row[field] for name, field in _NUMBERS.items() if field in row}


def epoch_pictures(run: RunFolder, epoch: int) -> dict[str, Value]:
    """Tables of all images of this epoch by kind, and galleries of the overlays with captions."""
    tables: dict[str, Value] = {}
    for kind in _PICTURES:
        folder = f"{kind}/epoch-{epoch:03}"
        names = [name for name in run.files_in(folder) if name.endswith(".png") and run.has_picture(name)]
        rows: list[list[Scalar | ImageCell]] = [
            [ImageCell(run.file(name)), epoch, name.removeprefix(f"{folder}/")] for name in names
        ]
        if rows:
            tables[kind] = Table(("picture", "epoch", "path"), rows)
    captions = read_captions(run, epoch)
    for method, kind in _GALLERIES.items():
        folder = f"{kind}/epoch-{epoch:03}"
        shown = [
            ImageCell(run.file(name), caption=_caption(name.removeprefix(f"{folder}/"), captions))
            for name in run.files_in(folder)
            if name.endswith(".png") and run.has_picture(name)
        ]
        if shown:
            tables[f"previews/{method}"] = Gallery(shown)
    return tables


def _caption(name: str, captions: Mapping[str, Caption]) -> str:
    """Caption of an image: predicted class, probability, and whether it is right."""
    found, image = captions.get(name), name.removesuffix(".png")
    if found is None:
        return image
    return f"{image}: {found['name']} {found['prob']:.1%}, {'right' if found['right'] else 'wrong'}"


def epochs(run: RunFolder) -> Iterator[tuple[dict[str, Value], Step]]:
    """Metrics and images of all epochs of a finished training."""
    for row in run.metrics:
        yield _values(row) | epoch_pictures(run, row["epoch"]), Step(AXIS, row["epoch"])


def training_log(run: RunFolder) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Returns the best network, files, charts and the confusion matrix, the summary, and no sentences."""
    record: Mapping[str, Any] = run.record
    values: dict[str, Value] = {"results": files_of(run, (METRICS, CURVES, RECORD))}
    metadata = {name: record.get(name) for name in ("model", "layer", "classes", *_SUMMARY)}
    if run.has(BEST):
        values["model"] = Files("model", {BEST: run.file(BEST)}, metadata)
    values |= _heads(run) | _misclassified(run)
    classes, counts = run.record.get("classes", []), run.record.get("confusion")
    if counts:
        pairs = {(classes[i], classes[j]): n for i, row in enumerate(counts) for j, n in enumerate(row)}
        values["confusion"] = Confusion(most_common(pairs))
    return values, {name: record.get(name) for name in _SUMMARY}, []


def _heads(run: RunFolder) -> dict[str, Value]:
    """Chart of two lines: accuracy of the new head over the epochs, and of the original head."""
    original = run.record.get("original_accuracy")
    known = [(row["epoch"], row["val_accuracy"]) for row in run.metrics if "val_accuracy" in row]
    if original is None or not known:
        return {}
    xs = [epoch for epoch, _ in known]
    lines = {"GAP head": (xs, [value for _, value in known]), "original head": (xs, [original] * len(xs))}
    return {"heads": Chart("Validation accuracy: GAP head and original head", "epoch", lines)}


def _misclassified(run: RunFolder) -> dict[str, Value]:
    """Table of the most confident mistakes on validation images, with those images that have not changed since."""
    rows: list[list[Scalar | ImageCell]] = []
    for one in run.record.get("misclassified", ()):
        same = file_state(one["image"]) == (one["bytes"], one["mtime_ns"]) and one["bytes"] >= 0
        picture = ImageCell(one["image"], _SIDE) if same else None
        rows.append([picture, one["label"], one["predicted"], one["prob"], one["image"]])
    return {"misclassified": Table(("image", "label", "prediction", "probability", "path"), rows)} if rows else {}
