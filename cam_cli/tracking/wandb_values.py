"""Converts tracker values to W&B's: tables with images, masks and boxes, panels, artifacts."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .pictures import open_small
from .tracker import Box, Chart, Confusion, Files, Gallery, ImageCell, Scalar, Table, Value

#: Number of threads that prepare images.
_WORKERS = 4


def as_wandb(value: Value) -> Any:
    """Converts a table, gallery, matrix or chart to W&B's type; returns a scalar as it is."""
    if isinstance(value, Table):
        return _table(value)
    if isinstance(value, Gallery):
        return [image for cell in value.images if (image := _cell(cell)) is not None]
    if isinstance(value, Chart):
        return _chart(value)
    return _matrix(value) if isinstance(value, Confusion) else value


def artifact(name: str, value: Files) -> Any:
    """Files as an artifact. W&B reads them in place, without a copy."""
    import wandb

    metadata = {key: entry for key, entry in value.metadata.items() if entry is not None}
    found = wandb.Artifact(name, value.kind, metadata=metadata)
    for inside, path in value.paths.items():
        found.add_file(os.path.abspath(path), inside, policy="immutable")
    return found


def _table(table: Table) -> Any:
    """Converts a table in several threads: most of the time goes into decoding and encoding images."""
    import wandb

    found = wandb.Table(columns=[*table.columns])
    with ThreadPoolExecutor(_WORKERS) as pool:
        for row in pool.map(lambda cells: [_cell(cell) for cell in cells], table.rows):
            found.add_data(*row)
    return found


def _cell(cell: Scalar | ImageCell) -> Any:
    """Converts an image with its masks and boxes; None if the file has become unreadable."""
    if not isinstance(cell, ImageCell):
        return cell
    import wandb

    # W&B copies a path as it is and encodes uint8 pixels. It would take floats for 0 … 255.
    try:
        picture: Any = cell.path if cell.side is None else open_small(cell.path, cell.side)
    # A decoder may raise anything.
    except Exception:
        return None
    names = dict(enumerate(cell.names))
    # W&B has one list of classes for boxes and masks.
    boxes = {
        name: {
            "box_data": [{"position": _sides(box), "class_id": number, "box_caption": box.caption} for box in some],
            "class_labels": {number: name},
        }
        for number, (name, some) in enumerate(cell.boxes.items(), len(names))
        if some
    }
    return wandb.Image(
        picture,
        file_type=None if cell.side is None else "jpg",
        masks={name: {"mask_data": grid, "class_labels": names} for name, grid in cell.masks.items()} or None,
        boxes=boxes or None,
        caption=cell.caption or None,
    )


def _sides(box: Box) -> dict[str, float]:
    return dict(zip(("minX", "minY", "maxX", "maxY"), box.position))


def _chart(chart: Chart) -> Any:
    """W&B's own panels for lines and for bars."""
    import wandb

    if chart.bars:
        table = wandb.Table(columns=[chart.x, "count"], data=[[text, height] for text, height in chart.bars.items()])
        return wandb.plot.bar(table, chart.x, "count", title=chart.title)
    xs, ys = ([list(line[axis]) for line in chart.lines.values()] for axis in (0, 1))
    return wandb.plot.line_series(xs, ys, keys=[*chart.lines], title=chart.title, xname=chart.x)


def _matrix(confusion: Confusion) -> Any:
    """W&B's own panel for confusion matrices, on counts."""
    import wandb

    columns = ["Actual", "Predicted", "nPredictions"]
    rows = [[actual, predicted, count] for (actual, predicted), count in confusion.counts.items()]
    table = wandb.Table(columns=[*columns], data=[*rows])
    fields = {name: name for name in columns}
    return wandb.plot_table("wandb/confusion_matrix/v1", table, fields, {"title": "Confusion matrix"})
