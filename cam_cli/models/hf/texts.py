"""Encodes class names as vectors, with prompts and the text encoder of a network such as CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError, first_line
from .library import quiet
from .place import HubPlace

#: Placeholder of the class name in a prompt.
GAP = "{}"
DEFAULT_PROMPTS = ("a photo of a {}",)
#: Batch size of texts.
_BATCH = 32


class TextEncoder:
    """Text encoder of a network with its tokenizer. picture: any input of the network, 1×C×H×W."""

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
        """Runs the whole network on texts and the input. Raises `CamxError`."""
        try:
            with quiet(self._library):
                tokens = self._tokenizer(
                    list(texts), padding=self._padding, truncation=True, max_length=self._longest, return_tensors="pt"
                )
                known = {key: tokens[key] for key in ("input_ids", "attention_mask") if key in tokens}
                return self._network(pixel_values=self._picture, **known)
        # Tokenizers and networks may raise anything.
        except Exception as error:
            raise CamxError(f"`model` {self._place.name!r} cannot encode texts: {first_line(error)}.") from error

    def vectors(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """One unit vector per name, K×D: the mean over its prompts."""
        found = [self._encoded([prompt.replace(GAP, name) for name in names]) for prompt in prompts]
        return nn.functional.normalize(torch.stack(found).mean(0), dim=-1)

    def _encoded(self, texts: Sequence[str]) -> Tensor:
        parts = [self.run(texts[start : start + _BATCH]).text_embeds for start in range(0, len(texts), _BATCH)]
        return nn.functional.normalize(torch.cat(parts).float(), dim=-1)


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
    """Reads the tokenizer beside a network. Raises `CamxError`."""
    try:
        return library.AutoTokenizer.from_pretrained(place.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # as above
        raise CamxError(
            f"The tokenizer of {place.name!r} cannot be read: {first_line(error)}.",
            "Put its files (tokenizer.json, tokenizer_config.json) beside the network.",
        ) from error
