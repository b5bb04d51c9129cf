"""Wraps a classifier of the transformers library: images in, one tensor of scores out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError, first_line
from .library import quiet, transformers
from .place import architectures

#: Largest numbers in a configuration: of layers, and of anything else.
_MOST_LAYERS, _LARGEST = 1000, 10_000_000
#: Keys of labels: they do not change the network, and `network` reads them from config.json.
_LABELS = ("id2label", "label2id")
#: Keys of the configurations of parts.
_PARTS = ("encoder", "decoder", "vision_config", "text_config")


class HubClassifier(nn.Module):
    """A network of transformers as a module with the same names of modules, parameters and buffers.

    flipped: the network takes channels as blue, green, red. several_labels: scores end in a sigmoid, one probability
    per class.
    """

    def __init__(self, network: nn.Module, *, flipped: bool = False, several_labels: bool = False) -> None:
        training = network.training
        self.__dict__["_network"] = network
        super().__init__()
        self.flipped, self.several_labels = flipped, several_labels
        self.num_classes = int(network.config.num_labels)  # type: ignore[union-attr, arg-type]
        self.__dict__.update(
            _modules=network._modules, _parameters=network._parameters, _buffers=network._buffers, training=training
        )

    def train(self, mode: bool = True) -> HubClassifier:
        """Sets the mode of the wrapped network, too."""
        self.__dict__["_network"].train(mode)
        self.training = mode
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns scores B×K of images B×C×H×W: logits, or probabilities with several labels."""
        network = self.__dict__["_network"]
        pictures = pictures.flip(1) if self.flipped else pictures
        scores: Tensor = network(**{network.main_input_name: pictures}, return_dict=True).logits
        return scores.sigmoid() if self.several_labels else scores

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `rebuilt`, as JSON."""
        network = self.__dict__["_network"]
        config = {key: value for key, value in network.config.to_dict().items() if key not in _LABELS}
        config |= {"architectures": [type(network).__name__], "num_labels": self.num_classes}
        return {"config": _plain(config), "flipped": self.flipped, "several_labels": self.several_labels}


def rebuilt(name: str, arguments: Mapping[str, Any]) -> HubClassifier:
    """Returns a network of random weights from the `arguments` of a `HubClassifier`.

    Raises `CamxError` for arguments that the library cannot use.
    """
    config = arguments.get("config")
    if not isinstance(config, Mapping):
        raise CamxError(f"The description of {name!r} holds no configuration.", "Train it again.")
    kind, own = described(transformers(name), config, name)
    network = built(kind, own, name)
    flags = {key: bool(arguments.get(key)) for key in ("flipped", "several_labels")}
    return HubClassifier(network, **flags).eval()


def compares_texts(library: Any, config: Mapping[str, Any]) -> bool:
    """Whether a config.json names a network of images and texts, such as CLIP, and not a classifier built from it."""
    stated = config.get("architectures")
    names = library.models.auto.modeling_auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return isinstance(stated, (list, tuple)) and names.get(str(config.get("model_type"))) in stated


def described(library: Any, config: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    """Returns the class of the classifier in a config.json, and its configuration; see `configured`.

    Raises `CamxError` also for networks that are neither image classifiers nor like CLIP.
    """
    auto = library.models.auto.modeling_auto
    kind = str(config.get("model_type"))
    known = auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(kind, ())
    allowed: tuple[str, ...] = (known,) if isinstance(known, str) else tuple(known)
    allowed += (auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(kind, ""),)
    named = architectures(config)
    found = next((one for one in named if one in allowed), None)
    if found is None:
        raise CamxError(
            f"`model` {name!r} is {kind_words(config)}, no image classifier of the transformers library.",
            "Fine-tune it as a …ForImageClassification, or give your own code, `model=my_module.py:build`.",
        )
    return configured(library, config, name, found)


def kind_words(config: Mapping[str, Any]) -> str:
    """Returns the kind of network in a config.json, for an error: `a ViTModel`."""
    named, kind = architectures(config), config.get("model_type")
    return f"a {named[0]}" if named else f"of the kind {str(kind)!r}" if kind else "of no kind that it names"


def configured(library: Any, config: Mapping[str, Any], name: str, found: str) -> tuple[Any, Any]:
    """Returns the class `found` of the library, and the configuration of the network. Runs no code of a folder.

    Raises `CamxError` for impossible numbers and for quantised weights.
    """
    kind = str(config.get("model_type"))
    if "quantization_config" in config:
        raise CamxError(f"`model` {name!r} has quantised weights.", "Save it again in float.")
    _check_numbers(config, name)
    values = {key: value for key, value in config.items() if "attn_implementation" not in key and key != "auto_map"}
    try:
        with quiet(library):
            classes = library.models.auto.configuration_auto.CONFIG_MAPPING
            return getattr(library, found), classes[kind].from_dict(values)
    # A configuration class may raise anything on invalid values.
    except Exception as error:
        raise CamxError(
            f"The config.json of {name!r} cannot be used: {first_line(error)}.", "Fetch it again."
        ) from error


def built(kind: Any, config: Any, name: str) -> nn.Module:
    """Builds a network with random weights, in float32. Raises `CamxError` if that fails."""
    library = transformers(name)
    try:
        with quiet(library):
            network: nn.Module = kind._from_config(config, attn_implementation=attention(kind))
            return network.float()
    except Exception as error:  # a network class may raise anything on invalid values
        raise CamxError(f"`model` {name!r} cannot be built: {first_line(error)}.") from error


def attention(kind: Any) -> str:
    """Returns the attention implementation that camx can observe: torch's own if the network has it."""
    return "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"


def check_size(kind: Any, config: Any, name: str, stored: int) -> None:
    """Raises `CamxError` if the network would have far more numbers than its files have bytes."""
    try:
        with torch.device("meta"):
            network = kind._from_config(config)
    except Exception:  # some networks compute with values in their constructor, which the meta device lacks
        return
    wanted = sum(parameter.numel() for parameter in network.parameters())
    if wanted > stored + 20_000_000:
        raise CamxError(
            f"The config.json of {name!r} describes {wanted:,} weights, but its files hold {stored:,} bytes.",
            "Fetch both again.",
        )


def _check_numbers(config: Mapping[str, Any], name: str) -> None:
    for key, value in config.items():
        if key in _LABELS:
            continue
        if key in _PARTS and isinstance(value, Mapping):
            _check_numbers(value, name)
        for number in value if isinstance(value, (list, tuple)) else (value,):
            most = _MOST_LAYERS if "layers" in key or "depth" in key else _LARGEST
            if isinstance(number, (int, float)) and abs(number) > most:
                raise CamxError(
                    f"The config.json of {name!r} has {key} {number:,}, more than any network.", "Fetch it again."
                )


def _plain(value: Any) -> Any:
    """Converts a value to JSON types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
