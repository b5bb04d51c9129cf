"""Networks that answer questions about an image: the parts that all of them have. No family is named here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..cams.tracing.attention import AttentionRecorder
from .teacher import Taught, watched

YES, NO = "yes", "no"
#: What tokenizers put before a piece that begins a word.
_MARKS = "▁Ġ "


@dataclass(frozen=True)
class Prompt:
    """A question as a network reads it. pieces: the numbers of its tokens. more: other inputs of the network, 1×…."""

    pieces: tuple[int, ...]
    more: Mapping[str, Tensor] = field(default_factory=dict)

    def tensor(self, images: int, device: torch.device) -> Tensor:
        """The numbers for so many images, B×P."""
        return torch.tensor([self.pieces], device=device).expand(images, -1)

    def others(self, images: int, device: torch.device) -> dict[str, Tensor]:
        """The other inputs for so many images."""
        return {name: one.to(device).expand(images, *one.shape[1:]) for name, one in self.more.items()}


class Reading(NamedTuple):
    """The attention in which the text reads the image: its queries and keys, the rows of the text, and the columns of
    the image tokens."""

    queries: int
    keys: int
    rows: slice
    columns: slice


class Reader(Protocol):
    """A family of networks: how it reads an image and a question, and writes its answer.

    tower: the module that makes the image tokens, by name. independent: each answer has a probability of its own, by
    the sigmoid of its score.
    """

    @property
    def tower(self) -> str: ...

    @property
    def independent(self) -> bool: ...

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """The image tokens B×N×D of images B×C×H×W, in an order that does not change."""
        ...

    def prompt(self, question: str) -> Prompt:
        """A question in numbers. Raises `CamxError` for one that is too long."""
        ...

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """The answer of the network to one question on each image: at most so many pieces, greedily chosen."""
        ...

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, answers: Tensor) -> Tensor:
        """Scores B×A×K of all pieces at the places of given answers B×A, each place given those before it."""
        ...

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading | None:
        """Where text reads the image tokens, for answers of so many pieces; None where no text reads them itself."""
        ...

    def text(self, pieces: Sequence[int]) -> str:
        """An answer in words."""
        ...

    def opposite(self, pieces: Sequence[int]) -> int | None:
        """The first piece of `no` for the answer `yes`, that of `yes` for `no`, and None for any other answer."""
        ...


def teach(
    module: nn.Module,
    reader: Reader,
    tokens: Tensor,
    prompt: Prompt,
    answers: Sequence[Sequence[int]],
    opposites: Sequence[int | None],
    *,
    gradients: bool = True,
) -> Taught:
    """Runs one forward on given answers to one question, with the image tokens as the leaf of the graph.

    The log-probabilities B×(A+1) are those of the pieces, and in the last column the score of the first piece minus
    that of its opposite, 0 where there is none. gradients: whether maps will be asked for.
    """
    leaf = tokens.detach().clone().requires_grad_(gradients)
    length = max(1, *map(len, answers))
    wanted = torch.zeros(len(answers), length, dtype=torch.long, device=tokens.device)
    for row, answer in enumerate(answers):
        wanted[row, : len(answer)] = torch.tensor(list(answer), dtype=torch.long, device=tokens.device)
    place = reader.reading(prompt, length, tokens.shape[1]) if gradients else None
    recorder = AttentionRecorder(len(answers), *(place[:2] if place else (0, 0)))
    with watched(module, recorder, gradients=gradients):
        scores = reader.read(module, leaf, prompt, wanted).float()
    logs = nn.functional.logsigmoid(scores) if reader.independent else scores.log_softmax(-1)
    found = logs.gather(2, wanted[..., None])[..., 0]
    first = scores[:, 0]
    contrasts = [
        first[row, wanted[row, 0]] - first[row, one] if one is not None else first.new_zeros(())
        for row, one in enumerate(opposites)
    ]
    nodes = tuple((node, place.rows, place.columns) for node in recorder.nodes) if place else ()
    return Taught(torch.cat([found, torch.stack(contrasts)[:, None]], 1), nodes, leaf)


def opposite_piece(tokenizer: Any, pieces: Sequence[int], text: str) -> int | None:
    """That of `Reader.opposite` for an answer of pieces of a tokenizer, which is `text`.

    An answer counts as yes or no if nothing follows the word, or a mark does. Its case stays.
    """
    whole = text.strip().rstrip(".!")
    word = whole.partition(",")[0]
    if not pieces or word.lower() not in (YES, NO):
        return None
    piece = str(tokenizer.convert_ids_to_tokens(int(pieces[0])))
    if piece.lstrip(_MARKS) != word:
        return None
    other = NO if word.lower() == YES else YES
    other = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
    found = tokenizer.convert_tokens_to_ids(piece[: len(piece) - len(word)] + other)
    return None if found is None or found == tokenizer.unk_token_id else int(found)
