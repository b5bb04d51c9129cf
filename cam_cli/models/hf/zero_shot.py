"""Turns a network of images and texts (CLIP, SigLIP) into a classifier of named classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...sentences import counted
from ..class_files import FOLDER, INDEX, read_class_names
from ..classes import ClassNames
from ..options import ModelSpec
from .place import HubPlace
from .texts import DEFAULT_PROMPTS, TextEncoder, check_prompts

#: Default method: the mean over positions in Grad-CAM would average away the position of evidence.
METHODS = ("hirescam",)
#: Largest allowed difference to the scores of the network itself.
_EQUAL = 1e-3


def image_features(network: Any, pictures: Tensor) -> Tensor:
    """Returns vectors B×D of images B×C×H×W, by a network of transformers."""
    found = network.get_image_features(pixel_values=pictures)
    vectors: Tensor = getattr(found, "pooler_output", found)
    return vectors


class ZeroShotClassifier(nn.Module):
    """Compares images with texts: scores B×K equal those of the network, but texts are encoded only once.

    texts: unit vectors K×D. sigmoid: scores end in a sigmoid, one probability per class (SigLIP). encode: returns
    vectors B×D for the network and images B×C×H×W.

    The gradient of a score is that of its difference to the mean over all classes, since similarity to every prompt is
    no evidence for a class. Values are unchanged.
    """

    def __init__(
        self,
        network: nn.Module,
        texts: Tensor,
        *,
        sigmoid: bool,
        encode: Callable[[Any, Tensor], Tensor] = image_features,
    ) -> None:
        self.__dict__.update(_network=network, _encode=encode)
        super().__init__()
        network.register_buffer("class_texts", texts)
        self.sigmoid, self.num_classes = sigmoid, len(texts)
        self.__dict__.update(
            _modules=network._modules, _parameters=network._parameters, _buffers=network._buffers, training=False
        )

    def train(self, mode: bool = True) -> ZeroShotClassifier:
        """Sets the mode of the network, too."""
        self.__dict__["_network"].train(mode)
        self.training = mode
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns scores B×K of images B×C×H×W: logits, or probabilities after a sigmoid."""
        scores = self.plain(pictures)
        mean = scores.mean(1, keepdim=True)
        scores = scores - mean + mean.detach()
        return scores.sigmoid() if self.sigmoid else scores

    def plain(self, pictures: Tensor) -> Tensor:
        """Returns logits B×K of images B×C×H×W, with their own gradient."""
        network: Any = self.__dict__["_network"]
        images = self.__dict__["_encode"](network, pictures)
        images = images / images.norm(dim=-1, keepdim=True)
        bias = getattr(network, "logit_bias", None)
        scores: Tensor = images @ network.class_texts.T * network.logit_scale.exp()
        return scores if bias is None else scores + bias


def zero_shot(library: Any, place: HubPlace, network: Any, picture: Tensor, spec: ModelSpec) -> ZeroShotClassifier:
    """Builds the classifier of the names in `class_names`. picture: any input, 1×C×H×W.

    Raises `CamxError` without names, for prompts without a placeholder, and for networks that do not score as CLIP and
    SigLIP do.
    """
    names = list(class_names(place, spec).names)
    prompts = spec.prompts or DEFAULT_PROMPTS
    check_prompts(prompts)
    encoder = TextEncoder(library, place, network, picture)
    sigmoid = "siglip" in network.config.model_type
    _check_scores(encoder, network, picture, names[:8], prompts[0], place)
    classifier = ZeroShotClassifier(network, encoder.vectors(names, prompts), sigmoid=sigmoid)
    if isinstance(getattr(network, "text_model", None), nn.Module):
        network.text_model = None  # not needed any more
    return classifier


def class_names(place: HubPlace, spec: ModelSpec) -> ClassNames:
    """Returns the names of the classes. Raises `CamxError` for fewer than two."""
    if spec.class_names == INDEX:
        return ClassNames(("0", "1"))
    if not spec.class_names or spec.class_names == FOLDER:
        raise CamxError(
            f"`model` {place.name!r} compares images with texts: it needs class names.",
            "Give `class_names=FILE`, one name per line.",
            field="class_names",
        )
    found = read_class_names(spec.class_names)
    if len(found.names) < 2:
        raise CamxError(
            f"`class_names` {spec.class_names!r} has {counted(len(found.names), 'class name')}.",
            "Give two or more: scores compare the classes with each other.",
            field="class_names",
        )
    return found


@torch.no_grad()
def _check_scores(
    encoder: TextEncoder, network: Any, picture: Tensor, names: list[str], prompt: str, place: HubPlace
) -> None:
    """Raises `CamxError` if the scores differ from those of the network itself."""
    own = encoder.run([prompt.replace("{}", name) for name in names]).logits_per_image
    texts = encoder.vectors(names, (prompt,))
    try:
        found = ZeroShotClassifier(network, texts, sigmoid=False).plain(picture)
    except (AttributeError, TypeError, RuntimeError) as error:
        raise _unsupported(network, place) from error
    if found.shape != own.shape or float((found - own).abs().max()) > _EQUAL * float(own.abs().max() + 1):
        raise _unsupported(network, place)


def _unsupported(network: Any, place: HubPlace) -> CamxError:
    return CamxError(
        f"`model` {place.name!r} is a {type(network).__name__}, whose scores are not the product of one image "
        "vector and one text vector.",
        "Give a network such as CLIP or SigLIP.",
    )
