"""ViLT: question and patches in one sequence, and a head with a score for each known answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CamxError
from .options import GAP
from .questions import NO, YES
from .reader import Prompt, Reading
from .writer import check_length


@dataclass(frozen=True)
class Vilt:
    """answers: names of the outputs. longest: most pieces of a question. template: text around a question, with {} in
    its place."""

    tokenizer: Any
    answers: Mapping[int, str]
    longest: int
    template: str
    tower = "vilt.embeddings"
    #: Trained with one binary cross-entropy per answer.
    independent = True
    notes = ()

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """Embedded class token and patches B×(1+N)×D, row by row. The library draws patches in a random order and
        returns it; attention does not depend on the order."""
        mask = torch.ones(len(pixels), *pixels.shape[2:], dtype=torch.long, device=pixels.device)
        embeddings = module.get_submodule(self.tower)
        found, _, (places, (_, columns)) = embeddings.visual_embed(pixels, mask, max_image_length=-1)  # type: ignore[operator]
        order = (places[..., 0] * columns + places[..., 1]).argsort(1)
        patches = found[:, 1:].gather(1, order[..., None].expand(-1, -1, found.shape[2]))
        return torch.cat([found[:, :1], patches], 1)

    def prompt(self, text: str) -> Prompt:
        """The question between the tokens of its beginning and its end. Raises `CamxError` for one that is too long."""
        pieces = tuple(map(int, self.tokenizer(self.template.replace(GAP, text)).input_ids))
        check_length(text, len(pieces), self.longest)
        return Prompt(pieces)

    def room(self, prompt: Prompt) -> int:
        """1: an answer is one number."""
        return 1

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """Number of the best answer for each image."""
        with torch.no_grad():
            scores = self.read(module, tokens, prompt, torch.zeros(len(tokens), 1))
        return [[int(one)] for one in scores[:, 0].argmax(1)]

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """Scores B×1×K of all answers."""
        ids = prompt.tensor(len(tokens), tokens.device)
        whole = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        found = module(input_ids=ids, attention_mask=torch.ones_like(ids), image_embeds=tokens, pixel_mask=whole)
        scores: Tensor = found.logits[:, None]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """Rows of the question, and columns of the image after it."""
        pieces = len(prompt.pieces)
        return Reading(pieces + images, pieces + images, slice(pieces, None), slice(pieces))

    def text(self, pieces: Sequence[int]) -> str:
        """The name of an answer."""
        return self.answers.get(pieces[0], str(pieces[0])) if pieces else ""

    def opposite(self, pieces: Sequence[int]) -> int | None:
        """Number of `no` for `yes`, and the reverse."""
        other = {YES: NO, NO: YES}.get(self.text(pieces).strip().lower())
        return next((number for number, name in self.answers.items() if name.strip().lower() == other), None)


def check_vilt(config: Any, name: str) -> None:
    """Raises `CamxError` for a network that would draw other patches in each forward."""
    short, long = (side // config.patch_size for side in (config.image_size, int(1333 / 800 * config.image_size)))
    most = config.max_image_length
    if isinstance(most, int) and 0 < most < short * long:
        raise CamxError(
            f"`model` {name!r} sees at most {most} patches of an image, drawn at random in each forward: no map shows "
            "where it looks.",
            "Set max_image_length to -1 in its config.json: then it sees all patches.",
        )
