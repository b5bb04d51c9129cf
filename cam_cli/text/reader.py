"""`Reader`: how a family of networks reads an image and a prompt, and writes text. No family is named here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Prompt:
    """The text before that which a network writes: a question, or the request for a caption.

    pieces: the numbers of its tokens. more: other inputs of the network, 1×….
    """

    pieces: tuple[int, ...]
    more: Mapping[str, Tensor] = field(default_factory=dict)

    def tensor(self, images: int, device: torch.device) -> Tensor:
        """The numbers for so many images, B×P."""
        return torch.tensor([self.pieces], device=device).expand(images, -1)

    def others(self, images: int, device: torch.device) -> dict[str, Tensor]:
        """The other inputs for so many images."""
        return {name: one.to(device).expand(images, *one.shape[1:]) for name, one in self.more.items()}


class Reading(NamedTuple):
    """The attention in which the text reads the image: its queries and keys, and the columns of the image tokens.

    text: the rows of all text that reads the image. writing: the rows of the places that predict the written pieces;
    none where those read no image token themselves.
    """

    queries: int
    keys: int
    columns: slice
    text: slice
    writing: slice = slice(0)


class Reader(Protocol):
    """A family of networks: how it reads an image and a prompt, and writes its text.

    tower: the module that makes the image tokens, by name. independent: each text has a probability of its own, by the
    sigmoid of its score. notes: how the network is run in another way than by the library.
    """

    @property
    def tower(self) -> str: ...

    @property
    def independent(self) -> bool: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """The image tokens B×N×D of images B×C×H×W, in an order that does not change."""
        ...

    def prompt(self, text: str) -> Prompt:
        """A prompt in numbers. Raises `CamxError` for one that the network cannot read."""
        ...

    def room(self, prompt: Prompt) -> int:
        """Most pieces of a text behind the prompt."""
        ...

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """The text of the network behind one prompt on each image: at most so many pieces, greedily chosen."""
        ...

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """Scores B×T×K of all pieces at the places of given texts B×T, each place given those before it."""
        ...

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading | None:
        """Where text reads the image tokens, for texts of so many pieces; None where no text reads them itself."""
        ...

    def text(self, pieces: Sequence[int]) -> str:
        """A text in words."""
        ...

    def opposite(self, pieces: Sequence[int]) -> int | None:
        """The first piece of `no` for the text `yes`, that of `yes` for `no`, and None for any other text."""
        ...
