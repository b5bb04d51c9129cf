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
    """ends: tokens that end a text. longest: pieces that the network can read. template: the text around a prompt, with
    {} in its place. image: the token that stands for image tokens in a prompt; None without one."""

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
        """Name of the module that makes the image tokens."""
        return self.family.layer

    def text(self, pieces: Sequence[int]) -> str:
        """A text in words."""
        decoded = self.tokenizer.decode(pieces, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(decoded).strip()

    def opposite(self, pieces: Sequence[int]) -> int | None:
        """The first piece of `no` for `yes`, and the other way round."""
        return opposite_piece(self.tokenizer, pieces, self.text(pieces))

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """The image tokens B×N×D."""
        return image_tokens(module, self.family, pixels)

    def room(self, prompt: Prompt) -> int:
        """Most pieces of a text in one sequence with its prompt. Its last one is written, but not read."""
        return self.longest - len(prompt.pieces) + 1

    def filled(self, text: str) -> str:
        """The text around a prompt, with it."""
        return self.template.replace(GAP, text)

    def checked(self, text: str, pieces: Sequence[int]) -> tuple[int, ...]:
        """The pieces of a prompt. Raises `CamxError` for more than the network reads."""
        check_length(text, len(pieces), self.longest)
        return tuple(map(int, pieces))

    def check_text(self, text: str, pieces: Sequence[int], prompt: Prompt) -> None:
        """Raises `CamxError` for a given text that the network cannot read behind the prompt."""
        check_length(text, len(pieces), self.room(prompt))
        if self.image in pieces:
            raise self.holds_image(text)

    def holds_image(self, text: str) -> CamxError:
        """The error for a text with the token of the image."""
        token = self.tokenizer.convert_ids_to_tokens(self.image)
        return CamxError(f"The text {_shown(text)!r} holds {token!r}, which stands for the image.", "Leave it out.")

    def written(self, module: nn.Module, inputs: dict[str, Any], prompt: Sequence[int], most: int) -> list[list[int]]:
        """Greedy texts of the library: the pieces of each, without the prompt and those of beginning and end.

        The token of the image ends a text, too: no network can read it there.
        """
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
    """Raises `CamxError` for a text of more pieces than a network reads."""
    if pieces > longest:
        raise CamxError(
            f"The text {_shown(text)!r} has {pieces} pieces, and the network reads {longest}.", "Shorten it."
        )


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
