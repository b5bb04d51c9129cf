"""Runs a forward over a given text: log-probability of each piece, and gradients of words to the image tokens.

The image tokens are a leaf of the graph, so nothing before them is recorded. One batched backward differentiates all
words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..cams.tracing.attention import AttentionRecorder
from ..cams.tracing.network_state import undisturbed
from ..errors import CamxError
from .families import Family, towerless

#: Largest size in bytes of the gradients of one batched backward; further words use another one.
_BUDGET = 512 * 2**20


@dataclass(frozen=True)
class Taught:
    """One forward over texts.

    log_probabilities: B×T, of each piece given those before it. attentions: of each layer the attention of the places
    that predict the pieces to the image tokens, B×heads×T×N, as part of the graph. tokens: the image tokens B×N×D, its
    leaf.
    """

    log_probabilities: Tensor
    attentions: tuple[tuple[Tensor, slice, slice], ...]
    tokens: Tensor

    def scores(self, members: Tensor) -> Tensor:
        """The log-probabilities B×W of words, whose pieces have ones in `members` B×W×T: the sums over their pieces."""
        return torch.einsum("bwt,bt->bw", members, self.log_probabilities)

    def attention_gradient(self, members: Tensor, rows: Tensor | None = None) -> Tensor:
        """Maps B×W×N of words: attention × positive gradient of the score, summed over layers.

        Mean over the heads, and over the places that predict the pieces of the word. rows: other weights B×W×T for the
        places that attend.
        """
        if rows is None:
            rows = members / members.sum(2, keepdim=True).clamp_min(1)
        nodes = [node for node, _, _ in self.attentions]
        found = members.new_zeros(*members.shape[:2], self.tokens.shape[1])
        for start, gradients in self._backward(members, nodes):
            for gradient, (node, queries, keys) in zip(gradients, self.attentions):
                weights = node.detach()[..., queries, keys].float()
                gained = gradient[..., queries, keys].float().relu_()
                some = rows[:, start : start + len(gradient)]
                found[:, start : start + len(gradient)] += (
                    torch.einsum("bhtn,wbhtn,bwt->bwn", weights, gained, some) / weights.shape[1]
                )
        return found

    def hirescam(self, members: Tensor) -> Tensor:
        """Maps B×W×N of words: image tokens × gradient of the score, summed over channels."""
        found = members.new_zeros(*members.shape[:2], self.tokens.shape[1])
        for start, (gradient,) in self._backward(members, [self.tokens]):
            values = (gradient.float() * self.tokens.detach().float()).sum(-1)
            found[:, start : start + len(gradient)] = values.transpose(0, 1)
        return found

    def _backward(self, members: Tensor, nodes: Sequence[Tensor]) -> Iterator[tuple[int, list[Tensor]]]:
        """The gradients W×… of the scores of words with respect to nodes, of as many words at once as fit.

        No image reaches the score of another, so one row of ones per word differentiates the whole batch.
        """
        scores, words = self.scores(members), members.shape[1]
        size = sum(node.numel() * node.element_size() for node in nodes)
        step = max(1, min(words, _BUDGET // max(1, size)))
        for start in range(0, words, step):
            count = min(step, words - start)
            ones = scores.new_zeros(count, *scores.shape)
            ones[range(count), :, range(start, start + count)] = 1
            yield start, _gradients(scores, nodes, ones)


def _gradients(scores: Tensor, nodes: Sequence[Tensor], ones: Tensor) -> list[Tensor]:
    """The gradients W×… for W rows of `ones`: in one backward, or one after the other where torch has no batching rule
    for an operation."""
    try:
        return [*torch.autograd.grad(scores, nodes, ones, retain_graph=True, is_grads_batched=True)]
    except RuntimeError as error:
        if "vmap" not in str(error) and "batching rule" not in str(error):
            raise
    each = [torch.autograd.grad(scores, nodes, row, retain_graph=True) for row in ones]
    return [torch.stack(some) for some in zip(*each)]


class Teacher:
    """Runs the part of a network behind its tower on given texts.

    start: the token before the first word. filler: a token for the places behind a text, which no word reads.
    """

    def __init__(self, network: nn.Module, family: Family, start: int, filler: int) -> None:
        self._network, self._family = network, family
        self._start, self._filler = start, filler

    def teach(self, tokens: Tensor, texts: Sequence[Sequence[int]], *, gradients: bool = True) -> Taught:
        """Runs texts of pieces for image tokens B×N×D. gradients: whether maps will be asked for."""
        leaf = tokens.detach().clone().requires_grad_(gradients)
        longest = max(map(len, texts))
        length, images = max(1, longest), tokens.shape[1]
        if not self._family.prefixed and length == images:
            # Attention among words would have the shape of that to the image.
            length += 1
        ids = torch.full((len(texts), length), self._filler, device=tokens.device)
        wanted = torch.zeros(len(texts), length, dtype=torch.long, device=tokens.device)
        for row, text in enumerate(texts):
            given = torch.tensor([self._start, *text[:-1]][: max(1, len(text))], device=tokens.device)
            ids[row, : len(given)] = given
            wanted[row, : len(text)] = torch.tensor(list(text), dtype=torch.long, device=tokens.device)
        sides = (images + length,) * 2 if self._family.prefixed else (length, images)
        recorder = AttentionRecorder(len(texts), *sides)
        with watched(self._network, recorder, gradients=gradients):
            logits = self._logits(leaf, ids)
        log_probabilities = logits[:, -length:].float().log_softmax(-1).gather(2, wanted[..., None])[..., 0]
        places = (slice(images, None), slice(images)) if self._family.prefixed else (slice(None), slice(None))
        attentions = tuple((node, *places) for node in recorder.nodes)
        if gradients and not attentions:
            raise CamxError(
                f"The words of a {type(self._network).__name__} attend to no image tokens that camx sees.",
                "Use `method=hirescam`.",
            )
        return Taught(log_probabilities, attentions, leaf)

    def _logits(self, tokens: Tensor, ids: Tensor) -> Tensor:
        with towerless(self._network, self._family, tokens):
            given: dict[str, Any] = {self._family.ids: ids, "use_cache": False}
            found = self._network(pixel_values=tokens.new_zeros(len(tokens), 3, 1, 1), **given, return_dict=True)
        logits: Tensor = found.logits
        return logits


@contextlib.contextmanager
def watched(network: nn.Module, recorder: AttentionRecorder, *, gradients: bool) -> Iterator[None]:
    """The context of one forward on a text: with a graph and its attentions, or with neither."""
    with undisturbed(network), contextlib.ExitStack() as stack:
        if gradients:
            stack.enter_context(recorder)
        else:
            stack.enter_context(torch.no_grad())
        yield
