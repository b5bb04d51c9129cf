"""BLIP-2 and InstructBLIP: a few queries read the image, and a language model reads the queries.

The queries lie nowhere in the image, so no attention of the text to it is followed. Maps are cut behind the tower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from .answer_families import Writer
from .families import towerless
from .questions import Prompt, Reading


@dataclass(frozen=True)
class Queries(Writer):
    """processor: of the library. start: the token before an answer of a language model with an encoder of its own (T5);
    None for any other."""

    processor: Any
    start: int | None

    def prompt(self, question: str) -> Prompt:
        """The prompt of the library's processor. InstructBLIP's queries read the question as well."""
        found = self.processor(text=[self.filled(question)], images=[Image.new("RGB", (64, 64))], return_tensors="pt")
        more = {name: value for name, value in found.items() if name.startswith("qformer_")}
        return Prompt(self.checked(question, found["input_ids"][0].tolist()), more)

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`. The tower does not run again."""
        inputs = self._inputs(prompt, prompt.tensor(len(tokens), tokens.device)) | {"pixel_values": pixels}
        before = prompt.pieces if self.start is None else [self.start]
        with towerless(module, self.family, tokens):
            return self.written(module, inputs, before, most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, answers: Tensor) -> Tensor:
        """See `Reader.read`."""
        ids = prompt.tensor(len(tokens), tokens.device)
        if self.start is None:
            inputs = self._inputs(prompt, torch.cat([ids, answers[:, :-1]], 1))
        else:
            before = torch.cat([torch.full_like(answers[:, :1], self.start), answers[:, :-1]], 1)
            inputs = self._inputs(prompt, ids) | {"decoder_input_ids": before}
        with towerless(module, self.family, tokens):
            found = module(pixel_values=tokens.new_zeros(len(tokens), 3, 1, 1), **inputs)
        scores: Tensor = found.logits[:, -answers.shape[1] :]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading | None:
        """None: no text reads the image tokens."""
        return None

    def _inputs(self, prompt: Prompt, ids: Tensor) -> dict[str, Any]:
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **prompt.others(len(ids), ids.device)}
