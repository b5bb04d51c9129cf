"""Encodes texts with the tokenizer and the text encoder of a network of open_clip. Too long texts are errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import CamxError, first_line
from ..hf.library import quiet as quiet_transformers
from ..hf.library import transformers
from ..hf.place import TOKENIZER_FILES, HubPlace, tokenizer_folder
from ..hf.texts import check_length
from .configuration import Configuration
from .library import HINT, quiet


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer of open_clip. most: tokens of a text.

    inner: the tokenizer of transformers in it; None for the vocabulary inside open_clip. origin: repository of its
    files; "" if they are beside the network. outer: the library transformers.
    """

    own: Any
    inner: Any
    most: int
    origin: str = ""
    outer: Any = None

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Returns tokens B×L. Raises `CamxError` for a text that is too long."""
        with quiet_transformers(self.outer) if self.outer else contextlib.nullcontext():
            for text in texts:
                check_length(text, self._length(text), self.most)
            found: Tensor = self.own(list(texts))
            return found

    def _length(self, text: str) -> int:
        """Returns the number of tokens, with those that mark the beginning and the end."""
        if self.inner is None:
            return len(self.own.encode(text)) + 2
        cleaned = self.own.clean_fn(text)
        if self.own.tokenizer_mode == "clips":
            return len(self.inner(cleaned, add_special_tokens=False)["input_ids"]) + 3
        return len(self.inner(cleaned)["input_ids"])


class TextEncoder:
    """The text encoder of a network of open_clip, with its tokenizer."""

    def __init__(self, library: Any, place: HubPlace, network: Any, config: Configuration) -> None:
        self._place, self._network, self._vocabulary = place, network, int(network.vocab_size)
        self.tokenizer = read_tokenizer(library, place, config)

    @torch.no_grad()
    def run(self, texts: Sequence[str]) -> Tensor:
        """Returns unit vectors B×D of texts. Raises `CamxError` as `tokens` does."""
        found: Tensor = self._network.encode_text(self.tokens(texts), normalize=True)
        return found

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Returns tokens B×L of texts. Raises `CamxError` for tokens that the network does not know."""
        try:
            with quiet():
                tokens = self.tokenizer.tokens(texts)
        except CamxError:
            raise
        except Exception as error:  # tokenizers may raise anything
            raise CamxError(f"`model` {self._place.name!r} cannot encode texts: {first_line(error)}.") from error
        most, known = int(tokens.max()), self._vocabulary
        if most >= known or int(tokens.min()) < 0:
            raise CamxError(
                f"The tokenizer of {self._place.name!r} gives the token {most:,}, and its text encoder knows "
                f"{known:,}.",
                "Put the tokenizer that it was trained with beside the network.",
            )
        return tokens


def read_tokenizer(library: Any, place: HubPlace, config: Configuration) -> Tokenizer:
    """Reads the tokenizer that the configuration names: beside the network, or in the repository of that name.

    Raises `CamxError` if it cannot be read, or needs transformers and that is missing.
    """
    most = config.context_length
    kinds: Any = library.tokenizer
    if not config.tokenizer:
        arguments = {key: value for key, value in config.tokenizer_arguments.items() if key == "clean"}
        return Tokenizer(_built(kinds.SimpleTokenizer, place, context_length=most, **arguments), None, most)
    try:
        outer = transformers("")
    except CamxError as error:
        raise CamxError(
            f"The tokenizer of {place.name!r}, {config.tokenizer!r:.100}, is one of the transformers library 5 or "
            "newer, which is not installed.",
            HINT,
        ) from error
    folder, origin = place.folder, ""
    if not any(map(place.has, TOKENIZER_FILES)):
        folder = tokenizer_folder(config.tokenizer, place.name)
        origin = f"{config.tokenizer} at revision {os.path.basename(folder)}"
    with quiet_transformers(outer):
        own = _built(
            kinds.HFTokenizer,
            place,
            folder,
            context_length=most,
            tokenizer_mode=config.text.get("tokenizer_mode"),
            trust_remote_code=False,
            local_files_only=True,
            **config.tokenizer_arguments,
        )
    return Tokenizer(own, own.tokenizer, most, origin, outer)


def _built(kind: Any, place: HubPlace, *given: Any, **named: Any) -> Any:
    try:
        with quiet():
            return kind(*given, **named)
    except Exception as error:  # a tokenizer may raise anything on foreign files
        raise CamxError(
            f"The tokenizer of {place.name!r} cannot be read: {first_line(error)}.",
            "Put its files (tokenizer.json, tokenizer_config.json) beside the network.",
        ) from error
