"""Reads CSV tables of users with a header: comma, semicolon or tab as separator."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from ..errors import CamxError

#: Beginnings of files of other formats, decoded as UTF-8 with `surrogateescape`, with their names and advice.
_OTHERS = (
    ("\udcff\udcfe", "a text in UTF-16", "Save it as CSV in UTF-8"),
    ("\udcfe\udcff", "a text in UTF-16", "Save it as CSV in UTF-8"),
    ("PK\x03\x04", "a spreadsheet (.xlsx) or another archive", "Save the sheet as CSV in UTF-8"),
    ("PAR1", "a Parquet file", "Write it as CSV"),
)


class Row(dict[str, str]):
    """A row of a table: text by column. line: number of its first line in the file, from 1."""

    __slots__ = ("line",)

    def __init__(self, cells: Mapping[str, str], line: int) -> None:
        super().__init__(cells)
        self.line = line


def read_table(
    lines: Iterable[str], name: str, *, required: str, advice: str = "Add a header line `image,label`."
) -> Iterator[Row]:
    """Rows of a table with column names in lower case.

    The separator is a tab in `.tsv` files, else the one with which the header has the `required` column. Raises
    `CamxError` with `advice` for a file without that column, for text that is not UTF-8 (except in the `required`
    column, because file names may hold any bytes), and for a repeated column name.
    """
    rest = iter(lines)
    first = next(rest, "")
    for start, what, instead in _OTHERS:
        if first.startswith(start):
            raise CamxError(f"{name!r} is {what}, not a table.", f"{instead}.")
    reader = csv.reader(chain([first], rest), delimiter=_separator(first, name, required))
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        if required not in header:
            shown = " ".join(", ".join(header).split())[:200] or "empty"
            raise CamxError(f"{name!r} has no column {required!r} (its first line: {shown}). {advice}")
        if twice := next((column for column in header if column and header.count(column) > 1), ""):
            raise CamxError(f"{name!r} has several columns {twice!r}. Give each a name of its own.")
        line = reader.line_num + 1
        for row in reader:
            if any(cell.strip() for cell in row):
                cells = [*row, *[""] * (len(header) - len(row))]
                if any(not _is_text(cell) for column, cell in zip(header, cells) if column != required):
                    raise CamxError(
                        f"{name!r} is no text in UTF-8 (line {reader.line_num}).", "Save it as CSV in UTF-8."
                    )
                yield Row({c: cell if c == required else cell.strip() for c, cell in zip(header, cells)}, line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise CamxError(f"{name!r} is no valid CSV (line {reader.line_num}: {error}). Check its quotes.") from error


def _is_text(cell: str) -> bool:
    """Whether a cell is valid UTF-8, without surrogates for other bytes."""
    return cell.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in cell)


def _separator(first: str, name: str, required: str) -> str:
    if name.lower().endswith(".tsv"):
        return "\t"
    columns = {one: [column.strip(' "\r\n').lower() for column in first.split(one)] for one in ",;\t"}
    return next((one for one, names in columns.items() if required in names and len(names) > 1), ",")
