"""BLIP-2 and InstructBLIP: queries read the image, and a language model reads the queries.

Queries have no place in the image, so attention of the text is not used. Maps are cut behind the tower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from .families import towerless
from .reader import Prompt, Reading
from .writer import Writer


@dataclass(frozen=True)
class Queries(Writer):
    """processor: of the library. start: the token before an answer of a language model with an encoder of its own (T5);
    None for any other."""

    processor: Any
    start: int | None

    def prompt(self, text: str) -> Prompt:
        """The prompt by the processor of the library. The queries of InstructBLIP read it, too."""
        found = self.processor(text=[self.filled(text)], images=[Image.new("RGB", (64, 64))], return_tensors="pt")
        more = {name: value for name, value in found.items() if name.startswith("qformer_")}
        return Prompt(self.checked(text, found["input_ids"][0].tolist()), more)

    def room(self, prompt: Prompt) -> int:
        """Most pieces of a text: behind its prompt, or in a decoder of its own."""
        return super().room(prompt) if self.start is None else self.longest

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`. The tower does not run again."""
        inputs = self._inputs(prompt, prompt.tensor(len(tokens), tokens.device)) | {"pixel_values": pixels}
        before = prompt.pieces if self.start is None else [self.start]
        with towerless(module, self.family, tokens):
            return self.written(module, inputs, before, most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """See `Reader.read`."""
        ids = prompt.tensor(len(tokens), tokens.device)
        if self.start is None:
            inputs = self._inputs(prompt, torch.cat([ids, texts[:, :-1]], 1))
        else:
            before = torch.cat([torch.full_like(texts[:, :1], self.start), texts[:, :-1]], 1)
            inputs = self._inputs(prompt, ids) | {"decoder_input_ids": before}
        with towerless(module, self.family, tokens):
            found = module(pixel_values=tokens.new_zeros(len(tokens), 3, 1, 1), **inputs)
        scores: Tensor = found.logits[:, -texts.shape[1] :]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading | None:
        """None: no text reads the image tokens."""
        return None

    def _inputs(self, prompt: Prompt, ids: Tensor) -> dict[str, Any]:
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **prompt.others(len(ids), ids.device)}
