"""Encodes class names as vectors, with prompts and the text encoder of a network such as CLIP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError, first_line
from ...sentences import counted
from .library import quiet
from .place import HubPlace

#: Placeholder of the class name in a prompt.
GAP = "{}"
DEFAULT_PROMPTS = ("a photo of a {}",)
#: Batch size of texts.
_BATCH = 32


class TextEncoder:
    """The text encoder of a network, with its tokenizer. picture: any input of the network, 1×C×H×W."""

    def __init__(self, library: Any, place: HubPlace, network: Any, picture: Tensor) -> None:
        self._library, self._place, self._network, self._picture = library, place, network, picture
        with quiet(library):
            self._tokenizer = read_tokenizer(library, place)
        text = getattr(network.config, "text_config", network.config)
        self._longest = int(getattr(text, "max_position_embeddings", 77))
        # SigLIP was trained on texts padded to one length.
        self._padding = "max_length" if "siglip" in network.config.model_type else True

    @torch.no_grad()
    def run(self, texts: Sequence[str]) -> Any:
        """Runs the whole network on the texts and one image, and returns its output.

        Raises `CamxError` for a text that is too long, and for any error of the tokenizer or the network.
        """
        try:
            with quiet(self._library):
                for text, own in zip(texts, self._tokenizer(list(texts))["input_ids"]):
                    check_length(text, len(own), self._longest)
                tokens = self._tokenizer(
                    list(texts), padding=self._padding, truncation=True, max_length=self._longest, return_tensors="pt"
                )
                known = {key: tokens[key] for key in ("input_ids", "attention_mask") if key in tokens}
                return self._network(pixel_values=self._picture, **known)
        except CamxError:
            raise
        # Tokenizers and networks may raise anything.
        except Exception as error:
            raise CamxError(f"`model` {self._place.name!r} cannot encode texts: {first_line(error)}.") from error

    def vectors(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """Returns one unit vector per name, K×D: the mean over its prompts."""
        return class_vectors(lambda texts: self.run(texts).text_embeds, names, prompts)


def class_vectors(encode: Callable[[Sequence[str]], Tensor], names: Sequence[str], prompts: Sequence[str]) -> Tensor:
    """Returns one unit vector per name, K×D: the mean over its prompts.

    encode: returns the vectors of at most 32 texts, N×D.
    """
    found = [_encoded(encode, [prompt.replace(GAP, name) for name in names]) for prompt in prompts]
    return nn.functional.normalize(torch.stack(found).mean(0), dim=-1)


def _encoded(encode: Callable[[Sequence[str]], Tensor], texts: Sequence[str]) -> Tensor:
    parts = [encode(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
    return nn.functional.normalize(torch.cat(parts).float(), dim=-1)


def check_length(text: str, tokens: int, most: int) -> None:
    """Raises `CamxError` for a text with more tokens than its encoder reads: the rest would not count."""
    if tokens > most:
        raise CamxError(
            f"The prompt {text!r:.200} has {tokens} tokens, and the network reads {counted(most, 'token')}.",
            "Shorten `prompts`, or the name of the class.",
            field="prompts",
        )


def check_prompts(prompts: Sequence[str]) -> None:
    """Raises `CamxError` for a prompt without the placeholder."""
    for prompt in prompts:
        if GAP not in prompt:
            raise CamxError(
                f"`prompts`: {prompt!r} has no {GAP} for the class name.",
                f"Add it, as in {DEFAULT_PROMPTS[0]!r}.",
                field="prompts",
            )


def read_tokenizer(library: Any, place: HubPlace) -> Any:
    """Reads the tokenizer beside a network. Raises `CamxError` if it cannot be read."""
    try:
        return library.AutoTokenizer.from_pretrained(place.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the library may raise anything on foreign files
        raise CamxError(
            f"The tokenizer of {place.name!r} cannot be read: {first_line(error)}.",
            "Put its files (tokenizer.json, tokenizer_config.json) beside the network.",
        ) from error
