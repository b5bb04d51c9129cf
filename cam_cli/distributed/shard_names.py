"""Finds shards whose rows have other class names than the run.

A shard that runs again has the labels, so it can rewrite the names in its rows. A merge cannot.
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

_STATE = "with other class names (run it again: it only renames)"


def differently_named_shards(
    whole: RunRecord, begun: Mapping[Shard, RunRecord], inputs: MergedInputs, journal: Journal
) -> dict[Shard, str]:
    """Returns the state of each shard with rows under other class names than the record of the `whole` run.

    begun: records of the existing parts. A shard without a part is recognised by its rows.
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
    """Shards without a part that have a row with another name for a class."""
    others = {key: Shard(shard_number(key, inputs.count), inputs.count) for _, key in inputs.others}
    keys = [key for key, shard in others.items() if shard not in begun]
    return (others[row["image"]] for row in journal.rows(keys) if renamed(row, classes) is not row)
