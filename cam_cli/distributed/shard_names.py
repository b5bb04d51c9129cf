"""Shards whose rows call classes otherwise than the run does now.

A shard that runs again writes the names into its own rows, because it knows its labels; a merge does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..images.shard import Shard, shard_number
from ..models.classes import ClassNames
from ..outputs.fingerprints import other_names
from ..outputs.journal import Journal
from ..outputs.record import RunRecord
from ..outputs.shard_inputs import MergedInputs
from ..pipeline.relabel import renamed

_STATE = "with other names of classes (run again, it explains no image again)"


def named_otherwise(
    whole: RunRecord, begun: Mapping[Shard, RunRecord], inputs: MergedInputs, journal: Journal
) -> dict[Shard, str]:
    """Returns the state of each shard that has rows under other names of classes than the record of the `whole` run.

    begun: the records of the parts that there are. A shard without a part is known by its rows.
    """
    now = whole["fingerprint"]
    found = {shard for shard, record in begun.items() if other_names(record["fingerprint"], now)}
    ended = next((one for shard, one in begun.items() if shard not in found and "plan" in one), None)
    if ended is not None:
        found.update(_by_rows(ClassNames(tuple(ended.get("classes", ()))), begun, inputs, journal))
    return dict.fromkeys(sorted(found, key=lambda shard: shard.number), _STATE)


def _by_rows(
    classes: ClassNames, begun: Mapping[Shard, RunRecord], inputs: MergedInputs, journal: Journal
) -> Iterator[Shard]:
    """The shards without a part of which a row has another name for a class."""
    others = {key: Shard(shard_number(key, inputs.count), inputs.count) for _, key in inputs.others}
    keys = [key for key, shard in others.items() if shard not in begun]
    return (others[row["image"]] for row in journal.rows(keys) if renamed(row, classes) is not row)
