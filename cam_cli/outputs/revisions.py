"""Revisions: changes of camx after which the same command draws other images or computes other scores.

`run.json` names the oldest revision that any result of the folder has; folders of camx 0.1.0 name none. A run that
adds to older results says so. Add a line whenever a change is not one of the options: their values stand in the
fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .record import Fingerprint, RunRecord
from .versions import versions

#: That of camx 0.1.0.
FIRST = 1


@dataclass(frozen=True)
class Revision:
    """A change: its number, the version of camx that has it first, and what is other since then.

    `of`: values of the fingerprint that a run has if the change is one for it. `method`: one of the methods of such a
    run; "" for any.
    """

    number: int
    version: str
    change: str
    of: Mapping[str, Any] = field(default_factory=dict)
    method: str = ""

    def concerns(self, values: Mapping[str, Any]) -> bool:
        """Whether the change is one for a run with this fingerprint."""
        return all(values.get(key) == of for key, of in self.of.items()) and (
            not self.method or self.method in (values.get("methods") or ())
        )


REVISIONS = (
    Revision(
        2,
        "0.2.0",
        "the network sees transparent images as the loaders of timm and torchvision do",
    ),
    Revision(
        3,
        "0.2.0",
        "the sketches of maps with two signs keep the signs",
        of={"command": "explain", "evidence": "both"},
    ),
    Revision(
        4,
        "0.2.0",
        "Eigen-Grad-CAM takes the mean over the positions off first",
        method="eigengradcam",
    ),
)
NEWEST = REVISIONS[-1].number


def revision_of(record: RunRecord | None) -> int:
    """The oldest revision among the results of a folder; the newest one where there are none yet."""
    return NEWEST if record is None else record.get("revision", FIRST)


def running_record(fingerprint: Mapping[str, Any], revision: int) -> RunRecord:
    """The record of a run that begins."""
    known = cast(Fingerprint, dict(fingerprint))
    return RunRecord(fingerprint=known, state="running", versions=versions(), revision=revision)


def changes_since(revision: int, fingerprint: Mapping[str, Any] | Fingerprint) -> list[str]:
    """A sentence on what is other since a revision for a run with this fingerprint; none if nothing is."""
    values = dict(fingerprint)
    later = [one for one in REVISIONS if one.number > revision and one.concerns(values)]
    if not later:
        return []
    changes = ", and ".join(one.change for one in later)
    older = f"Some results are of a camx before {later[-1].version}. Since then {changes}."
    return [f"{older} They stay as they are; `overwrite` makes all of them anew."]
