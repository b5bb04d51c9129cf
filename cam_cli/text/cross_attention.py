"""Networks whose text attends to the image by cross-attention: BLIP, and vision encoders with a text decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .families import towerless
from .reader import Prompt, Reading
from .writer import Writer


@dataclass(frozen=True)
class Decoder(Writer):
    """A decoder that continues the beginning of a text. start: token before a text. ids: name of the argument with the
    text. end: tokens that the library expects after a given beginning, and removes."""

    start: int
    ids: str
    end: tuple[int, ...] = ()

    def prompt(self, text: str) -> Prompt:
        """The beginning of a text, after the start token."""
        given = self.filled(text)
        pieces = self.tokenizer(given, add_special_tokens=False).input_ids if given else []
        return Prompt(self.checked(text, [self.start, *pieces]))

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`. The tower does not run again."""
        ids = replace(prompt, pieces=(*prompt.pieces, *self.end)).tensor(len(tokens), tokens.device)
        with towerless(module, self.family, tokens):
            # A copy, because the library changes it.
            return self.written(module, {self.ids: ids.clone(), "pixel_values": pixels}, prompt.pieces, most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """See `Reader.read`."""
        ids = torch.cat([prompt.tensor(len(tokens), tokens.device), texts[:, :-1]], 1)
        first, last = len(prompt.pieces) - 1, ids.shape[1]
        if last == tokens.shape[1]:
            # Attention among the pieces would have the shape of that to the image. No piece reads a later one.
            ids = torch.cat([ids, torch.zeros_like(ids[:, :1])], 1)
        with towerless(module, self.family, tokens):
            found = module(pixel_values=tokens.new_zeros(len(tokens), 3, 1, 1), **{self.ids: ids}, use_cache=False)
        scores: Tensor = found.logits[:, first:last]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """The cross-attention of all pieces that the network reads."""
        first = len(prompt.pieces) - 1
        read = first + length
        return Reading(read + (read == images), images, slice(None), slice(read), slice(first, read))


@dataclass(frozen=True)
class Blip(Writer):
    """BLIP that answers questions: an encoder reads question and image by cross-attention, and a decoder reads its
    output."""

    pad: int
    start: int

    def prompt(self, text: str) -> Prompt:
        """The question between its start and end tokens."""
        return Prompt(self.checked(text, self.tokenizer(self.filled(text)).input_ids))

    def room(self, prompt: Prompt) -> int:
        """Those of the decoder, which reads no question."""
        return self.longest

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`. The tower does not run again."""
        ids = prompt.tensor(len(tokens), tokens.device)
        inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
        with towerless(module, self.family, tokens):
            return self.written(module, inputs, [self.start], most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """See `Reader.read`. The library's own forward returns no scores: its parts run one after the other."""
        padded = self._padded(prompt, tokens.shape[1])
        ids = padded.tensor(len(tokens), tokens.device)
        pieces, mask = len(prompt.pieces), torch.ones_like(ids)
        mask[:, pieces:] = 0
        image = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        encoder, decoder = module.get_submodule("text_encoder"), module.get_submodule("text_decoder")
        found = encoder(
            input_ids=ids, attention_mask=mask, encoder_hidden_states=tokens, encoder_attention_mask=image
        ).last_hidden_state
        before = torch.cat([torch.full_like(texts[:, :1], self.start), texts[:, :-1]], 1)
        scores: Tensor = decoder(
            input_ids=before,
            encoder_hidden_states=found[:, :pieces],
            encoder_attention_mask=mask[:, :pieces],
            use_cache=False,
        ).logits
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """The cross-attention of all pieces of the question."""
        pieces = len(self._padded(prompt, images).pieces)
        return Reading(pieces, images, slice(None), slice(None))

    def _padded(self, prompt: Prompt, images: int) -> Prompt:
        """Adds a masked piece if attention among the pieces would have the shape of that to the image."""
        return replace(prompt, pieces=(*prompt.pieces, self.pad)) if len(prompt.pieces) == images else prompt
