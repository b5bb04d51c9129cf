"""Loads a network that the user's own code builds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import CamxError
from ..images.geometry import Preprocessing
from .checkpoint_metadata import class_names_of
from .checkpoint_settings import CheckpointSettings, checkpoint_settings
from .checkpoints import Checkpoint
from .class_files import chosen_names
from .classes import ClassNames, checked
from .detectors import detector_preprocessing, usual_methods
from .gap import GapDescription, GapNetwork
from .input_settings import input_settings
from .libraries import TimmModel
from .matching import matched, mismatch
from .network import Network, digest
from .options import ModelSpec, PreprocessingOptions
from .own_code import OwnCode
from .tasks import AUTO

#: Most channels of a first convolution that reads an image.
_MOST_CHANNELS = 16


def own_network(
    code: OwnCode, spec: ModelSpec, checkpoint: Checkpoint | None, option_origins: Mapping[str, str]
) -> Network:
    """Returns the network of a function of the user, with the weights of a checkpoint if there is one.

    option_origins: origin of each option by its field. Raises `CamxError` if the result is no network, if weights do
    not fit, and if the preprocessing is unknown.
    """
    torch.manual_seed(spec.seed)
    built = code.call(spec.args)
    module = built.module if isinstance(built, Network) else built
    if not isinstance(module, nn.Module):
        raise CamxError(
            f"`model` {code} returns a {type(built).__name__}.",
            "It must return a torch.nn.Module or a cam_cli.Network.",
        )
    description = GapDescription.of(checkpoint.about, checkpoint.path) if checkpoint else None
    if description is not None:
        module = GapNetwork(module, description.head, len(description.classes))
    idle: tuple[str, ...] = ()
    if checkpoint is not None:
        idle = _load(module, checkpoint, spec, str(code))
    module.eval()
    file_settings = checkpoint_settings(checkpoint) if checkpoint and description is None else CheckpointSettings()
    known = description.preprocessing if description else built.preprocessing if isinstance(built, Network) else None
    own, origin = (known, f"{code}") if known else _own_preprocessing(module, spec, file_settings, code)
    settings = input_settings(
        own,
        file_settings,
        spec.preprocessing,
        model=origin,
        option_origins=option_origins,
        path=checkpoint.path if checkpoint else "",
    )
    count = _scores(module, settings.preprocessing, code)
    if spec.class_names:
        names = chosen_names(spec.class_names, count, ClassNames)
    else:
        stored = description.classes if description else class_names_of(checkpoint) if checkpoint else ()
        names = built.classes if isinstance(built, Network) and not stored else ClassNames(stored)
        if count:
            names = checked(names, count, f"The checkpoint {checkpoint.path!r}" if stored and checkpoint else str(code))
    weights = checkpoint.path if checkpoint else "weights of its code"
    sha = hashlib.sha256(f"{digest(module)} {code.source_digest()}".encode()).hexdigest()
    arguments = {f"model_arg {key}": option_origins.get("model_arg", "an option") for key in spec.args}
    return Network(
        module,
        str(code),
        settings.preprocessing,
        names,
        weights,
        sha,
        dict(spec.args),
        idle_tensors=idle,
        origins={**settings.origins, **arguments},
        warnings=settings.warnings,
        scores=spec.scores or (built.scores if isinstance(built, Network) else None),
        task=built.task if spec.task == AUTO and isinstance(built, Network) else spec.task,
        methods=built.methods if isinstance(built, Network) and built.methods else usual_methods(module),
    )


def _load(module: nn.Module, checkpoint: Checkpoint, spec: ModelSpec, name: str) -> tuple[str, ...]:
    """Loads every tensor, and returns the names of unused ones.

    Rebuilds nothing, because the user's code defines the network.
    """
    expected = module.state_dict()
    match = matched(checkpoint.tensors, expected, path=checkpoint.path, ignored=spec.ignore_tensors, ema=spec.ema)
    if not match.complete:
        raise mismatch(checkpoint, match, expected, name)
    module.load_state_dict(match.tensors, strict=False)
    return (*match.idle, *checkpoint.beside)


def _own_preprocessing(
    module: nn.Module, spec: ModelSpec, file_settings: CheckpointSettings, code: OwnCode
) -> tuple[Preprocessing, str]:
    """Returns the preprocessing of a network of timm, else a start that options and checkpoint replace."""
    if (detected := detector_preprocessing(module)) is not None:
        return detected, "its own resizing"
    config = getattr(module, "pretrained_cfg", None)
    if isinstance(config, Mapping) and config.get("mean"):
        return TimmModel("").preprocessing(module, PreprocessingOptions(), spec.args), "timm's default"
    options = spec.preprocessing
    needed = {"image_size": options.image_size, "mean": options.mean, "std": options.std}
    missing = [name for name, value in needed.items() if value is None and name not in file_settings.values]
    if missing:
        raise CamxError(
            f"The preprocessing of the network of {code} is unknown: {', '.join(f'`{name}`' for name in missing)}.",
            "Give these options, or return a cam_cli.Network, which has them.",
        )
    size: Any = options.image_size or file_settings.values["image_size"]
    channels = _channels(module, options.mean or file_settings.values.get("mean", ()))
    sides = size if isinstance(size, tuple) else (size, size)
    preprocessing = Preprocessing(sides, sides, "center", "bicubic", (0.0,) * channels, (1.0,) * channels)
    return preprocessing, "the default for own code"


def _channels(module: nn.Module, mean: tuple[float, ...]) -> int:
    """Number of input channels: that of the first convolution unless `mean` contradicts, else the length of `mean`."""
    first = next((p.shape[1] for p in module.parameters() if p.dim() == 4), 3)
    if first == 1 or first == len(mean) or (len(mean) <= 1 and 1 < first <= _MOST_CHANNELS):
        return int(first)
    return len(mean) if len(mean) > 1 else 3


def _scores(module: nn.Module, preprocessing: Preprocessing, code: OwnCode) -> int:
    """Number of logits per image. Raises `CamxError` if the network does not run."""
    first = next(iter(module.parameters()), None)
    picture = torch.zeros(1, preprocessing.channels, *preprocessing.input_size)
    try:
        with torch.no_grad():
            found = module(picture if first is None else picture.to(first.device, first.dtype))
    except Exception as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise CamxError(
            f"The network of {code} cannot run on an image of {'×'.join(map(str, picture.shape))}: {text}.",
            "Give the `image_size` and `mean` that it was trained with.",
        ) from error
    shape = getattr(found, "shape", None)
    return int(shape[-1]) if shape is not None and len(shape) == 2 else 0
