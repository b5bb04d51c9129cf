"""Files of a training: networks for `explain --model`, and the state from which `resume` continues."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from ..errors import CamxError
from ..models.gap import GapDescription, GapNetwork
from ..outputs.folder import OutputFolder
from ..outputs.folder_errors import explained_errors
from ..outputs.rows import WrittenFile
from ..outputs.shapes import check_of
from ..regular_files import require_regular
from ..run_layout import JOURNAL, METRICS, RECORD, is_inside
from .job import FEATURES
from .metrics import EpochMetrics, Mistake, Scores

BEST, LAST, STATE, CURVES, CAMS, GRADCAMS, ACTIVATIONS = (
    "model.safetensors",
    "last.safetensors",
    "training-state.pt",
    "curves.png",
    "cams",
    "gradcams",
    "activations",
)
#: Exceptions from damaged bytes.
_DAMAGED = (
    *(RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError, pickle.UnpicklingError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError),
)
_PREVIEW = re.compile(rf"(?:{CAMS}|{GRADCAMS}|{ACTIVATIONS})/epoch-\d{{1,9}}/")
_is_file = check_of(WrittenFile)
_OURS = (BEST, LAST, STATE, METRICS, CURVES, CAMS, GRADCAMS, ACTIVATIONS, RECORD)


@dataclass(frozen=True)
class TrainingState:
    """State of a training after its last whole epoch. best: scores of the best network so far. best_file: size and
    checksum of its file; None in states of 0.1.0. previews: sizes and checksums of the preview images."""

    fingerprint: Mapping[str, Any]
    history: tuple[EpochMetrics, ...]
    best: Scores
    trainer: dict[str, Any]
    best_file: WrittenFile | None = None
    previews: Mapping[str, WrittenFile] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        content = {
            "fingerprint": json.dumps(dict(self.fingerprint)),
            "history": [asdict(row) for row in self.history],
            "best_loss": self.best.loss,
            "best_confusion": torch.from_numpy(self.best.confusion),
            "best_wrong": [list(one) for one in self.best.wrong],
            "best_file": dict(self.best_file) if self.best_file else None,
            "previews": json.dumps(dict(self.previews)),
            "learner": self.trainer,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    @classmethod
    def read(cls, path: str) -> TrainingState:
        """Reads a state file. Raises `CamxError` for a file that `to_bytes` did not write."""
        try:
            require_regular(path)
            with zipfile.ZipFile(path) as archive:
                if wrong := archive.testzip():  # torch compares no checksums
                    raise ValueError(f"bad checksum in {wrong}")
            content = torch.load(path, map_location="cpu", weights_only=True)
            return cls(
                fingerprint=json.loads(content["fingerprint"]),
                history=tuple(map(EpochMetrics.from_dict, content["history"])),
                best=Scores(
                    content["best_loss"],
                    np.asarray(content["best_confusion"]),
                    tuple(Mistake(*one) for one in content.get("best_wrong", ())),
                ),
                trainer=content["learner"],
                best_file=content.get("best_file"),
                previews=_previews(json.loads(content.get("previews", "{}"))),
            )
        except _DAMAGED as error:
            raise CamxError(
                f"The training state {path!r} cannot be read ({error!r}). Start again with `overwrite`."
            ) from error


def _previews(content: Mapping[str, Any]) -> dict[str, WrittenFile]:
    """Preview images in a state. Ignores paths that are no preview names: a damaged state may hold any text."""
    return {name: file for name, file in content.items() if is_inside(name) and _PREVIEW.match(name) and _is_file(file)}


def earlier_state(folder: OutputFolder, *, resume: bool, overwrite: bool) -> TrainingState | None:
    """State of the training in the folder with `resume`, else None.

    Raises `CamxError` if the folder holds a run and the options allow neither to continue nor to replace it.
    """
    present = [name for name in _OURS if os.path.lexists(folder.file(name))]
    if os.path.lexists(folder.file(JOURNAL)):
        raise CamxError(f"{folder.path!r} holds results of `camx explain`. Choose another `output`.")
    if present and STATE not in present:
        record = folder.run_record()
        if record is None or record["fingerprint"].get("command") != "train-gap":
            raise CamxError(
                f"{folder.path!r} holds {present[0]!r}, which camx did not write there. Choose another `output`."
            )
        if not overwrite:
            raise CamxError(
                f"{folder.path!r} holds a training without its {STATE}, so it cannot be continued. Its networks and "
                "figures are still usable. Replace it with `overwrite`, or choose another `output`."
            )
        return None
    if resume:
        return TrainingState.read(folder.file(STATE)) if present else None
    if present and not overwrite:
        raise CamxError(
            f"{folder.path!r} holds a training already ({present[0]}). "
            "Continue it with `resume`, replace it with `overwrite`, or choose another `output`."
        )
    return None


def remove_earlier(folder: OutputFolder) -> None:
    """Removes the files of an earlier training and no others. Record and state go last: they identify the folder."""
    folder.remove_report()
    for name in sorted(_OURS, key=(RECORD, STATE).__contains__):
        if os.path.lexists(folder.file(name)):
            _removed(folder.file(name))


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: str) -> None:
    """Raises `CamxError` with the settings in which the stored training differs."""
    plain = json.loads(json.dumps(dict(now)))
    if FEATURES not in before:
        plain.pop(FEATURES, None)
    different = [key for key in {**before, **plain} if before.get(key) != plain.get(key)]
    if different:
        raise CamxError(
            f"{folder!r} holds a training with another {', '.join(different)}, so it cannot be continued. "
            "Give the settings of that training, or replace it with `overwrite`."
        )


def network_bytes(network: GapNetwork, description: GapDescription, trained: Mapping[str, Any]) -> bytes:
    """Safetensors file of the network. Its metadata suffice to rebuild the architecture."""
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    return save(tensors, {"camx": json.dumps({**description.as_dict(), "trained": dict(trained)})})


def _removed(path: str) -> None:
    with explained_errors(os.path.dirname(path)):
        if not os.path.isdir(path) or os.path.islink(path):
            os.unlink(path)
            return
        for name in os.listdir(path):
            if name.startswith("epoch-"):
                shutil.rmtree(os.path.join(path, name))
        with contextlib.suppress(OSError):
            os.rmdir(path)
