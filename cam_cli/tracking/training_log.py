"""What is logged of a training, while it goes and from its folder alone."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator

from ..run_layout import METRICS, RECORD
from ..training.metrics import EpochMetrics
from ..training.state import BEST, CAMS, CURVES
from .explain_log import most_common
from .results import ResultsFolder
from .tracker import Confusion, Files, ImageCell, Scalar, Step, Table, Value

AXIS = "epoch"
#: Folders with pictures per epoch: class activation maps of the same images, feature maps of the first convolution.
_PICTURES = (CAMS, "activations")
_SUMMARY = (
    *("val_accuracy", "val_loss", "best_epoch", "epochs", "original_accuracy", "price_of_cam"),
    *("train_images", "val_images", "unreadable"),
)


def epoch_values(row: EpochMetrics) -> tuple[dict[str, Value], Step]:
    """The numbers of one epoch."""
    values: dict[str, Value] = {
        "train/loss": row.train_loss,
        "train/accuracy": row.train_accuracy,
        "val/loss": row.val_loss,
        "val/accuracy": row.val_accuracy,
        "lr": row.lr,
        "epoch_seconds": row.seconds,
    }
    return values, Step(AXIS, row.epoch)


def epoch_pictures(output: str, epoch: int) -> dict[str, Value]:
    """A table for each kind of picture that there is of this epoch."""
    tables: dict[str, Value] = {}
    for kind in _PICTURES:
        folder = os.path.join(output, kind, f"epoch-{epoch:03}")
        names = sorted(
            os.path.relpath(os.path.join(inside, name), folder)
            for inside, _, found in os.walk(folder)
            for name in found
            if name.endswith(".png")
        )
        if names:
            rows: list[list[Scalar | ImageCell]] = [
                [ImageCell(os.path.join(folder, name)), epoch, name] for name in names
            ]
            tables[kind] = Table(("picture", "epoch", "path"), rows)
    return tables


def epochs(results: ResultsFolder) -> Iterator[tuple[dict[str, Value], Step]]:
    """Numbers and pictures of all epochs of a training that is over."""
    with open(results.file(METRICS), newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            numbers = {name: float(value) for name, value in line.items()}
            whole = {"epoch": int(numbers["epoch"]), "best": bool(numbers["best"])}
            values, at = epoch_values(EpochMetrics.from_dict(numbers | whole))
            yield values | epoch_pictures(results.path, at.value), at


def trained(results: ResultsFolder) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """The best network and the files beside it, the matrix of its classes, the summary, and nothing to say."""
    record = results.record
    values: dict[str, Value] = {"results": results.files((METRICS, CURVES, RECORD))}
    metadata = {name: record.get(name) for name in ("model", "layer", "classes", *_SUMMARY)}
    if os.path.isfile(results.file(BEST)):
        values["model"] = Files("model", {BEST: results.file(BEST)}, metadata)
    classes, counts = record.get("classes") or [], record.get("confusion") or []
    if counts:
        pairs = {(classes[i], classes[j]): n for i, row in enumerate(counts) for j, n in enumerate(row)}
        values["confusion"] = Confusion(most_common(pairs))
    return values, {name: record.get(name) for name in _SUMMARY}, []
