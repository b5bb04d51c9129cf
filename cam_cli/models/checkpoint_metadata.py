"""What a checkpoint says of itself: the architecture it belongs to, and the names of its classes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import CamxError
from .checkpoints import Checkpoint
from .libraries import Architecture, TimmModel, TorchvisionModel, torchvision_names
from .names import find_architecture, is_name

#: Where training scripts put the name of the network and of the classes, in the file or in its arguments.
_ARCHITECTURE = ("architecture", "arch", "model", "model_name", "backbone", "encoder_name")
_CLASSES = ("class_names", "classes", "label_names", "idx_to_class", "class_to_idx")
_ARGUMENTS = ("args", "hyper_parameters", "hparams", "config", "cfg")


def architecture_of(checkpoint: Checkpoint, path: str) -> Architecture:
    """The network that a checkpoint, or the folder at `path` that it lies in, names.

    Raises `CamxError` if it does not tell, or names none that camx knows.
    """
    if os.path.isdir(path) and os.path.exists(os.path.join(path, "config.json")):
        return _of_folder(path)
    names = [value for said in _sayings(checkpoint.about) for key in _ARCHITECTURE if (value := _text(said.get(key)))]
    known = next(filter(is_name, names), None)
    if known is None:
        what = f"names {names[0]!r}, which camx does not know" if names else "does not say which architecture it is of"
        raise CamxError(
            f"The checkpoint {checkpoint.path!r} {what}. Give both: `model=NAME` and `checkpoint={checkpoint.path}`."
        )
    # torchvision's training script writes no `arch`; names of both libraries are torchvision's there.
    if checkpoint.key.startswith("model") and "arch" not in checkpoint.about and known in torchvision_names():
        return TorchvisionModel(known)
    return find_architecture(known)


def class_names_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Class names in the checkpoint or its arguments, by index; empty if there are none."""
    for said in _sayings(checkpoint.about):
        for key in _CLASSES:
            if names := _by_index(said.get(key)):
                return names
    return ()


def _sayings(about: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The file's own words, then those of its arguments, from the outside in (hydra: `cfg.model.name`)."""
    yield about
    todo = [value for key in _ARGUMENTS if isinstance(value := about.get(key), Mapping)]
    while todo:
        said = todo.pop(0)
        yield said
        todo += [value for value in said.values() if isinstance(value, Mapping)]
        if isinstance(model := said.get("model"), Mapping) and "name" in model:
            yield {"model_name": model["name"]}


def _of_folder(path: str) -> Architecture:
    """A repository of the Hugging Face hub as timm lays it out, in a local folder."""
    try:
        with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
    except (OSError, ValueError) as error:
        raise CamxError(f"The config.json in {path!r} cannot be read: {error}. Fetch the folder again.") from error
    name = config.get("architecture") if isinstance(config, Mapping) else None
    if not isinstance(name, str) or not is_name(name):
        kind = config.get("model_type") if isinstance(config, Mapping) else None
        what = f"a {kind} model of the transformers library" if kind else f"of the architecture {name!r}"
        raise CamxError(f"The folder {path!r} is {what}, and camx explains classifiers of timm and torchvision.")
    return TimmModel(f"local-dir:{path}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _by_index(value: object) -> tuple[str, ...]:
    """Names from a list, an index → name mapping, or a name → index mapping; empty for anything else."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    if not isinstance(value, Mapping) or not value:
        return ()
    if all(isinstance(index, int) for index in value.values()):
        value = {index: name for name, index in value.items()}
    try:
        by_index = {int(index): str(name) for index, name in value.items()}
        return tuple(by_index[index] for index in range(len(by_index)))
    except (KeyError, TypeError, ValueError):
        return ()
