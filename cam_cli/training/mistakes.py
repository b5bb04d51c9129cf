"""Lists the validation images that the best network misclassifies."""

from __future__ import annotations

from ..images.picture import file_state
from ..outputs.record import MisclassifiedRow
from .data import Dataset
from .metrics import Scores


def misclassified(scores: Scores | None, data: Dataset) -> list[MisclassifiedRow]:
    """Mistakes with their image files, the most confident first. `data` must have readable images only."""
    if scores is None:
        return []
    rows: list[MisclassifiedRow] = []
    for position, predicted, prob in scores.wrong:
        sample = data.val[position]
        size, time = file_state(sample.source.path)
        rows.append(
            {
                "image": sample.source.path,
                "label": data.classes[sample.label],
                "predicted": data.classes[predicted],
                "prob": round(prob, 6),
                "bytes": size,
                "mtime_ns": time,
            }
        )
    return rows
