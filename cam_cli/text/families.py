"""Parts of networks that write text: the modules that compute image tokens, and the tokens at the begin and end of a
text."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..models.hooks import answering


@dataclass(frozen=True)
class Family:
    """Modules of a network of the transformers library. tower: name of the module whose outputs are the image tokens.
    projection: name of the module after the tower that computes the image tokens from its output, or ""."""

    tower: str
    projection: str = ""

    @property
    def layer(self) -> str:
        """Name of the module that computes the image tokens."""
        return self.projection or self.tower


def start_token(network: Any) -> int:
    """Token before the first word of a text."""
    for config in (network.generation_config, network.config, getattr(network.config, "text_config", None)):
        for name in ("decoder_start_token_id", "bos_token_id"):
            found = getattr(config, name, None)
            if isinstance(found, int):
                return found
    return 0


def end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a text."""
    text = getattr(network.config, "text_config", None)
    # BLIP ends its texts with the separator, not with the end token of its configuration.
    places = [(text, "sep_token_id")] if network.config.model_type == "blip" else []
    places += [(one, "eos_token_id") for one in (network.generation_config, network.config, text, tokenizer)]
    for holder, name in [*places, (tokenizer, "sep_token_id")]:
        found = getattr(holder, name, None)
        if found is not None:
            return frozenset(int(one) for one in (found if isinstance(found, (list, tuple)) else [found]))
    return frozenset()


def image_tokens(network: nn.Module, family: Family, pixels: Tensor) -> Tensor:
    """Image tokens B×N×D of images B×C×H×W."""
    tokens: Tensor = network.get_submodule(family.tower)(pixel_values=pixels).last_hidden_state
    return network.get_submodule(family.projection)(tokens) if family.projection else tokens


def towerless(network: nn.Module, family: Family, tokens: Tensor) -> AbstractContextManager[None]:
    """While active, the network reads these image tokens B×N×D, and its tower does not run."""
    answer = tower_output(tokens)
    answers = {network.get_submodule(family.tower): lambda *_args, **_kwargs: answer}
    if family.projection:
        answers[network.get_submodule(family.projection)] = lambda *_args, **_kwargs: tokens
    return answering(answers)


def tower_output(tokens: Tensor) -> Any:
    """Image tokens B×N×D in the format of the tower's output."""
    outputs = importlib.import_module("transformers.modeling_outputs")
    return outputs.BaseModelOutputWithPooling(last_hidden_state=tokens)
