"""Maps of words from one forward over a given text (teacher forcing).

The part of a network in front of the image tokens runs without a graph; the rest runs with one. One batched backward
differentiates all words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..cams.tracing.attention import AttentionRecorder
from ..cams.tracing.network_state import undisturbed
from ..errors import CamxError
from .reader import Prompt, Reader, Reading

#: Largest size in bytes of the gradients of one batched backward; further words use another one.
_BUDGET = 512 * 2**20


@dataclass(frozen=True)
class Taught:
    """One forward over texts.

    log_probabilities: B×(T+1), of each piece given those before it, and in the last column the score of the first piece
    minus that of its opposite, 0 without one. attentions: of each layer, B×heads×queries×keys, as part of the graph.
    place: their rows of the text and columns of the image tokens. tokens: the image tokens B×N×D, leaf of the graph.
    """

    log_probabilities: Tensor
    attentions: tuple[Tensor, ...]
    place: Reading | None
    tokens: Tensor

    def scores(self, members: Tensor) -> Tensor:
        """The scores B×W of words, whose pieces have ones in `members` B×W×(T+1): the sums over their pieces."""
        return torch.einsum("bwt,bt->bw", members, self.log_probabilities)

    def word_maps(self, members: Tensor) -> Tensor:
        """Maps B×W×N of words: attention × positive gradient of the score, summed over layers.

        Mean over the heads, and over the places that predict the pieces of the word.
        """
        pieces = members[..., :-1]
        weights = pieces / pieces.sum(2, keepdim=True).clamp_min(1)
        return self._attention_gradient(members, self._place.writing, weights)

    def text_maps(self, members: Tensor) -> Tensor:
        """Maps B×W×N of words as above, from all text that reads the image: mean over the heads, sum over the text."""
        rows = range(self._place.queries)[self._place.text]
        return self._attention_gradient(members, self._place.text, members.new_ones(*members.shape[:2], len(rows)))

    @property
    def _place(self) -> Reading:
        if self.place is None or not self.attentions:
            raise CamxError("No attention of the text to image tokens was found.", "Use `method=hirescam`.")
        return self.place

    def _attention_gradient(self, members: Tensor, rows: slice, weights: Tensor) -> Tensor:
        """Sums over rows with weights B×W×rows."""
        columns = self._place.columns
        found = members.new_zeros(*members.shape[:2], self.tokens.shape[1])
        for start, gradients in self._backward(members, self.attentions):
            for gradient, node in zip(gradients, self.attentions):
                attention = node.detach()[..., rows, columns].float()
                gained = gradient[..., rows, columns].float().relu_()
                some = weights[:, start : start + len(gradient)]
                found[:, start : start + len(gradient)] += (
                    torch.einsum("bhtn,wbhtn,bwt->bwn", attention, gained, some) / attention.shape[1]
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
    """The gradients W×… for W rows of `ones`: in one backward, or one after the other if torch has no batching rule
    for an operation."""
    try:
        return [*torch.autograd.grad(scores, nodes, ones, retain_graph=True, is_grads_batched=True)]
    except RuntimeError as error:
        if "vmap" not in str(error) and "batching rule" not in str(error):
            raise
    each = [torch.autograd.grad(scores, nodes, row, retain_graph=True) for row in ones]
    return [torch.stack(some) for some in zip(*each)]


def teach(
    module: nn.Module,
    reader: Reader,
    tokens: Tensor,
    prompt: Prompt,
    texts: Sequence[Sequence[int]],
    opposites: Sequence[int | None] = (),
    *,
    gradients: bool = True,
) -> Taught:
    """Runs one forward on given texts of pieces after one prompt. The image tokens B×N×D are the leaf of its graph.

    opposites: pieces whose score the contrast subtracts from that of the first one.
    gradients: whether maps will follow.
    """
    leaf = tokens.detach().clone().requires_grad_(gradients)
    length = max(1, *map(len, texts))
    wanted = torch.zeros(len(texts), length, dtype=torch.long, device=tokens.device)
    for row, text in enumerate(texts):
        wanted[row, : len(text)] = torch.tensor(list(text), dtype=torch.long, device=tokens.device)
    place = reader.reading(prompt, length, tokens.shape[1]) if gradients else None
    recorder = AttentionRecorder(len(texts), *((place.queries, place.keys) if place else (0, 0)))
    with watched(module, recorder, gradients=gradients):
        scores = reader.read(module, leaf, prompt, wanted).float()
    logs = nn.functional.logsigmoid(scores) if reader.independent else scores.log_softmax(-1)
    found = logs.gather(2, wanted[..., None])[..., 0]
    first = scores[:, 0]
    contrasts = [
        first.new_zeros(()) if one is None else first[row, wanted[row, 0]] - first[row, one]
        for row, one in enumerate(opposites or [None] * len(texts))
    ]
    return Taught(torch.cat([found, torch.stack(contrasts)[:, None]], 1), tuple(recorder.nodes), place, leaf)


@contextlib.contextmanager
def watched(network: nn.Module, recorder: AttentionRecorder, *, gradients: bool) -> Iterator[None]:
    """While active, a forward on a text has a graph and records its attentions, or has neither."""
    with undisturbed(network), contextlib.ExitStack() as stack:
        if gradients:
            stack.enter_context(recorder)
        else:
            stack.enter_context(torch.no_grad())
        yield
