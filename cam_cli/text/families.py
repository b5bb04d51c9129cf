"""Table of supported networks that write text, with the names of their parts, and reasons why others are
unsupported."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..models.hooks import answering


@dataclass(frozen=True)
class Family:
    """Parts of a network of the transformers library.

    tower: name of the module whose output are the image tokens. ids: the argument with the words. prefixed: image
    tokens stand before the words in one sequence; otherwise the words read them by cross-attention. projection: name of
    the module behind the tower that makes the image tokens of its output; "" if none does.
    """

    tower: str
    ids: str
    prefixed: bool
    projection: str = ""

    @property
    def layer(self) -> str:
        """Name of the module that makes the image tokens."""
        return self.projection or self.tower


#: Families by the class name in `config.json`.
CAPTIONERS = {
    "VisionEncoderDecoderModel": Family("encoder", "decoder_input_ids", prefixed=False),
    "BlipForConditionalGeneration": Family("vision_model", "input_ids", prefixed=False),
    # A normalisation ends the projection. In front of it the product of tokens and gradients would be nearly 0.
    "GitForCausalLM": Family("git.image_encoder", "input_ids", prefixed=True, projection="git.visual_projection"),
}

_TILES = "it cuts an image into several tiles, and camx has one map per image"
_PACKED = "it packs the patches of an image of any size into one sequence without a grid"
_PLACEHOLDERS = "its prompt holds a placeholder for each image token, which camx does not build yet"
_QUERIES = "its words read 32 queries, which lie nowhere in the image"
#: Unsupported classes with the reason.
REFUSED = {
    "Blip2ForConditionalGeneration": _QUERIES,
    "InstructBlipForConditionalGeneration": _QUERIES,
    "LlavaForConditionalGeneration": _PLACEHOLDERS,
    "PaliGemmaForConditionalGeneration": _PLACEHOLDERS,
    "InternVLForConditionalGeneration": _PLACEHOLDERS,
    "LlavaNextForConditionalGeneration": _TILES,
    "SmolVLMForConditionalGeneration": _TILES,
    "Idefics3ForConditionalGeneration": _TILES,
    "Qwen2VLForConditionalGeneration": _PACKED,
    "Qwen2_5_VLForConditionalGeneration": _PACKED,
    "Qwen3VLForConditionalGeneration": _PACKED,
    "Pix2StructForConditionalGeneration": _PACKED,
    "Kosmos2ForConditionalGeneration": _QUERIES.replace("32", "64"),
    "BlipForQuestionAnswering": "it answers questions, for `camx ask`",
    "ViltForQuestionAnswering": "it answers questions, for `camx ask`",
}


def start_token(network: Any) -> int:
    """Token before the first word of a text."""
    for config in (network.generation_config, network.config, getattr(network.config, "text_config", None)):
        for name in ("decoder_start_token_id", "bos_token_id"):
            found = getattr(config, name, None)
            if isinstance(found, int):
                return found
    return 0


def end_tokens(network: Any, tokenizer: Any) -> set[int]:
    """The tokens that end a text."""
    text = getattr(network.config, "text_config", None)
    # BLIP ends its texts with the separator, not with the end token of its configuration.
    places = [(text, "sep_token_id")] if network.config.model_type == "blip" else []
    places += [(one, "eos_token_id") for one in (network.generation_config, network.config, text, tokenizer)]
    for holder, name in [*places, (tokenizer, "sep_token_id")]:
        found = getattr(holder, name, None)
        if found is not None:
            return {int(one) for one in (found if isinstance(found, (list, tuple)) else [found])}
    return set()


def image_tokens(network: nn.Module, family: Family, pixels: Tensor) -> Tensor:
    """The image tokens B×N×D of images B×C×H×W."""
    tokens: Tensor = network.get_submodule(family.tower)(pixel_values=pixels).last_hidden_state
    return network.get_submodule(family.projection)(tokens) if family.projection else tokens


def towerless(network: nn.Module, family: Family, tokens: Tensor) -> AbstractContextManager[None]:
    """Returns the context in which a network reads these image tokens B×N×D, and its tower does not run."""
    answer = tower_output(tokens)
    answers = {network.get_submodule(family.tower): lambda *_args, **_kwargs: answer}
    if family.projection:
        answers[network.get_submodule(family.projection)] = lambda *_args, **_kwargs: tokens
    return answering(answers)


def tower_output(tokens: Tensor) -> Any:
    """Image tokens B×N×D as a tower of the library gives them."""
    outputs = importlib.import_module("transformers.modeling_outputs")
    return outputs.BaseModelOutputWithPooling(last_hidden_state=tokens)
