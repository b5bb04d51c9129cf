"""Groups of a run for its page: the group of each image, and the results of an audit."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..audit.attributes import Attributes
from ..audit.audit import audit_table
from ..audit.groups import Attribute
from ..audit.image_table import TableBuilder
from ..audit.metrics import METRICS
from ..audit.options import AuditOptions
from ..audit.records import AuditResult, Value
from ..errors import CamxError, UnreadableImage
from ..maps.sketch import decode
from ..outputs.rows import ImageRow, first_map
from ..outputs.run_folder import RunFolder
from ..run_layout import AUDIT
from .classes import areas

SUMMARY = f"{AUDIT}/summary.json"
#: Levels of a cell of a map that is stored until its group is known.
_STEPS = 127


def audit_options(run: RunFolder) -> AuditOptions | None:
    """Options of the last audit of a run; None without one. Raises `CamxError` if they are unreadable."""
    if not run.has(SUMMARY):
        return None
    known = {field.name for field in fields(AuditOptions)}
    try:
        given = json.loads(run.read_file(SUMMARY))["options"].items()
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given if name in known
        }
        return AuditOptions(**options)
    except (CamxError, UnreadableImage, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CamxError(
            f"{run.file(SUMMARY)!r} is no summary of an audit: {str(error).rstrip('.')}. Run `camx audit` again."
        ) from error


@dataclass
class GroupData:
    """Collects rows. options: of the audit of the run, if any."""

    run: RunFolder
    options: AuditOptions | None
    table: TableBuilder = field(init=False)
    _maps: list[np.ndarray | None] = field(default_factory=list)
    _signed: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = TableBuilder(self.run.record.get("classes", ()))

    def add(self, row: ImageRow) -> None:
        """Adds the columns of a row, and its first map for the mean maps of its groups."""
        self.table.add(row)
        if self.options is None:
            return
        sketch = first_map(row).get("sketch")
        cells = decode(sketch) if sketch else None
        placed = None if cells is None else areas(cells.shape[0]) @ cells @ areas(cells.shape[1]).T
        self._maps.append(None if placed is None else np.rint(placed * _STEPS).astype(np.int8))
        self._signed.append(bool(sketch and sketch.get("signed")))

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Attributes for the filters of the page, and parts by name. Raises `CamxError` as the audit does."""
        table = self.table.table()
        if not len(table):
            return {}, {}
        if self.options is None:
            attributes = [one for one in Attributes(table, ()).defaults()[0] if one.kind == "column"]
            return self._filters(attributes)
        result = audit_table(self.run, table, self.options)
        known, parts = self._filters(result.attributes)
        return {**known, "audited": True}, {**parts, "groups": self._groups(result)}

    def _filters(self, attributes: Sequence[Attribute]) -> tuple[dict[str, Any], dict[str, Any]]:
        if not attributes:
            return {}, {}
        named = [{"name": one.name, "kind": one.kind, "groups": list(one.groups)} for one in attributes]
        return {"attributes": named}, {"attributes": [_codes(one) for one in attributes]}

    def _groups(self, result: AuditResult) -> dict[str, Any]:
        return {
            "confidence": result.confidence,
            "metrics": [[name, METRICS[name].share, METRICS[name].summary] for name in result.metrics],
            "overall": _values(result.overall),
            "rows": [
                {
                    "by": row.by,
                    "group": row.group,
                    "images": row.images,
                    "small": row.small,
                    "values": _values(row.values),
                }
                for row in result.groups
            ],
            "gates": [gate.as_dict() for gate in result.gates],
            "notes": list(result.notes),
            "left": dict(result.left_out),
            "means": {one.name: list(self._means(one)) for one in result.attributes},
        }

    def _means(self, attribute: Attribute) -> Iterator[list[Any] | None]:
        """Mean map of each group in the format of `MeanMaps.as_part`; signed if all maps are."""
        signed = any(self._signed) and all(sign for sign, map_ in zip(self._signed, self._maps) if map_ is not None)
        members: list[list[np.ndarray]] = [[] for _ in attribute.groups]
        for group, map_ in zip(attribute.codes.tolist(), self._maps):
            if group >= 0 and map_ is not None:
                members[group].append(map_)
        for maps in members:
            if not maps:
                yield None
                continue
            stacked = np.stack(maps)
            mean = (stacked if signed else np.abs(stacked)).mean(0) / _STEPS
            peak = float(mean.flat[np.abs(mean).argmax()])
            share = mean / abs(peak) if peak else mean
            levels = np.rint(share * 127 + 128 if signed else share * 255).astype(np.uint8)
            yield [len(maps), round(peak, 4), base64.b64encode(levels.tobytes()).decode("ascii"), signed]


def _codes(attribute: Attribute) -> str:
    """Group of each image in two bytes, little-endian; 65535 for none."""
    codes = np.where(attribute.codes < 0, 0xFFFF, np.minimum(attribute.codes, 0xFFFE)).astype("<u2")
    return base64.b64encode(codes.tobytes()).decode("ascii")


def _values(values: Mapping[str, Value]) -> dict[str, list[float | None]]:
    return {
        name: [*(_finite(number) for number in (value.value, value.low, value.high)), value.total]
        for name, value in values.items()
    }


def _finite(number: float) -> float | None:
    return float(f"{number:.5g}") if np.isfinite(number) else None
