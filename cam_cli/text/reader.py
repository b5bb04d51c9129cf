"""`Reader`: interface of a family of networks that reads an image and a prompt, and writes text. Names no family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Prompt:
    """The text before the text of the network: a question, or the request for a caption. pieces: its token ids. more:
    other inputs of the network, 1×…."""

    pieces: tuple[int, ...]
    more: Mapping[str, Tensor] = field(default_factory=dict)

    def tensor(self, images: int, device: torch.device) -> Tensor:
        """The token ids for a number of images, B×P."""
        return torch.tensor([self.pieces], device=device).expand(images, -1)

    def others(self, images: int, device: torch.device) -> dict[str, Tensor]:
        """The other inputs for several images."""
        return {name: one.to(device).expand(images, *one.shape[1:]) for name, one in self.more.items()}


class Reading(NamedTuple):
    """The attention of the text to the image: its queries and keys, and the columns of the image tokens. text: rows of
    all text that reads the image. writing: rows of the places that predict the written pieces; empty if those read no
    image token themselves."""

    queries: int
    keys: int
    columns: slice
    text: slice
    writing: slice = slice(0)


class Reader(Protocol):
    """A family of networks: how it reads an image and a prompt, and writes text. tower: name of the module that
    computes the image tokens. independent: each text has its own probability, by the sigmoid of its score. notes:
    differences to the forward of the library."""

    @property
    def tower(self) -> str: ...

    @property
    def independent(self) -> bool: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """Image tokens B×N×D of images B×C×H×W, in a fixed order."""
        ...

    def prompt(self, text: str) -> Prompt:
        """A tokenized prompt. Raises `CamxError` for one that the network cannot read."""
        ...

    def room(self, prompt: Prompt) -> int:
        """Most pieces of a text after the prompt."""
        ...

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """Text of the network after one prompt for each image: at most `most` pieces, chosen greedily."""
        ...

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """Scores B×T×K of all pieces at the places of given texts B×T, each place given all before it."""
        ...

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading | None:
        """The attention of texts of `length` pieces to the `images` image tokens; None if no text reads them itself."""
        ...

    def text(self, pieces: Sequence[int]) -> str:
        """Pieces as text."""
        ...

    def opposite(self, pieces: Sequence[int]) -> int | None:
        """First piece of `no` for the text `yes`, that of `yes` for `no`, and None for any other text."""
        ...
