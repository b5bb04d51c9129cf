"""Loads a network of the transformers library with weights, preprocessing and classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import torch
from torch import nn

from ...errors import CamxError, first_line
from ...images.geometry import Preprocessing
from ...sentences import counted
from ..checkpoint_settings import CheckpointSettings
from ..class_files import chosen_names
from ..classes import ClassNames, checked, imagenet
from ..input_settings import input_settings
from ..network import Network, digest
from ..options import ModelSpec, PreprocessingOptions
from ..preprocessing import pair
from ..tasks import REGRESSION
from .classifier import HubClassifier, attention, built, check_size, compares_texts, described
from .library import quiet, transformers
from .place import OPEN_CLIP_CONFIG, HubPlace
from .processor import Prepared, read_processor
from .texts import DEFAULT_PROMPTS
from .zero_shot import METHODS, class_names, zero_shot


def hub_network(place: HubPlace, spec: ModelSpec, option_origins: Mapping[str, str]) -> Network:
    """Loads the classifier in a folder onto the CPU, in float32.

    option_origins: origin of each option by its field. Raises `CamxError` for other networks than image classifiers,
    for weights that do not fit, and for a processor that camx cannot reproduce.
    """
    check_options(spec, place)
    library = transformers(f"`model` {place.name!r}")
    config = place.read_config()
    kind, own = described(library, config, place.name)
    problem = getattr(own, "problem_type", None)
    if problem == "regression" and spec.task != REGRESSION:
        raise CamxError(
            f"`model` {place.name!r} is a regression: its outputs are no class scores.",
            "Give `task=regression`.",
            field="task",
        )
    torch.manual_seed(spec.seed)
    idle: tuple[str, ...] = ()
    if spec.pretrained:
        network, idle = loaded(library, kind, own, place, spec)
    else:
        network = built(kind, own, place.name)
    texts = compares_texts(library, config)
    if spec.prompts and not texts:
        raise CamxError(
            f"`prompts`: `model` {place.name!r} has its own classes.", "Leave `prompts` out.", field="prompts"
        )
    channels = int(getattr(getattr(own, "vision_config", own) if texts else own, "num_channels", 3))
    found = read_processor(library, place, channels) or by_options(place, spec.preprocessing, channels)
    settings = input_settings(
        found.preprocessing,
        CheckpointSettings(),
        spec.preprocessing,
        model="its image processor",
        option_origins=option_origins,
        path=place.folder,
    )
    module: nn.Module
    if texts:
        picture = torch.zeros(1, channels, *settings.preprocessing.input_size)
        module, classes = zero_shot(library, place, network.eval(), picture, spec), class_names(place, spec)
    else:
        module = HubClassifier(network, flipped=found.flipped, several_labels=problem == "multi_label_classification")
        count = module.num_classes
        classes = chosen_names(spec.class_names, count, lambda: _names(config, count, place))
    return Network(
        module=module.eval(),
        name=place.name if place.revision else f"hf:{os.path.basename(os.path.abspath(place.folder))}",
        preprocessing=settings.preprocessing,
        classes=classes,
        weights=place.weights if spec.pretrained else f"random, seed {spec.seed}",
        digest=digest(module),
        args={"prompts": list(spec.prompts or DEFAULT_PROMPTS)} if texts else {},
        notes=_notes(place),
        idle_tensors=idle,
        origins=settings.origins,
        warnings=(*settings.warnings, *inexact(found)),
        scores=spec.scores,
        task=spec.task,
        methods=METHODS if texts else (),
    )


def check_options(spec: ModelSpec, place: HubPlace) -> None:
    """Raises `CamxError` for options that the files of a network contradict."""
    for field, value in (("checkpoint", spec.checkpoint), ("model_arg", spec.args), ("ema", spec.ema)):
        if value:
            raise CamxError(
                f"`model` {place.name!r} brings its own weights and configuration. Leave `{field}` out.",
                field="args" if field == "model_arg" else field,
            )


def loaded(library: Any, kind: Any, config: Any, place: HubPlace, spec: ModelSpec) -> tuple[nn.Module, tuple[str, ...]]:
    """Returns the network with all tensors of its files, and the names of those that `ignore_tensors` skips.

    Raises `CamxError` for unreadable files and for weights that do not fit.
    """
    if place.has("adapter_config.json"):
        raise CamxError(
            f"`model` {place.name!r} holds an adapter, alone or beside a network.",
            "Merge it (PEFT: merge_and_unload) and save the network.",
        )
    files = place.safetensors()
    check_size(kind, config, place.name, sum(map(os.path.getsize, files)))
    try:
        with quiet(library):
            network, info = kind.from_pretrained(
                place.folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                attn_implementation=attention(kind),
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except Exception as error:  # the library may raise anything on foreign files
        raise CamxError(
            f"The weights of {place.name!r} cannot be read: {first_line(error)}.", "Fetch it again."
        ) from error
    mismatched = sorted(str(one[0] if isinstance(one, tuple) else one) for one in info["mismatched_keys"])
    over = sorted(str(one) for one in info["unexpected_keys"])
    left = [one for one in over if not any(fnmatch(one, glob) for glob in spec.ignore_tensors)]
    missing = sorted(map(str, info["missing_keys"]))
    wrong = (
        (missing, "lack"),
        (mismatched, "have another shape of"),
        (left, "hold, and the network has no place for,"),
    )
    for names, what in wrong:
        if names:
            more = f" and {counted(len(names) - 1, 'other tensor')}" if len(names) > 1 else ""
            raise CamxError(
                f"The weights of {place.name!r} {what} {names[0]!r}{more}: they are not those of a {kind.__name__}.",
                "If they do not matter, name them in `ignore_tensors`."
                if names is left
                else "Save the whole fine-tuned classifier.",
            )
    for name, parameter in network.named_parameters():
        if not torch.isfinite(parameter).all():
            raise CamxError(
                f"The weights of {place.name!r} have NaN or infinite values in {name!r}. Use an earlier one."
            )
    return network, tuple(over)


def by_options(place: HubPlace, options: PreprocessingOptions, channels: int) -> Prepared:
    """Returns the preprocessing of options alone, for a network without a preprocessor_config.json.

    Raises `CamxError` if an option is missing.
    """
    needed = {"image_size": options.image_size, "mean": options.mean, "std": options.std}
    if missing := [name for name, value in needed.items() if value is None]:
        raise CamxError(
            f"`model` {place.name!r} has no preprocessor_config.json with {', '.join(f'`{n}`' for n in missing)}.",
            "Give these options, or fetch the file.",
        )
    assert options.image_size is not None
    size = pair(options.image_size)
    return Prepared(Preprocessing(size, size, "center", "bicubic", (0.0,) * channels, (1.0,) * channels, "down"))


def _notes(place: HubPlace) -> tuple[str, ...]:
    both = "The files also hold a network of open_clip; camx uses that of transformers, which config.json names."
    return (both,) if place.has(OPEN_CLIP_CONFIG) else ()


def _names(config: Mapping[str, Any], count: int, place: HubPlace) -> ClassNames:
    """Returns the labels of config.json, with WordNet ids if they are those of ImageNet."""
    stated = config.get("id2label")
    if not isinstance(stated, Mapping):
        return ClassNames()
    try:
        labels = {int(index): str(label) for index, label in stated.items()}
        names = tuple(labels[index] for index in range(len(labels)))
    except (KeyError, ValueError) as error:
        raise CamxError(
            f"The id2label of {place.name!r} does not number the classes from 0.",
            "Correct id2label in its config.json.",
        ) from error
    if count == len(names) == 1:
        return ClassNames((f"not {names[0]}", names[0]))
    found = checked(ClassNames(names), count, f"The id2label of {place.name!r}")
    known = imagenet("imagenet-1k") if count == 1000 else ClassNames()
    return ClassNames(names, known.aliases) if names == known.names else found


def inexact(found: Prepared) -> tuple[str, ...]:
    """Returns a warning if camx reproduces the processor only approximately."""
    if not found.levels:
        return ()
    return (
        f"The image processor resizes tensors, camx images: pixels differ by up to {found.levels:.0f} of 255 levels.",
    )
