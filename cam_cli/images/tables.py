"""Tables that users give: CSV or tab-separated, with a header."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from ..errors import CamxError


def read_table(lines: Iterable[str], name: str, *, required: str) -> Iterator[dict[str, str]]:
    """Rows of a CSV (or tab-separated, by the name `.tsv`) with a header; column names in lower case."""
    reader = csv.reader(lines, delimiter="\t" if name.lower().endswith(".tsv") else ",")
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        if required not in header:
            raise CamxError(
                f"{name!r} has no column {required!r} (its first line: {', '.join(header) or 'empty'}). "
                "Add a header line `image,label`."
            )
        for row in reader:
            if any(cell.strip() for cell in row):
                cells = [*row, *[""] * (len(header) - len(row))]
                yield {c: cell if c == "image" else cell.strip() for c, cell in zip(header, cells)}
    except csv.Error as error:
        raise CamxError(f"{name!r} is no valid CSV (line {reader.line_num}: {error}). Check its quotes.") from error
