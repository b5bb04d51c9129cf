"""Parts become one folder: rows into its journal, then the table and the totals that derive from it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import CamxError
from ..images.shard import Shard
from ..outputs.folder import OutputFolder
from ..outputs.journal import BLANK, FAILED, OK, Row
from ..outputs.record import Fingerprint, RunRecord, ShardRecord, Stage
from ..outputs.shards import in_input_order, lock_when_free, merge_rows, part_record, parts_in, remove_parts
from ..pipeline.commands import table_of
from ..pipeline.finish import finish_folder
from ..pipeline.progress import Observer, Progress, Silent
from ..pipeline.task import Table

FINISHED, INCOMPLETE = "finished", "incomplete"
#: Fields of the record of a part that has come to an end.
_AT_THE_END = frozenset(
    {"images", OK, FAILED, BLANK, "skipped", "seconds", "stages", "plan", "job", "state", "finished"}
)


@dataclass(frozen=True)
class Merged:
    """The record of the whole run, and for each shard that is not finished how it stands."""

    record: RunRecord
    unfinished: dict[Shard, str] = field(default_factory=dict)


def merge(path: str, observer: Observer = Silent()) -> Merged:
    """Join what the shards have done: journal, table, record. Where all are finished their parts are removed.

    May be called while shards run and again afterwards; one that is whole already is left as it is. Raises
    `CamxError` if the folder holds no run of camx, parts of another fingerprint, or is in use as a whole. What goes
    wrong with the report is a warning for `observer`.
    """
    if OutputFolder(path).run_record() is None:
        raise CamxError(f"{path!r} holds no results of camx. Give the output folder of the shards.")
    with lock_when_free(path) as folder:
        record = folder.run_record() or RunRecord()
        parts = parts_in(path)
        if not parts:
            return Merged(record)
        records = {shard: part_record(path, shard) for shard in parts}
        _check_one_run(path, parts)
        running = merge_rows(path, parts)
        begun = {shard: found for shard, found in records.items() if found is not None}
        unfinished = _unfinished(parts[0].count, begun, running)
        folder.open_journal()
        tally, fingerprint, merged = Progress(total=0), record["fingerprint"], RunRecord()

        def content() -> RunRecord:
            merged.update(_joined(begun, tally, INCOMPLETE if unfinished else FINISHED, fingerprint))
            return merged

        finish_folder(
            folder,
            _counted(table_of(fingerprint), tally),
            lambda: in_input_order(path, list(begun)),
            content,
            report=any((one.get("job") or {}).get("report") for one in begun.values()),
            observer=observer,
        )
        if not unfinished:
            remove_parts(path, parts)
        return Merged(merged, unfinished)


def _counted(table: Table, tally: Progress) -> Table:
    """The table; its rows are counted in `tally` while it is written."""

    def counted(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            tally.add(row)
            yield row

    return Table(table.name, lambda rows: table.render(counted(rows)))


def _check_one_run(path: str, parts: Sequence[Shard]) -> None:
    counts = sorted({shard.count for shard in parts})
    if len(counts) > 1:
        numbers = " and in ".join(map(str, counts))
        raise CamxError(f"{path!r} has parts of runs in {numbers} shards. Keep those of one run, and merge again.")


def _unfinished(count: int, begun: dict[Shard, RunRecord], running: Sequence[Shard]) -> dict[Shard, str]:
    """How each shard stands that is not finished."""
    states = {}
    for number in range(1, count + 1):
        shard = Shard(number, count)
        state = begun[shard].get("state") if shard in begun else "missing"
        if shard in running:
            states[shard] = "running"
        elif state != FINISHED:
            # A record that says "running" without a lock is that of a process that was killed.
            states[shard] = "killed" if state == "running" else str(state)
    return states


def _joined(begun: dict[Shard, RunRecord], tally: Progress, state: str, fingerprint: Fingerprint) -> RunRecord:
    """One record from those of the parts. `seconds` is that of the longest, as if all had begun together."""
    ended = {shard: record for shard, record in begun.items() if record.keys() >= _AT_THE_END}
    if not ended:
        return {"fingerprint": fingerprint, "state": "running"}
    records = list(ended.values())
    longest = max(records, key=_seconds)
    seconds, done_now = _seconds(longest), sum(map(_done_now, records))
    images = sum(record["images"] for record in records)
    return {
        **longest,
        "state": state,
        "images": images,
        "ok": tally.counts[OK],
        "failed": tally.counts[FAILED],
        "blank": tally.counts[BLANK],
        "skipped": sum(record["skipped"] for record in records),
        "labelled": tally.labelled,
        "accuracy": round(tally.correct / tally.labelled, 6) if tally.labelled else None,
        "images_per_second": round(done_now / seconds, 3) if seconds else 0.0,
        "stages": _stages(records, done_now),
        "plan": {**longest["plan"], "images": images},
        "job": {**longest["job"], "shard": None},
        "shards": [_of_shard(shard, record) for shard, record in ended.items()],
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _seconds(record: RunRecord) -> float:
    seconds = record["seconds"]
    return sum(seconds.values()) if isinstance(seconds, dict) else seconds


def _done_now(record: RunRecord) -> int:
    return record["ok"] + record["failed"] + record["blank"] - record["skipped"]


def _of_shard(shard: Shard, record: RunRecord) -> ShardRecord:
    return {
        "shard": str(shard),
        "state": record["state"],
        "images": record["images"],
        "seconds": _seconds(record),
        "finished": record["finished"],
    }


def _stages(records: Iterable[RunRecord], done: int) -> dict[str, Stage]:
    seconds: dict[str, float] = {}
    for record in records:
        for name, stage in record["stages"].items():
            seconds[name] = seconds.get(name, 0.0) + stage["seconds"]
    return {
        n: {"seconds": round(s, 3), "images_per_second": round(done / s, 2) if s else None} for n, s in seconds.items()
    }
