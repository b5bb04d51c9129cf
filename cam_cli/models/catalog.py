"""Loads the network that the user names with `--model`, ready to be explained."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..errors import CamxError
from ..sentences import counted
from .checkpoint_metadata import architecture_of, class_names_of, named_architecture, of_writer
from .checkpoint_settings import CheckpointSettings, checkpoint_settings
from .checkpoints import Checkpoint, read_checkpoint
from .class_files import chosen_names
from .classes import ClassNames, checked
from .detectors import detected_classes, detector_preprocessing, usual_methods
from .fitting import Fitted, fitted
from .gap import GapDescription, GapNetwork
from .heads import HeadOptions
from .hf.classifier import rebuilt
from .hf.network import hub_network
from .hf.place import hub_place, is_hub_name
from .input_settings import input_settings
from .libraries import Architecture, TorchvisionModel, detection_names, segmentation_names
from .matching import matched, mismatch
from .names import DEMO, DEMO_FILE, find_architecture, is_name, renamed
from .network import Network, digest
from .network_size import check_size
from .open_clip.network import open_clip_network
from .options import ModelSpec, PreprocessingOptions
from .own_code import OwnCode
from .own_network import own_network
from .preprocessing import overridden
from .remote_weights import is_address, local_weights
from .tasks import AUTO, DETECTION, SEGMENTATION, SIMILARITY

__all__ = ["ModelSpec", "Network", "digest", "load_model"]


def load_model(spec: ModelSpec | str | os.PathLike[str], origins: Mapping[str, str] | None = None) -> Network:
    """Builds the network that `spec` describes (also a name, or a file of weights), with its weights, on the CPU.

    origins: origin of each option by the name of its flag, for the record. Raises `CamxError` for unknown names,
    unavailable weights, and files that do not fit.
    """
    if isinstance(spec, (str, os.PathLike)):
        spec = ModelSpec(os.fspath(spec))
    if not isinstance(spec, ModelSpec):
        hint = "Network.of(module, …) takes a module." if isinstance(spec, nn.Module) else "Give a name or a ModelSpec."
        raise CamxError(f"A {type(spec).__name__} is no name of a network.", hint)
    origins = origins or {}
    if not is_name(spec.name) and (place := hub_place(spec.name)):
        load = open_clip_network if place.of_open_clip else hub_network
        return load(place, spec, _by_field(origins))
    if spec.prompts:
        raise CamxError(
            f"`prompts`: `model` {spec.name!r} has its own classes.", "Leave `prompts` out.", field="prompts"
        )
    if spec.name.startswith("~") or (is_address(spec.name) and not is_name(spec.name)):
        spec = replace(spec, name=local_weights(spec.name))
    checkpoint = read_checkpoint(spec.checkpoint, ema=spec.ema) if spec.checkpoint else None
    if (code := OwnCode.parse(spec.name)) and not is_name(spec.name):
        return own_network(code, spec, checkpoint, _by_field(origins))
    if checkpoint is not None and GapDescription.of(checkpoint.about, checkpoint.path):
        raise CamxError(
            f"The checkpoint {checkpoint.path!r} is a complete network of `camx train-gap`.",
            "Give it as `model`, and leave `checkpoint` out.",
        )
    if spec.checkpoint and not is_name(spec.name) and (spec.name == DEMO or os.path.exists(spec.name)):
        raise CamxError(
            f"`model` {spec.name!r} brings its own weights. Leave `checkpoint` out, or name an architecture."
        )
    file = DEMO_FILE if spec.name == DEMO else spec.name
    if checkpoint is None and not is_name(spec.name) and os.path.exists(file):
        if not spec.pretrained:
            raise CamxError(
                f"`pretrained=False` asks for random weights, but `model` {spec.name!r} is a file of weights.",
                "Leave one of them out.",
            )
        checkpoint = read_checkpoint(file, ema=spec.ema)
        description = GapDescription.of(checkpoint.about, checkpoint.path)
        if description is not None:
            return _gap_network(description, spec, checkpoint, origins)
        architecture = architecture_of(checkpoint, file)
    else:
        architecture = find_architecture(spec.name)
    if checkpoint is not None:
        architecture = of_writer(architecture, checkpoint, spec.name)
    file_settings = checkpoint_settings(checkpoint) if checkpoint else CheckpointSettings()
    torch.manual_seed(spec.seed)
    found, weights = _build(architecture, spec, checkpoint, file_settings)
    module, args = found.module.eval(), found.args
    count = _class_count(module)
    task = _task(architecture, spec, module, count)
    settings = input_settings(
        architecture.preprocessing(module, PreprocessingOptions(), args),
        file_settings,
        spec.preprocessing,
        model=architecture.origin,
        option_origins=_by_field(origins),
        path=checkpoint.path if checkpoint else "",
        built_in=found.normalisation,
    )
    return Network(
        module=module,
        name=str(architecture),
        preprocessing=settings.preprocessing,
        classes=_class_names(architecture, module, spec, checkpoint, count),
        weights=weights,
        digest=digest(module),
        args=args,
        notes=found.notes,
        idle_tensors=(*found.idle, *(checkpoint.beside if checkpoint else ())),
        origins={**settings.origins, **_argument_origins(found, spec, file_settings, _by_field(origins))},
        warnings=(
            *_renamed(spec.name),
            *settings.warnings,
            *_other_architecture(architecture, checkpoint),
            *_arguments(spec, file_settings),
        ),
        silent_checkpoint=checkpoint is not None and not file_settings.values and not found.normalisation,
        scores=spec.scores,
        task=task,
        methods=usual_methods(module),
    )


def _task(architecture: Architecture, spec: ModelSpec, module: nn.Module, count: int) -> str:
    """Returns the task of a network by name. Raises `CamxError` if the requested one contradicts the network."""
    name = architecture.name if isinstance(architecture, TorchvisionModel) else ""
    known = SEGMENTATION if name in segmentation_names() else DETECTION if name in detection_names() else ""
    if known and spec.task not in (AUTO, known):
        raise CamxError(
            f"`task={spec.task}`: {architecture} is a network for {known}.", "Leave `task` out.", field="task"
        )
    if known:
        return known
    if count > 0 and spec.task == SIMILARITY:
        raise CamxError(
            f"`task=similarity`: {architecture} has a classifier of {counted(count, 'class', 'classes')}, whose scores "
            "are no embedding.",
            "Build it without the classifier: `model_arg num_classes=0`.",
            field="task",
        )
    if count <= 0 and spec.task != SIMILARITY:
        raise CamxError(
            f"{architecture} with these arguments has no classifier.",
            "To explain what makes images similar to another one give `task=similarity` and `targets=like:REF.jpg`.",
        )
    return spec.task


def _by_field(origins: Mapping[str, str]) -> dict[str, str]:
    """Converts origins by flag names to origins by field names, without defaults."""
    return {name.replace("-", "_"): origin for name, origin in origins.items() if origin != "default"}


def _argument_origins(
    found: Fitted, spec: ModelSpec, file_settings: CheckpointSettings, option_origins: Mapping[str, str]
) -> dict[str, str]:
    """Origin of each argument of the architecture, by `model_arg KEY`."""
    origins = {}
    for key in (*found.args, *found.inferred):
        if key in found.inferred:
            origins[key] = "the checkpoint's tensors"
        elif key in spec.args:
            origins[key] = option_origins.get("model_arg", "an option")
        else:
            origins[key] = file_settings.origins.get(key, "the image size")
    return {f"model_arg {key}": origin for key, origin in origins.items()}


def _renamed(name: str) -> Iterator[str]:
    if new := renamed(name):
        yield f"timm has renamed {name}: camx uses `model` {new}."


def _other_architecture(architecture: Architecture, checkpoint: Checkpoint | None) -> Iterator[str]:
    named = named_architecture(checkpoint) if checkpoint else ""
    if named and _bare(named) != _bare(str(architecture)):
        yield f"The checkpoint names the architecture {named}; camx uses `model` {architecture} as given."


def _arguments(spec: ModelSpec, file_settings: CheckpointSettings) -> Iterator[str]:
    for key, value in file_settings.args.items():
        if key in spec.args and spec.args[key] != value:
            yield f"camx uses `model_arg` {key}={spec.args[key]}, not {value} from {file_settings.origins[key]}."


def _bare(name: str) -> str:
    return name.rpartition("/")[2].rpartition(":")[2].partition(".")[0]


def _gap_network(
    description: GapDescription, spec: ModelSpec, checkpoint: Checkpoint, origins: Mapping[str, str]
) -> Network:
    """Rebuilds a network of `camx train-gap` from its file alone."""
    if OwnCode.parse(description.architecture):
        raise CamxError(
            f"{checkpoint.path!r} was trained on your own code, which camx never runs from a checkpoint.",
            f"Give both: `model={description.architecture}` and `checkpoint={checkpoint.path}`.",
        )
    args = {**description.model_args, **spec.args}
    backbone, architecture = _backbone(description.architecture, args)
    module = GapNetwork(backbone, description.head, len(description.classes))
    match = matched(checkpoint.tensors, module.state_dict(), path=checkpoint.path)
    if match.wrong:
        raise CamxError(
            f"The checkpoint {checkpoint.path!r} does not fit {description.architecture} with these arguments: "
            f"{match.wrong[0]!r} has another shape.",
            "Leave `model_arg` out.",
        )
    if not match.complete:
        raise mismatch(checkpoint, match, module.state_dict(), description.architecture)
    module.load_state_dict(match.tensors, strict=False)
    trained = description.preprocessing
    own = overridden(trained, spec.preprocessing)
    resized = architecture.resized_args(backbone, 0) if architecture else {}
    fixed = description.head.layer.layout.kind not in ("NCHW", "NHWC") or resized
    if own.input_size != trained.input_size and fixed:
        raise CamxError(
            f"{checkpoint.path!r} takes only images of {'×'.join(map(str, trained.input_size))} pixels.",
            "Leave `image_size` out.",
        )
    names = chosen_names(spec.class_names, module.num_classes, lambda: ClassNames(description.classes))
    name, weights = (
        (f"{description.architecture} + GAP", checkpoint.path) if spec.name != DEMO else (DEMO, "ships with camx")
    )
    trained_origin = "its camx train-gap" if spec.name != DEMO else "the demo"
    settings = input_settings(
        trained, CheckpointSettings(), spec.preprocessing, model=trained_origin, option_origins=_by_field(origins)
    )
    origin = settings.origins
    return Network(module.eval(), name, own, names, weights, digest(module), args, origins=origin, task=spec.task)


def _backbone(name: str, args: Mapping[str, Any]) -> tuple[nn.Module, Architecture | None]:
    """Backbone of a GAP network and its architecture (None for one of transformers)."""
    if is_hub_name(name):
        return rebuilt(name, args), None
    architecture = find_architecture(name)
    return architecture.build(pretrained=False, num_classes=None, args=args), architecture


def _build(
    architecture: Architecture, spec: ModelSpec, checkpoint: Checkpoint | None, file_settings: CheckpointSettings
) -> tuple[Fitted, str]:
    """Network with its weights, and the origin of the weights."""
    pretrained = spec.pretrained and checkpoint is None
    args: Mapping[str, Any] = {**file_settings.args, **spec.args}
    if file_settings.args and checkpoint is not None:
        check_size(architecture, HeadOptions.taken_from(file_settings.args)[1], checkpoint)
    size = spec.preprocessing.image_size or file_settings.values.get("image_size")
    if isinstance(size, (int, tuple)):
        _, known = HeadOptions.taken_from(args)
        module = architecture.build(pretrained=pretrained, num_classes=None, args=known)
        resized = architecture.resized_args(module, size)
        if resized and not set(resized) & set(args):
            args = {**args, **resized}
    if checkpoint is None:
        module = architecture.build(pretrained=pretrained, num_classes=None, args=args)
        return Fitted(module, args), f"pretrained {architecture}" if pretrained else f"random, seed {spec.seed}"
    found = fitted(architecture, args, spec, checkpoint)
    taken = [checkpoint.key] * bool(checkpoint.key) + [f"without {found.prefix}"] * bool(found.prefix)
    return found, checkpoint.path + (f" [{', '.join(taken)}]" if taken else "")


def _class_count(module: nn.Module) -> int:
    """Number of classes: stated by the network, or the size of its last weight."""
    stated = getattr(module, "num_classes", None)
    if isinstance(stated, int):
        return stated
    if detector_preprocessing(module) is not None:
        return detected_classes(module)
    sizes = [p.shape[0] for p in module.parameters() if p.dim() >= 2]
    return sizes[-1] if sizes else 0


def _class_names(
    architecture: Architecture, module: nn.Module, spec: ModelSpec, checkpoint: Checkpoint | None, count: int
) -> ClassNames:
    def own() -> ClassNames:
        if checkpoint is not None and (stored := class_names_of(checkpoint)):
            return checked(ClassNames(stored), count, f"The checkpoint {checkpoint.path!r}")
        return architecture.class_names(module, count)

    return chosen_names(spec.class_names, count, own)
