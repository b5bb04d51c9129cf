"""Lists revisions: changes of camx after which the same command gives other images or scores.

`run.json` has the oldest revision of any result in the folder; folders of camx 0.1.0 have none. A run that adds to
older results warns. Add a line for every such change that is not an option, whose value is in the fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .record import Fingerprint, RunRecord
from .versions import versions

#: Revision of camx 0.1.0.
FIRST = 1


@dataclass(frozen=True)
class Revision:
    """A change: number, first version of camx, and description.

    of: values in the fingerprint of affected runs. method: method of affected runs; "" for any.
    """

    number: int
    version: str
    change: str
    of: Mapping[str, Any] = field(default_factory=dict)
    method: str = ""

    def concerns(self, values: Mapping[str, Any]) -> bool:
        """Whether the change affects a run with this fingerprint."""
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
        "Eigen-Grad-CAM first subtracts the mean over the positions",
        method="eigengradcam",
    ),
)
NEWEST = REVISIONS[-1].number


def revision_of(record: RunRecord | None) -> int:
    """Oldest revision of the results in a folder; the newest one without results."""
    return NEWEST if record is None else record.get("revision", FIRST)


def running_record(fingerprint: Mapping[str, Any], revision: int) -> RunRecord:
    """Record of a starting run."""
    known = cast(Fingerprint, dict(fingerprint))
    return RunRecord(fingerprint=known, state="running", versions=versions(), revision=revision)


def changes_since(revision: int, fingerprint: Mapping[str, Any] | Fingerprint) -> list[str]:
    """Warning about changes since a revision for a run with this fingerprint, if any."""
    values = dict(fingerprint)
    later = [one for one in REVISIONS if one.number > revision and one.concerns(values)]
    if not later:
        return []
    changes = ", and ".join(one.change for one in later)
    older = f"Some results were made by a camx before {later[-1].version}. Since then {changes}."
    return [f"{older} They are kept. `overwrite` explains all images again."]
