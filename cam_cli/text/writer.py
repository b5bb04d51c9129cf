"""Base of all networks that write a text piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CamxError
from ..models.hf.library import quiet
from .families import Family, image_tokens
from .options import GAP
from .questions import opposite_piece
from .reader import Prompt, Reader


@dataclass(frozen=True)
class Writer(Reader):
    """ends: tokens that end a text. longest: most pieces that the network can read. template: text around a prompt,
    with {} in its place. image: the placeholder token of the image in a prompt, or None."""

    library: Any
    tokenizer: Any
    family: Family
    ends: frozenset[int]
    longest: int
    template: str
    image: int | None
    independent = False

    @property
    def notes(self) -> Sequence[str]:
        return ()

    @property
    def tower(self) -> str:
        """Name of the module that computes the image tokens."""
        return self.family.layer

    def text(self, pieces: Sequence[int]) -> str:
        """Pieces as text."""
        decoded = self.tokenizer.decode(pieces, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(decoded).strip()

    def opposite(self, pieces: Sequence[int]) -> int | None:
        """First piece of `no` for `yes`, and the reverse."""
        return opposite_piece(self.tokenizer, pieces, self.text(pieces))

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """Image tokens B×N×D."""
        return image_tokens(module, self.family, pixels)

    def room(self, prompt: Prompt) -> int:
        """Most pieces of a text in one sequence with its prompt. The network writes the last one, but does not read
        it."""
        return self.longest - len(prompt.pieces) + 1

    def filled(self, text: str) -> str:
        """The template with the prompt in its place."""
        return self.template.replace(GAP, text)

    def checked(self, text: str, pieces: Sequence[int]) -> tuple[int, ...]:
        """Pieces of a prompt. Raises `CamxError` for more than the network reads."""
        check_length(text, len(pieces), self.longest)
        return tuple(map(int, pieces))

    def check_text(self, text: str, pieces: Sequence[int], prompt: Prompt) -> None:
        """Raises `CamxError` for a given text that the network cannot read after the prompt."""
        check_length(text, len(pieces), self.room(prompt))
        if self.image in pieces:
            raise self.holds_image(text)

    def holds_image(self, text: str) -> CamxError:
        """Error for a text that holds the image token."""
        token = self.tokenizer.convert_ids_to_tokens(self.image)
        return CamxError(f"The text {_shown(text)!r} holds {token!r}, which stands for the image.", "Leave it out.")

    def written(self, module: nn.Module, inputs: dict[str, Any], prompt: Sequence[int], most: int) -> list[list[int]]:
        """Greedy texts by the library: pieces without the prompt, start and end tokens. The image token also ends a
        text, because no network can read it there."""
        with torch.no_grad(), quiet(self.library):
            found = module.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=most)  # type: ignore[operator]
        return [self._text(row.tolist(), list(prompt)) for row in found]

    def _text(self, ids: list[int], prompt: list[int]) -> list[int]:
        kept: list[int] = []
        for one in ids[len(prompt) :] if ids[: len(prompt)] == prompt else ids:
            if one in self.ends or one == self.image:
                break
            kept.append(one)
        return kept


def check_length(text: str, pieces: int, longest: int) -> None:
    """Raises `CamxError` for a text with more pieces than a network reads."""
    if pieces > longest:
        raise CamxError(
            f"The text {_shown(text)!r} has {pieces} pieces, and the network reads {longest}.", "Shorten it."
        )


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
