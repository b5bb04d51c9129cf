"""Reads the box thresholds that `camx evaluate` chose for the maps of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CamxError
from ..outputs.options import BoxThreshold
from ..outputs.run_folder import EXPLAIN, RunFolder
from ..regular_files import read_regular
from ..sentences import counted
from .files import FOLDER, SUMMARY


@dataclass(frozen=True)
class Threshold:
    """A box threshold. value: share of the peak, None for Otsu's of each map. origin: as text. calibrated: whether it
    was chosen on held-out images."""

    value: float | None
    origin: str
    calibrated: bool = False


def calibrated(path: str, fingerprint: Mapping[str, Any] | None) -> dict[str, Threshold]:
    """Threshold for the maps of each method of the run in `path` with this fingerprint.

    Empty without an evaluation, or if it belongs to another run.
    """
    found: dict[str, Threshold] = {}
    try:
        summary = json.loads(read_regular(os.path.join(path, FOLDER, SUMMARY)))
        if summary["run"]["fingerprint"] != fingerprint:
            return {}
        for one in summary["maps"]:
            threshold = one["threshold"]
            if threshold["value"] is not None:
                apart = counted(threshold["maps_held_apart"], "map")
                chosen = threshold["how"] == "calibrated"
                how = f"calibrated on {apart}" if chosen else "given"
                found[str(one["method"])] = Threshold(float(threshold["value"]), f"`camx evaluate`, {how}", chosen)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found


@dataclass(frozen=True)
class Calibration:
    """Thresholds of a run, for maps of other images. weights, layer: of the network of that run."""

    path: str
    thresholds: Mapping[str, BoxThreshold]
    weights: str
    layer: str

    @classmethod
    def read(cls, path: str, methods: tuple[str, ...]) -> Calibration:
        """Reads the thresholds of a folder. Raises `CamxError` if one of the methods has none."""
        if not os.path.isdir(path):
            raise CamxError(
                f"`box_threshold` {path!r} is neither a share of the peak nor a folder.",
                "Give a number such as 0.2, or the `output` of a run that `camx evaluate` has compared with its truth.",
                field="box_threshold",
            )
        run = RunFolder.read(path)
        fingerprint = run.record.get("fingerprint") or {}
        found = calibrated(path, fingerprint) if run.command == EXPLAIN else {}
        for method in methods:
            if method not in found:
                raise CamxError(
                    f"`box_threshold`: `camx evaluate` has chosen no threshold for maps of {method} in {path!r}.",
                    f"Compare them with a truth first: `camx evaluate {path}` with `truth`.",
                    field="box_threshold",
                )
        values = {one: BoxThreshold(found[one].value or 0.0, found[one].calibrated) for one in methods}
        return cls(path, values, str(fingerprint.get("weights", "")), str(fingerprint.get("layer", "")))
