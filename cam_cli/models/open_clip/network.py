"""Loads a network of the open_clip library as a classifier of named classes, with weights and preprocessing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError, first_line
from ...sentences import counted
from ..checkpoint_settings import CheckpointSettings
from ..checkpoints import read_checkpoint
from ..hf.network import check_options
from ..hf.place import OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, HubPlace
from ..hf.texts import DEFAULT_PROMPTS, GAP, check_prompts, class_vectors
from ..hf.zero_shot import METHODS, ZeroShotClassifier, class_names
from ..input_settings import input_settings
from ..matching import matched
from ..network import Network, digest
from ..options import ModelSpec
from .configuration import read_configuration
from .library import open_clip, quiet
from .texts import TextEncoder
from .transform import preprocessing_of

#: The parts that compute scores from images; all others encode texts.
_IMAGE_PARTS = ("visual", "logit_scale", "logit_bias", "class_texts")
#: Largest allowed difference to the scores of the network itself, relative to them.
_EQUAL = 1e-3


def open_clip_network(place: HubPlace, spec: ModelSpec, option_origins: Mapping[str, str]) -> Network:
    """Loads the classifier of the names in `class_names` onto the CPU, in float32.

    option_origins: origin of each option by its field. Raises `CamxError` for networks that camx cannot build, for
    weights that do not fit, for missing names, and for prompts without a placeholder or too long ones.
    """
    check_options(spec, place)
    library = open_clip(f"`model` {place.name!r}")
    config = read_configuration(place)
    names = class_names(place, spec)
    prompts = spec.prompts or DEFAULT_PROMPTS
    check_prompts(prompts)
    torch.manual_seed(spec.seed)
    weights = _weights(place) if spec.pretrained else ""
    if weights:
        _check_size(library, place, os.path.getsize(weights))
    network = _built(library, place)
    idle = _load(network, weights, place, spec) if weights else ()
    settings = input_settings(
        preprocessing_of(library, network, place),
        CheckpointSettings(),
        spec.preprocessing,
        model=f"its {OPEN_CLIP_CONFIG}",
        option_origins=option_origins,
        path=place.folder,
    )
    encoder = TextEncoder(library, place, network, config)
    first = [prompts[0].replace(GAP, name) for name in names.names[:8]]
    _check_scores(network, encoder, first, place, settings.preprocessing.input_size, spec)
    texts = class_vectors(encoder.run, names.names, prompts)
    module = ZeroShotClassifier(network, texts, sigmoid=network.logit_bias is not None, encode=_image_vectors)
    _drop_texts(network)
    return Network(
        module=module.eval(),
        name=place.name if place.revision else f"hf:{os.path.basename(os.path.abspath(place.folder))}",
        preprocessing=settings.preprocessing,
        classes=names,
        weights=place.weights if weights else f"random, seed {spec.seed}",
        digest=digest(module),
        args={"prompts": list(prompts)},
        notes=tuple(_notes(encoder, place)),
        idle_tensors=idle,
        origins=settings.origins,
        warnings=settings.warnings,
        scores=spec.scores,
        task=spec.task,
        methods=METHODS,
    )


def _built(library: Any, place: HubPlace, device: str = "cpu") -> Any:
    """Builds the network with random weights. Raises `CamxError` also for a class that camx does not explain."""
    try:
        with quiet():
            network = library.create_model(
                f"local-dir:{place.folder}",
                load_weights=False,
                device=device,
                pretrained_image=False,
                pretrained_text=False,
            )
    except Exception as error:  # any part of the library may raise anything on invalid values
        raise CamxError(
            f"open_clip {library.__version__} cannot build the network of {place.name!r} from its {OPEN_CLIP_CONFIG}: "
            f"{first_line(error)}.",
            "Fetch it again, or update the library: `pip install -U open_clip_torch`.",
        ) from error
    if not isinstance(network, (library.CLIP, library.CustomTextCLIP)):
        raise CamxError(
            f"`model` {place.name!r} is a {type(network).__name__} of open_clip, which camx does not explain.",
            "Give a network of the classes CLIP or CustomTextCLIP.",
        )
    return network.eval()


def _check_size(library: Any, place: HubPlace, stored: int) -> None:
    """Raises `CamxError` if the network would have far more numbers than its file has bytes."""
    try:
        with torch.device("meta"):
            network = _built(library, place, "meta")
    except CamxError:  # some networks compute with values in their constructor, which the meta device lacks
        return
    wanted = sum(parameter.numel() for parameter in network.parameters())
    if wanted > stored + 20_000_000:
        raise CamxError(
            f"The {OPEN_CLIP_CONFIG} of {place.name!r} describes {wanted:,} weights, but its file holds {stored:,} "
            "bytes.",
            "Fetch both again.",
        )


def _weights(place: HubPlace) -> str:
    """Returns the path of the file of weights. Raises `CamxError` if there is none as safetensors."""
    found = next(filter(place.has, OPEN_CLIP_WEIGHTS), "")
    if found:
        return os.path.join(place.folder, found)
    other = next((name for name in sorted(os.listdir(place.folder)) if name.endswith((".bin", ".pt", ".pth"))), "")
    if other:
        raise CamxError(
            f"`model` {place.name!r} has its weights as {other}; camx reads networks of open_clip from safetensors "
            "alone.",
            f"Convert them: safetensors.torch.save_file(torch.load({other!r}, weights_only=True), "
            f"{OPEN_CLIP_WEIGHTS[0]!r}).",
        )
    raise CamxError(
        f"`model` {place.name!r} has no {OPEN_CLIP_WEIGHTS[0]} beside its {OPEN_CLIP_CONFIG}.",
        "Fetch the file, or try random weights: `pretrained=False`.",
    )


def _load(network: Any, path: str, place: HubPlace, spec: ModelSpec) -> tuple[str, ...]:
    """Loads all tensors of a file; returns the names of those without influence.

    Raises `CamxError` for tensors that are missing, left over or of another shape. open_clip itself would resample
    position embeddings of another size, and set a missing bias of the scores to 0.
    """
    expected = network.state_dict()
    tensors = read_checkpoint(path).tensors
    if "text.positional_embedding" in expected:
        from open_clip.model import convert_to_custom_text_state_dict

        tensors = convert_to_custom_text_state_dict(tensors)  # files older than this class
    # Older files have the one number of a scale as a list of one.
    tensors = {
        name: tensor.reshape(expected[name].shape)
        if name.startswith("logit_") and name in expected and tensor.numel() == 1
        else tensor
        for name, tensor in tensors.items()
    }
    match = matched(tensors, expected, path=path, ignored=spec.ignore_tensors)
    left = sorted([*match.inside, *match.outside])
    for names, what, hint in (
        (match.missing, "lack", f"Fetch both files again: the {OPEN_CLIP_CONFIG} describes another network."),
        (left, "hold, and the network has no place for,", "If they do not matter, name them in `ignore_tensors`."),
    ):
        if names:
            more = f" and {counted(len(names) - 1, 'other tensor')}" if len(names) > 1 else ""
            raise CamxError(f"The weights of {place.name!r} {what} {names[0]!r}{more}.", hint)
    if match.wrong:
        name = match.wrong[0]
        stored, needed = ("×".join(map(str, one[name].shape)) for one in (match.tensors, expected))
        raise CamxError(
            f"The weights of {place.name!r} do not fit its {OPEN_CLIP_CONFIG}: {name!r} is {stored}, and the network "
            f"has {needed}.",
            "Fetch both again.",
        )
    network.load_state_dict(match.tensors, strict=False)
    return match.idle


@torch.no_grad()
def _check_scores(
    network: Any, encoder: TextEncoder, texts: Sequence[str], place: HubPlace, size: tuple[int, int], spec: ModelSpec
) -> None:
    """Raises `CamxError` if the network does not run on images of `size`, or scores texts differently from camx."""
    picture = torch.zeros(1, 3, *size)
    try:
        network.encode_image(picture, normalize=True)
    except Exception as error:  # a network may raise anything on images of another size
        raise CamxError(
            f"The network of {place.name!r} cannot run on images of {size[0]}×{size[1]} pixels: {first_line(error)}.",
            "Leave `image_size` out." if spec.preprocessing.image_size else "Fetch it again.",
            field="image_size" if spec.preprocessing.image_size else "",
        ) from error
    own, _ = network.get_logits(picture, encoder.tokens(texts))
    found = ZeroShotClassifier(network, encoder.run(texts), sigmoid=False, encode=_image_vectors).plain(picture)
    if found.shape != own.shape or float((found - own).abs().max()) > _EQUAL * float(own.abs().max() + 1):
        raise CamxError(
            f"`model` {place.name!r} is a {type(network).__name__}, whose scores are not the product of one image "
            "vector and one text vector.",
            "Give a network such as CLIP or SigLIP.",
        )


def _image_vectors(network: Any, pictures: Tensor) -> Tensor:
    """Returns the vectors B×D of images B×C×H×W."""
    vectors: Tensor = network.encode_image(pictures)
    return vectors


def _drop_texts(network: nn.Module) -> None:
    """Removes the text encoder: the vectors of the classes replace it."""
    for parts in (network._modules, network._parameters, network._buffers):
        for name in [name for name in parts if name not in _IMAGE_PARTS]:
            delattr(network, name)


def _notes(encoder: TextEncoder, place: HubPlace) -> Iterator[str]:
    if place.names_class:
        yield "config.json names a network of transformers, whose weights are not there; camx uses that of open_clip."
    if encoder.tokenizer.origin:
        yield f"The tokenizer is {encoder.tokenizer.origin}."
