"""Loads a network of the transformers library that writes text about an image, with tokenizer and preprocessing."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import CamxError
from ..checkpoint_settings import CheckpointSettings
from ..input_settings import input_settings
from ..network import Network, digest
from ..options import ModelSpec
from .classifier import built, configured, kind_words
from .library import transformers
from .network import by_options, check_options, inexact, loaded
from .place import HubPlace, architectures, hub_place, is_hub_name
from .processor import read_processor
from .texts import read_tokenizer


@dataclass(frozen=True)
class TextNetwork:
    """A network that writes text, with its tokenizer.

    network: holds the unchanged module of the library. kind: name of its class. flipped: the module takes channels as
    blue, green, red. folder: of its files.
    """

    network: Network
    kind: str
    tokenizer: Any
    flipped: bool
    folder: str


def text_network(
    spec: ModelSpec,
    option_origins: Mapping[str, str],
    kinds: Sequence[str],
    refused: Mapping[str, str],
    what: str,
    example: str = "hf:Salesforce/blip-image-captioning-base",
    varying: Collection[str] = (),
) -> TextNetwork:
    """Loads the network of `hf:PATH_OR_ID` or a folder onto the CPU, in float32.

    option_origins: origin of each option by its field. kinds: names of supported classes. refused: reasons for
    unsupported classes, by name. what: kind of network for errors, with an example. varying: supported classes that
    take inputs of several sizes. Raises `CamxError` for other networks, for weights that do not fit, and for a
    processor that camx cannot reproduce.
    """
    place = _place(spec.name, what, example)
    check_options(spec, place)
    if place.of_open_clip:
        raise CamxError(
            f"`model` {place.name!r} is a network of open_clip, which compares images with texts and writes none.",
            f"Give one of these classes of transformers: {', '.join(kinds)}.",
        )
    library = transformers(f"`model` {place.name!r}")
    config = place.read_config()
    kind = next((one for one in architectures(config) if one in kinds), None)
    if kind is None:
        raise _unsupported(place, config, kinds, refused, what)
    built_as, own = configured(library, config, place.name, kind)
    torch.manual_seed(spec.seed)
    idle: tuple[str, ...] = ()
    if spec.pretrained:
        module, idle = loaded(library, built_as, own, place, spec)
    else:
        module = built(built_as, own, place.name)
    channels = _channels(own)
    read = read_processor(library, place, channels, varying=kind in varying)
    found = read or by_options(place, spec.preprocessing, channels)
    if found.preprocessing.divisor and (spec.preprocessing.image_size or spec.preprocessing.crop_mode):
        raise CamxError(
            f"`model` {place.name!r} takes each image at a size of its own.", "Leave `image_size` and `crop_mode` out."
        )
    settings = input_settings(
        found.preprocessing,
        CheckpointSettings(),
        spec.preprocessing,
        model="its image processor",
        option_origins=option_origins,
        path=place.folder,
    )
    network = Network(
        module=module.eval(),
        name=place.name if place.revision else f"hf:{os.path.basename(os.path.abspath(place.folder))}",
        preprocessing=settings.preprocessing,
        weights=place.weights if spec.pretrained else f"random, seed {spec.seed}",
        digest=digest(module),
        idle_tensors=idle,
        origins=settings.origins,
        warnings=(*settings.warnings, *inexact(found)),
    )
    return TextNetwork(network, kind, read_tokenizer(library, place), found.flipped, place.folder)


def _place(name: str, what: str, example: str) -> HubPlace:
    if is_hub_name(name):
        place = hub_place(name)
        assert place is not None
        return place
    path = os.path.expanduser(name)
    if os.path.isfile(os.path.join(path, "config.json")):
        return HubPlace(name, path)
    raise CamxError(
        f"`model` {name!r} is no {what} of the transformers library.",
        f"Give hf:FOLDER or hf:OWNER/NAME, such as {example}.",
        field="name",
    )


def _unsupported(
    place: HubPlace, config: Mapping[str, Any], kinds: Sequence[str], refused: Mapping[str, str], what: str
) -> CamxError:
    reason = next((refused[one] for one in architectures(config) if one in refused), "")
    return CamxError(
        f"`model` {place.name!r} is {kind_words(config)}, "
        + (f"which camx does not explain: {reason}." if reason else f"no {what} that camx knows."),
        f"Give one of these classes: {', '.join(kinds)}.",
    )


def _channels(config: Any) -> int:
    """Returns the number of image channels, from the configuration of the vision part."""
    for part in ("vision_config", "encoder"):
        config = getattr(config, part, None) or config
    return int(getattr(config, "num_channels", 3))
