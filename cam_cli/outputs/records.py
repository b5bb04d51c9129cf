"""Converts rows to flat typed records, for JSON lines, Parquet and Python."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from ..errors import CamxError
from .rows import ImageRow, MapRow, first_map, number_of
from .tables import BOXES, FOUND, MEASURES, VALUE, box_of, columns, map_columns

Record = dict[str, Any]
#: Rows of Parquet in memory at once.
_GROUP = 10_000
#: Types of the columns; all others are texts.
_WHOLE = {"width", "height", "target_index", BOXES, FOUND[0]}
_TRUTH = {"correct"}


def image_record(row: ImageRow, top_k: int) -> Record:
    """Row of an image under the names of `predictions.csv`; None for missing values."""
    record: Record = dict.fromkeys(columns(top_k))
    record |= {name: row.get(name) for name in ("image", "status", "error", "width", "height", "label", "correct")}
    for place, prediction in enumerate(row.get("top", [])[:top_k], 1):
        record |= {f"top{place}_{what}": prediction[what] for what in ("index", "name", "prob")}
    if BOXES in row:
        record[BOXES] = row["boxes"]
    return record | _of_map(first_map(row))


def map_records(row: ImageRow) -> Iterator[Record]:
    """All maps of an image under the names of `maps.csv`."""
    for place, one in enumerate(row.get("maps", ())):
        given: Record = {"image": row["image"], "map": place, **_of_map(one)}
        if part := box_of(one):
            given |= {f"box_{side}": value for side, value in zip(("left", "top", "right", "bottom"), part["box"])}
            given |= {"box_threshold": part["threshold"], "box_threshold_from": part.get("threshold_from")}
        if "found" in one:
            given |= dict(zip(FOUND, (one["found"]["index"], *one["found"]["edges"])))
        yield {name: given.get(name) for name in map_columns(values=VALUE in given, boxes=FOUND[0] in given)}


def _of_map(one: MapRow) -> Record:
    names = ("method", "layer", "target_index", "target_name", "target_prob", "overlay")
    return {
        **{name: one.get(name) for name in names},
        **({VALUE: one["target_value"]} if "target_value" in one else {}),
        **{f"cam_{name}": number_of(one, name) for name in MEASURES},
    }


def as_json_lines(records: Iterable[Record]) -> Iterator[bytes]:
    """One JSON object per line."""
    for record in records:
        yield json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


def as_parquet(records: Iterable[Record], names: list[str]) -> Iterator[bytes]:
    """A Parquet file. Raises `CamxError` without pyarrow."""
    require_pyarrow()
    import pyarrow
    import pyarrow.parquet as parquet

    schema = pyarrow.schema([(name, _type(name)) for name in names])
    sink, group = io.BytesIO(), list[Record]()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for record in records:
            group.append({name: _encodable(value) for name, value in record.items()})
            if len(group) == _GROUP:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                group.clear()
        writer.write_table(pyarrow.Table.from_pylist(group, schema))
    yield sink.getvalue()


def require_pyarrow() -> None:
    """Raises `CamxError` if Parquet cannot be written."""
    if find_spec("pyarrow") is None:
        raise CamxError(
            "`table=parquet` needs pyarrow.", "Install it with `pip install 'camx[parquet]'`.", field="table"
        )


def _type(name: str) -> str:
    if name in _WHOLE or name == "map" or name.endswith("_index"):
        return "int64"
    if name in _TRUTH:
        return "bool"
    measured = name.startswith(("cam_", "box_", "found_")) and not name.endswith("_from")
    numbers = measured or name.endswith(("_prob", "_value"))
    return "float64" if numbers else "string"


def _encodable(value: object) -> object:
    """Replaces undecodable bytes in names."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


#: Writers of records by format; names are those of the columns.
FORMS: Mapping[str, Callable[[Iterable[Record], list[str]], Iterator[bytes]]] = {
    "jsonl": lambda records, names: as_json_lines(records),
    "parquet": as_parquet,
}


def typed_images(
    rows: Iterable[ImageRow], form: str, top_k: int, *, values: bool = False, boxes: bool = False
) -> Iterator[bytes]:
    """The table of images in a form of `FORMS`."""
    names = columns(top_k, values=values, boxes=boxes)
    return FORMS[form](({**dict.fromkeys(names), **image_record(row, top_k)} for row in rows), names)


def typed_maps(rows: Iterable[ImageRow], form: str, *, values: bool = False, boxes: bool = False) -> Iterator[bytes]:
    """The table of maps in a form of `FORMS`."""
    names = map_columns(values=values, boxes=boxes)
    return FORMS[form](({**dict.fromkeys(names), **record} for row in rows for record in map_records(row)), names)
