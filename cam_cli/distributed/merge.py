"""Merges the parts of shards into one folder: rows into its journal, then table and totals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import CamxError
from ..images.shard import Shard
from ..outputs.folder import OutputFolder
from ..outputs.journal import Journal
from ..outputs.options import RUN
from ..outputs.record import RunRecord, ShardRecord, Stage
from ..outputs.revisions import changes_since, revision_of
from ..outputs.rows import BLANK, FAILED, OK, ImageRow
from ..outputs.run_folder import RunFolder
from ..outputs.shard_inputs import MergedInputs
from ..outputs.shards import has_rows, lock_when_free, merge_rows, part_record, parts_in, remove_parts
from ..parsers import whole_number
from ..pipeline.commands import table_of
from ..pipeline.finish import finish_folder, write_report
from ..pipeline.progress import Observer, Progress, Silent
from ..pipeline.run_scale import are_drawn
from ..pipeline.task import Table
from ..sentences import counted
from .shard_names import differently_named_shards

#: Draws the maps of a folder on one colour scale per method, and returns the scales.
DrawAll = Callable[[OutputFolder], dict[str, float]]
FINISHED, INCOMPLETE = "finished", "incomplete"
#: Fields of the record of a part that has ended.
_AT_THE_END = frozenset(
    {"images", OK, FAILED, BLANK, "skipped", "seconds", "stages", "plan", "job", "state", "finished"}
)


@dataclass(frozen=True)
class Merged:
    """Record of the whole run, and the state of each unfinished shard."""

    record: RunRecord
    unfinished: dict[Shard, str] = field(default_factory=dict)


def merge(path: str, observer: Observer = Silent(), draw: DrawAll | None = None) -> Merged:
    """Merges the parts of a run in shards into journal, table and record. Removes them when every image has a row.

    No row is lost: rows of shards without a part stay in the table. It may run while shards run, and again later. A
    folder without parts stays as it is. Raises `CamxError` if the folder holds no run of camx or parts of another
    fingerprint, or if another process holds its lock. An unwritable report is only a warning to `observer`.
    draw: draws the maps on one colour scale, if the run asks for that and every image has a row.
    """
    if OutputFolder(path).run_record() is None:
        raise CamxError(f"{path!r} holds no results of camx. Give the `output` folder of the shards.")
    with lock_when_free(path) as folder:
        before = folder.run_record() or RunRecord()
        parts = parts_in(path)
        if not parts:
            return Merged(before)
        if before.get("state") == FINISHED and not any(has_rows(path, shard) for shard in parts):
            # An earlier merge ended after it wrote the record: only folders without rows are left.
            if (before.get("job") or {}).get("report"):
                write_report(folder, lambda: RunFolder.read(path).images, observer)
            remove_parts(path, parts)
            return Merged(before)
        records = {shard: part_record(path, shard) for shard in parts}
        _check_one_run(path, parts)
        running = merge_rows(path, parts)
        begun = {shard: found for shard, found in records.items() if found is not None}
        for change in _mixed(begun, before):
            observer.warned(change)
        folder.open_journal()
        inputs = MergedInputs.read(path, parts[0].count, begun, folder.journal)
        unfinished = {
            **differently_named_shards(before, begun, inputs, folder.journal),
            **_unfinished(records, running, inputs, folder.journal),
        }
        scales = _scales(folder, inputs, draw, observer) if not unfinished else {}
        tally, merged = Progress(total=0), RunRecord()

        def content() -> RunRecord:
            if not unfinished and tally.done != inputs.images:
                raise CamxError(
                    f"The table has {counted(tally.done, 'row')} for {counted(inputs.images, 'image')} of the shards. "
                    "The parts are kept. Run the merge again."
                )
            merged.update(_joined(begun, tally, INCOMPLETE if unfinished else FINISHED, before, inputs))
            if scales:
                merged["colour_scales"] = scales
            merged["revision"] = min(map(revision_of, (before, *begun.values())))
            for one in merged.get("shards", ()):
                shard = Shard.parse(one["shard"])
                if shard in begun:
                    one["rows"] = inputs.rows_of(shard, folder.journal)
            return merged

        finish_folder(
            folder,
            _counted(table_of(before["fingerprint"], before.get("job", {})), tally),
            lambda: inputs,
            content,
            report=any((one.get("job") or {}).get("report") for one in begun.values()),
            observer=observer,
        )
        if not unfinished:
            remove_parts(path, parts)
        return Merged(merged, unfinished)


def _scales(folder: OutputFolder, inputs: MergedInputs, draw: DrawAll | None, observer: Observer) -> dict[str, float]:
    """Colour scales by method of a run with one scale for all maps; empty for any other run. Draws the maps with
    `draw`; without it, warns unless they are drawn."""
    record = folder.run_record() or RunRecord()
    if record["fingerprint"].get("rendering", {}).get("scale") != RUN:
        return {}
    if draw is not None:
        return draw(folder)
    if not are_drawn(folder.journal.rows(inputs)):
        observer.warned(
            "The overlays are not drawn: one colour scale for a run needs all maps and their images. Run the command "
            "of the shards again without its shard: it draws them, and explains no image again."
        )
    return {}


def may_be_complete(path: str, count: int) -> bool:
    """Whether a merge may find all `count` shards finished: each has a finished part, or the folder was finished before
    and some shards ran again."""
    parts = parts_in(path)
    records = [part_record(path, shard) or RunRecord() for shard in parts]
    if any(record.get("state") != FINISHED for record in records):
        return False
    return len(parts) == count or "shards" in (OutputFolder(path).run_record() or RunRecord())


def _counted(table: Table, tally: Progress) -> Table:
    """The table. Counts its rows in `tally` while they are written."""

    def counted(rows: Iterable[ImageRow]) -> Iterator[ImageRow]:
        for row in rows:
            tally.add(row)
            yield row

    return table._replace(render=lambda rows: table.render(counted(rows)))


def _check_one_run(path: str, parts: Sequence[Shard]) -> None:
    counts = sorted({shard.count for shard in parts})
    if len(counts) > 1:
        numbers = " and in ".join(counted(count, "shard") for count in counts)
        raise CamxError(
            f"{path!r} has parts of different runs, in {numbers}. Keep the parts of one run, and merge again."
        )


def _mixed(begun: Mapping[Shard, RunRecord], before: RunRecord) -> list[str]:
    """Warning if parts come from versions of camx that draw or compute differently."""
    revisions = {revision_of(record) for record in begun.values()}
    return changes_since(min(revisions), before["fingerprint"]) if len(revisions) > 1 else []


def _unfinished(
    parts: Mapping[Shard, RunRecord | None], running: Sequence[Shard], inputs: MergedInputs, journal: Journal
) -> dict[Shard, str]:
    """State of each shard that is unfinished, lacks rows, or had another input than the others."""
    states = {}
    begun = {shard: record for shard, record in parts.items() if record is not None}
    most = max(begun.items(), key=lambda one: _images_seen(one[1]), default=None)
    for number in range(1, inputs.count + 1):
        shard = Shard(number, inputs.count)
        record = begun.get(shard, RunRecord())
        state = record.get("state", "without its run.json" if shard in parts else "missing")
        if shard in running:
            states[shard] = "running"
        elif state != FINISHED:
            # A record with "running" but without a lock belongs to a killed process.
            states[shard] = "killed" if state == "running" else state
        elif lost := inputs.without_row(shard, record.get("images", 0), journal):
            states[shard] = f"finished, but without {lost} of {counted(record.get('images', lost), 'row')}"
        elif most and "run_inputs" in record and record["run_inputs"] != most[1].get("run_inputs"):
            found, wanted = _images_seen(record), _images_seen(most[1])
            others = f"{wanted}" if found != wanted else "as many others"
            states[shard] = (
                f"finished for an input of {counted(found, 'image')}, where shard {most[0]} had {others} "
                "(give both the same sources)"
            )
    if set(states.values()) == {"missing"} and _all_there(begun, inputs):
        return {}
    return states


def _images_seen(record: RunRecord) -> int:
    """Number of images of all shards in the record of a part; 0 if missing."""
    inputs = record.get("run_inputs")
    return inputs["images"] if inputs else 0


def _all_there(begun: Mapping[Shard, RunRecord], inputs: MergedInputs) -> bool:
    """Whether the merged images are the whole input, according to the records of all shards that have begun."""
    tally = inputs.tally()
    return all(record.get("run_inputs") == tally for record in begun.values())


def _joined(
    begun: Mapping[Shard, RunRecord], tally: Progress, state: str, before: RunRecord, inputs: MergedInputs
) -> RunRecord:
    """One record from those of the parts. `seconds` is that of the longest part, as if all had begun together."""
    ended = {shard: record for shard, record in begun.items() if record.keys() >= _AT_THE_END}
    if not ended:
        return {"fingerprint": before["fingerprint"], "state": "running"}
    records = list(ended.values())
    longest = max(records, key=_seconds)
    seconds, done_now = _seconds(longest), sum(map(_done_now, records))
    images, done = inputs.images, sum(tally.counts.values())
    joined: RunRecord = {
        **longest,
        "state": state,
        "images": images,
        "ok": tally.counts[OK],
        "failed": tally.counts[FAILED],
        "blank": tally.counts[BLANK],
        "skipped": max(0, done - done_now),
        "labelled": tally.labelled,
        "accuracy": round(tally.correct / tally.labelled, 6) if tally.labelled else None,
        "images_per_second": round(done_now / seconds, 3) if seconds else 0.0,
        "stages": _stages(records, done_now),
        "plan": {**longest["plan"], "images": images},
        "job": {**longest["job"], "shard": None},
        "shards": _shards(before, ended),
        "fingerprint": before["fingerprint"],
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    joined.pop("run_inputs", None)
    return joined


def _shards(before: RunRecord, ended: Mapping[Shard, RunRecord]) -> list[ShardRecord]:
    """Shards that have ended, and earlier ones that have not run again."""
    count = next(iter(ended)).count

    def place(name: str) -> int:
        """Number of a shard; 0 for a text that is no shard of this count, which a damaged record may hold."""
        number, _, of = name.partition("/")
        return whole_number(number) or 0 if of == str(count) else 0

    entries = {one["shard"]: one for one in before.get("shards", ()) if place(one.get("shard", ""))}
    entries |= {str(shard): _of_shard(shard, record) for shard, record in ended.items()}
    return [entries[name] for name in sorted(entries, key=place)]


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
