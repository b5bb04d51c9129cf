"""A folder of results, to be read from any machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import CamxError
from ..outputs.journal import Journal, Row
from ..run_layout import JOURNAL, RECORD
from .tracker import Files, ImageCell, RunInfo, identity

#: What of a plan is worth a column of its own in a table of runs.
_OF_PLAN = ("model", "weights", "layer", "layer_reason", "grid", "device", "precision")
#: What of the plan of a training makes it another one.
_SAME_TRAINING = ("model", "weights", "layer", "classes", "train_images", "val_images", "freeze", "epochs", "lr")
#: More files of a report than this are left out of the artifact: the page itself is enough to tell.
_MOST_FILES = 2000


@dataclass(frozen=True)
class ResultsFolder:
    """What a run has left in `path`."""

    path: str
    record: dict[str, Any]

    @classmethod
    def read(cls, path: str) -> ResultsFolder:
        """Raises `CamxError` where there are no results."""
        if not os.path.isdir(path):
            raise CamxError(f"There is no folder {path!r}. Give the output folder of a run.")
        try:
            with open(os.path.join(path, RECORD), encoding="utf-8") as file:
                record = json.load(file)
            record["fingerprint"]["command"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CamxError(
                f"{path!r} holds no results of camx: there is no {RECORD} that camx wrote. "
                "Give the output folder of a run."
            ) from error
        return cls(path, record)

    @property
    def command(self) -> str:
        """What made the results: `explain`, `activations` or `train-gap`."""
        return str(self.record["fingerprint"]["command"])

    @property
    def inputs(self) -> str:
        """The folder that the names of images start in."""
        return str(self.record["fingerprint"].get("inputs", ""))

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def picture(self, name: str | None) -> ImageCell | None:
        """A picture file of the results, as it is; None where there is none."""
        if not name or os.path.isabs(name) or ".." in name.split("/") or not os.path.isfile(self.file(name)):
            return None
        return ImageCell(self.file(name))

    def rows(self, names: Iterable[str] | None = None) -> Iterator[Row]:
        """The rows of these images, or of all."""
        if os.path.isfile(self._journal.path):
            yield from self._journal.rows(self._journal if names is None else names)

    def files(self, names: Iterable[str], kind: str = "results") -> Files:
        """Those of the files that are there, and the report."""
        present = {name: self.file(name) for name in names if os.path.isfile(self.file(name))}
        report = {
            os.path.relpath(os.path.join(folder, name), self.path): os.path.join(folder, name)
            for folder, _, found in os.walk(self.file("report"))
            for name in found
        }
        if len(report) <= _MOST_FILES:
            present |= report
        metadata = {key: self.record.get(key) for key in ("model", "layer", "images", "seconds", "state")}
        return Files(kind, present, metadata)

    @cached_property
    def _journal(self) -> Journal:
        path = self.file(JOURNAL)
        return Journal.read(path) if os.path.isfile(path) else Journal(path)

    def about(self) -> RunInfo:
        return about(self.path, self.record)


def about(output: str, record: dict[str, Any]) -> RunInfo:
    """Who a run is, by its `run.json` or what will stand in it.

    Runs with the same fingerprint are one; of a training it is not known when it begins, so its plan stands for it.
    """
    plan, fingerprint = record.get("plan") or {}, record.get("fingerprint") or {}
    command = str(fingerprint.get("command", "train-gap"))
    same: dict[str, Any] = {key: plan.get(key) for key in _SAME_TRAINING} if command == "train-gap" else fingerprint
    config: dict[str, Any] = {
        "command": command,
        **{key: plan.get(key) for key in _OF_PLAN},
        "model_digest": fingerprint.get("weights"),
        "identity": identity(same),
        **{key: record[key] for key in ("plan", "fingerprint", "versions") if key in record},
        "job": {key: value for key, value in (record.get("job") or {}).items() if key != "command"},
    }
    plain = json.loads(json.dumps(config, default=str))
    return RunInfo(command, output, f"{command} {plan.get('model', '')}".strip(), plain, identity(same))
