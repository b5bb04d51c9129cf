"""Reads open_clip_config.json. Networks that camx cannot build from it are errors."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CamxError, first_line, nearest
from ...regular_files import CONFIG_BYTES, read_regular
from ..hf.place import OPEN_CLIP_CONFIG, HubPlace
from ..timm_import import import_timm

#: Largest numbers: of layers, of tokens in a text, and of anything else.
_MOST_LAYERS, _LONGEST_TEXT, _LARGEST = 1000, 4096, 10_000_000
#: Allowed arguments of tokenizers: others reach the loader of the tokenizer, which can run code of a repository.
_TOKENIZER = ("clean", "strip_sep_token", "language", "reduction_mask")
RESIZE_MODES = ("shortest", "longest", "squash")
_INTERPOLATIONS = ("bicubic", "bilinear", "random")
_AGAIN = "Fetch it again."


@dataclass(frozen=True)
class Configuration:
    """Content of an open_clip_config.json: the whole network, and its part for texts."""

    network: Mapping[str, Any]
    text: Mapping[str, Any]

    @property
    def context_length(self) -> int:
        """Number of tokens of a text."""
        return int(self.text.get("context_length") or 77)

    @property
    def tokenizer(self) -> str:
        """Name of the tokenizer's repository; "" for the vocabulary inside open_clip."""
        return str(self.text.get("hf_tokenizer_name") or "")

    @property
    def tokenizer_arguments(self) -> dict[str, Any]:
        """Arguments of the tokenizer, without the one that shortens texts: camx shortens none."""
        stated = self.text.get("tokenizer_kwargs") or {}
        return {key: value for key, value in stated.items() if key != "reduction_mask"}


def read_configuration(place: HubPlace) -> Configuration:
    """Reads open_clip_config.json. Raises `CamxError` for a broken one, and for networks that camx cannot build."""
    path = os.path.join(place.folder, OPEN_CLIP_CONFIG)
    try:
        content = json.loads(read_regular(path, CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(place, f"cannot be read: {first_line(error)}") from error
    network = content.get("model_cfg") if isinstance(content, Mapping) else None
    if not isinstance(network, Mapping):
        raise _broken(place, "has no model_cfg")
    for key in ("vision_cfg", "text_cfg"):
        if not isinstance(network.get(key), Mapping):
            raise _broken(place, f"has no {key}")
    if not isinstance(network.get("embed_dim"), int):
        raise _broken(place, f"has embed_dim {network.get('embed_dim')!r:.60}, which is no whole number")
    _check_numbers(network, place)
    _check_towers(network, place)
    preprocessing = content.get("preprocess_cfg") or {}
    if not isinstance(preprocessing, Mapping):
        raise _broken(place, "has a preprocess_cfg that is no object")
    _check_preprocessing(preprocessing, place)
    return Configuration(network, network["text_cfg"])


def _check_numbers(values: Mapping[str, Any], place: HubPlace) -> None:
    """Raises `CamxError` for numbers larger than those of any network."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            _check_numbers(value, place)
        for number in value if isinstance(value, (list, tuple)) else (value,):
            most = _MOST_LAYERS if "layers" in key else _LONGEST_TEXT if key == "context_length" else _LARGEST
            if isinstance(number, (int, float)) and not abs(number) <= most:
                raise _broken(place, f"has {key} {number:,}, more than any network")


def _check_towers(network: Mapping[str, Any], place: HubPlace) -> None:
    """Raises `CamxError` for parts that camx does not build."""
    vision, text = network["vision_cfg"], network["text_cfg"]
    if name := text.get("hf_model_name"):
        raise CamxError(
            f"`model` {place.name!r} encodes texts with {name!r:.100}, a network of transformers inside one of "
            "open_clip, which camx does not build.",
            "Give a network whose texts open_clip encodes itself, or your own code, `model=my_module.py:build`.",
        )
    if "multimodal_cfg" in network:
        raise CamxError(
            f"`model` {place.name!r} is a CoCa, which also writes captions; camx does not build it.",
            "Give a network of the classes CLIP or CustomTextCLIP, or your own code, `model=my_module.py:build`.",
        )
    tower = vision.get("timm_model_name")
    if tower and not (isinstance(tower, str) and import_timm().is_model(tower)):
        timm = import_timm()
        raise CamxError(
            f"`model` {place.name!r} has the image encoder {tower!r:.100}, which timm {timm.__version__} does not "
            f"know.{nearest(str(tower), timm.list_models())}",
            "Update timm: `pip install -U timm`.",
        )
    arguments = text.get("tokenizer_kwargs") or {}
    if not isinstance(arguments, Mapping) or (unknown := [key for key in arguments if key not in _TOKENIZER]):
        listed = ", ".join(map(repr, unknown)) if isinstance(arguments, Mapping) else repr(arguments)
        raise _broken(place, f"gives its tokenizer arguments that camx does not know ({listed:.100})")
    if text.get("tokenizer_mode") not in (None, "", "clips"):
        raise _broken(place, f"has tokenizer_mode {text['tokenizer_mode']!r:.60}, which camx does not know")


def _check_preprocessing(stated: Mapping[str, Any], place: HubPlace) -> None:
    """Raises `CamxError` for impossible or unknown values."""
    if stated.get("mode") not in (None, "RGB"):
        raise _broken(place, f"has images of the mode {stated['mode']!r:.60}, and camx knows RGB alone")
    for key, known in (("resize_mode", RESIZE_MODES), ("interpolation", _INTERPOLATIONS)):
        if stated.get(key) is not None and stated[key] not in known:
            raise _broken(place, f"has {key} {stated[key]!r:.60}, which is none of {', '.join(known)}")
    level = stated.get("fill_color")
    if level is not None and not (isinstance(level, int) and 0 <= level <= 255):
        raise _broken(place, f"has fill_color {level!r:.60}, which is no level from 0 to 255")
    for key in ("mean", "std"):
        values = stated.get(key)
        if values is None:
            continue
        numbers = values if isinstance(values, list) else [values]
        if len(numbers) not in (1, 3) or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in numbers):
            raise _broken(place, f"has {key} {values!r:.60}, which is not one number for each of 3 channels")
        if key == "std" and min(numbers) <= 0:
            raise _broken(place, f"has std {values!r:.60}, which must be above 0")


def _broken(place: HubPlace, what: str) -> CamxError:
    return CamxError(f"The {OPEN_CLIP_CONFIG} of {place.name!r} {what}.", _AGAIN)
