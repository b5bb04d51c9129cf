"""Reads architecture and class names from the metadata in and beside a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import CamxError
from .checkpoint_settings import nested, written_by
from .checkpoints import Checkpoint
from .libraries import Architecture, TorchvisionModel, torchvision_names
from .names import find_architecture, is_name

#: Keys of the names of the network and of the classes in files and arguments of training scripts.
_ARCHITECTURE = ("architecture", "arch", "model", "model_name", "backbone", "encoder_name")
_CLASSES = ("class_names", "classes", "label_names", "idx_to_class", "id2label", "class_to_idx")


def architecture_of(checkpoint: Checkpoint, path: str) -> Architecture:
    """Architecture in the metadata of a checkpoint or of a file beside it. path: as the user gave it, maybe a folder.

    Raises `CamxError` if no architecture is named, or an unknown one.
    """
    config = checkpoint.files.get("config.json", {})
    names = [
        value for metadata in _metadata(checkpoint) for key in _ARCHITECTURE if (value := _text(metadata.get(key)))
    ]
    known = next(filter(is_name, names), None)
    if known is None and (kind := _text(config.get("model_type"))) and kind != "timm_wrapper":
        raise CamxError(
            f"{path!r} is a {kind} model of the transformers library, but no …ForImageClassification.",
            "Give such a model, or your own code that builds a classifier: `model=my_module.py:build`.",
        )
    if (
        known is None
        and "logit_scale" in checkpoint.tensors
        and any(n.startswith("visual.") for n in checkpoint.tensors)
    ):
        raise CamxError(
            f"The checkpoint {checkpoint.path!r} holds a network of open_clip, and no configuration lies beside it.",
            "Give `model=hf:FOLDER`: a folder with open_clip_config.json and open_clip_model.safetensors.",
        )
    if known is None:
        what = f"names {names[0]!r}, which camx does not know" if names else "does not name its architecture"
        raise CamxError(
            f"The checkpoint {checkpoint.path!r} {what}. Give both: `model=NAME` and `checkpoint={checkpoint.path}`."
        )
    # torchvision's training script writes no `arch`.
    bare = checkpoint.key.startswith("model") and "arch" not in checkpoint.about and known in torchvision_names()
    return TorchvisionModel(known) if bare else of_writer(find_architecture(known), checkpoint, known)


def of_writer(architecture: Architecture, checkpoint: Checkpoint, name: str) -> Architecture:
    """Replaces timm's network by torchvision's of the same `name` if a script of torchvision wrote the file."""
    return TorchvisionModel(name) if name in torchvision_names() and written_by(checkpoint) else architecture


def class_names_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Class names in the checkpoint or its arguments, by index; empty if there are none."""
    for metadata in _metadata(checkpoint):
        described = metadata.get("label_descriptions")
        labels = _by_index(metadata.get("label_names"))
        if labels and isinstance(described, Mapping):
            return tuple(str(described.get(label, label)) for label in labels)
        for key in _CLASSES:
            if names := _by_index(metadata.get(key)):
                return names
    return ()


def named_architecture(checkpoint: Checkpoint) -> str:
    """First name of a known network in the metadata; "" if there is none."""
    names = (_text(metadata.get(key)) for metadata in _metadata(checkpoint) for key in _ARCHITECTURE)
    return next((name for name in names if name and is_name(name)), "")


def _metadata(checkpoint: Checkpoint) -> Iterator[Mapping[str, Any]]:
    """Yields metadata of the file, of its arguments, and of the files beside it."""
    for _, metadata in nested(checkpoint.about):
        yield metadata
        if isinstance(config := metadata.get("pretrained_cfg"), Mapping):
            yield config
        if isinstance(model := metadata.get("model"), Mapping) and "name" in model:
            yield {"model_name": model["name"]}
    for content in checkpoint.files.values():
        yield content
        if isinstance(config := content.get("pretrained_cfg"), Mapping):
            yield config


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
