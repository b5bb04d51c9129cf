"""Running the network of a trace again: on other pictures, from other activations, with gradients to the pixels.

All of it in chunks that a memory budget allows: never more pictures at once, whatever a method asks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...models.hooks import answering, hooked
from ...models.layouts import replaced, tensors_in
from .out_of_memory import is_out_of_memory
from .trace import TargetLayer, Trace, scores_of, traces, two_sided, undisturbed
from .upstream import UpstreamModules

#: Bytes that the activations of one chunk may take, as far as they can be guessed.
BUDGET = 2**29
#: Guesses of what a picture needs, in multiples of its own bytes: without a graph, and with one. A wrong
#: guess costs a smaller chunk, or a second try with half of it.
_FORWARD, _GRAPH = 32, 256

#: Told how far a method has come with an image, or with a batch: (steps done, steps in all).
StepCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class Replay:
    """The network behind a trace, and the batch that it saw.

    inputs: B×C×H×W normalised. black: a black picture 1×C×1×1, normalised. seed: of all that is random; the random
    numbers begin anew for every image, so that an image's map depends on nothing but itself.
    multi_label: each class has a probability of its own (sigmoid) instead of a share (softmax).
    fast: a context that gives the batch to run the network on, where no gradient is asked for before the layer and no
    module before it is looked into.
    """

    module: nn.Module
    inputs: Tensor
    layers: tuple[TargetLayer, ...]
    black: Tensor
    seed: int = 0
    multi_label: bool = False
    autocast: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    told: StepCallback | None = None
    fast: Callable[[Tensor], AbstractContextManager[Tensor]] = contextlib.nullcontext
    _tails: dict[tuple[int, str], Tail] = field(default_factory=dict, repr=False)

    def generator(self) -> torch.Generator:
        """Random numbers from their beginning; on the CPU, so that every device draws the same ones."""
        return torch.Generator().manual_seed(self.seed)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Of scores n×K: softmax, or sigmoid for several labels."""
        return scores.sigmoid() if self.multi_label else scores.softmax(1)

    def scores(self, count: int, pictures: Callable[[slice], Tensor]) -> Tensor:
        """Scores count×K of `count` normalised pictures, which `pictures` makes a slice at a time."""
        one = self.inputs[0].numel() * self.inputs.element_size() * _FORWARD
        return self._chunked(count, one, lambda part: self._scores(pictures(part)))

    def head_scores(self, trace: Trace, image: int, count: int, features: Callable[[slice], Tensor]) -> Tensor:
        """Scores count×K of one image of the batch with other activations at the trace's layer.

        `features` makes a slice of them, n×C×h×w, at a time. Only what lies behind the layer runs, where the
        network allows that.
        """
        key = (image, trace.layer.name)
        if key not in self._tails:
            self._tails.clear()
            with self.autocast():
                self._tails[key] = Tail(self.module, trace.layer, self.inputs[image : image + 1])
        tail = self._tails[key]
        one = trace.features[0].numel() * 4 * _FORWARD if tail.short else self.inputs[0].numel() * 4 * _FORWARD

        def run(part: slice) -> Tensor:
            with self.autocast():
                return tail(features(part)).float()

        return self._chunked(count, one, run)

    def gradients(
        self,
        pictures: Tensor,
        classes: Tensor,
        sign: int = 1,
        rules: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> Tensor:
        """`sign` × ∂score[b, classes[b, t]] / ∂pictures[b], B×T×C×H×W float32, in the context that `rules` makes."""

        def run(part: slice) -> Tensor:
            leaf = pictures[part].detach().clone().requires_grad_()
            with undisturbed(self.module), rules(), self.autocast():
                scores = two_sided(scores_of(self.module(leaf.clone()))).float()
                columns = []
                for column in classes[part].unbind(1):
                    start = torch.zeros_like(scores).scatter_(1, column[:, None], float(sign))
                    (gradient,) = torch.autograd.grad(scores, leaf, start, retain_graph=True, materialize_grads=True)
                    columns.append(gradient.float())
            return torch.stack(columns, dim=1)

        one = pictures[0].numel() * pictures.element_size() * _GRAPH
        return self._chunked(len(pictures), one, run)

    def trace_of(self, pictures: Tensor, index: int) -> Trace:
        """The trace of another batch B×C×H×W at the layer with this index."""
        with self.autocast(), self.fast(pictures) as batch:
            return traces(self.module, batch, self.layers)[index]

    def step(self, done: int, total: int) -> None:
        """Tell how far a method has come."""
        if self.told is not None:
            self.told(done, total)

    def _scores(self, pictures: Tensor) -> Tensor:
        with undisturbed(self.module), torch.no_grad(), self.autocast(), self.fast(pictures) as batch:
            return two_sided(scores_of(self.module(batch))).float()

    def _chunked(self, count: int, bytes_of_one: int, work: Callable[[slice], Tensor]) -> Tensor:
        """The results of `work` on slices of 0…count, joined; smaller slices where the guess was too large."""
        size, done, found = max(1, BUDGET // bytes_of_one), 0, []
        while done < count:
            part = slice(done, min(count, done + size))
            try:
                found.append(work(part))
            except RuntimeError as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
                size = max(1, size // 2)
                continue
            done = part.stop
            if count > size:
                self.step(done, count)
        return torch.cat(found)


class Tail:
    """What lies behind a layer, for one picture 1×C×H×W: called with activations n×C×h×w it gives scores n×K.

    The modules that had run before the layer answer with what they gave for this picture, so that they do not run
    again. That this is the network is proved by running it on the picture's own activations; where it is not
    (work between modules, in place or across the batch), all of the network runs, `short` is False.
    """

    def __init__(self, module: nn.Module, layer: TargetLayer, picture: Tensor) -> None:
        self._module, self._layer, self._picture = module, layer, picture
        self._before = UpstreamModules([layer])
        with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), self._before.seen):
            expected = scores_of(module(picture))
        own = layer.layout.to_nchw(dict(tensors_in(self._before.output))[layer.path])
        self.short = True
        try:
            with undisturbed(module), torch.no_grad():
                found = self._from_here(own.expand(2, -1, -1, -1))
            rough = 1e-3 if expected.dtype == torch.float32 else 3e-2
            limit = rough * float(expected.abs().max())
            self.short = torch.allclose(found, expected.expand(2, -1), rtol=rough, atol=limit)
        except (RuntimeError, IndexError, TypeError):
            self.short = False

    def __call__(self, features: Tensor) -> Tensor:
        with undisturbed(self._module), torch.no_grad():
            return two_sided(self._from_here(features) if self.short else self._whole(features))

    def _placed(self, features: Tensor) -> Any:
        own = dict(tensors_in(self._before.output))[self._layer.path]
        new = self._layer.layout.put(own, features.to(own.dtype))
        output = self._before.output
        for path, tensor in tensors_in(output):
            output = replaced(output, path, new if path == self._layer.path else _repeated(tensor, len(features)))
        return output

    def _from_here(self, features: Tensor) -> Tensor:
        count = len(features)
        answers = {
            self._module.get_submodule(name): _answer([_of(count, output) for output in outputs])
            for name, outputs in self._before.outputs.items()
        }
        answers[self._module.get_submodule(self._layer.name)] = _answer([self._placed(features)])
        with answering(answers):
            return scores_of(self._module(self._picture.expand(count, -1, -1, -1)))

    def _whole(self, features: Tensor) -> Tensor:
        placed = self._placed(features)

        def put(_name: str, call: int, _inputs: tuple[Any, ...], _output: Any) -> Any:
            return placed if call == self._layer.call else None

        with hooked({self._layer.name: self._module.get_submodule(self._layer.name)}, put):
            return scores_of(self._module(self._picture.repeat(len(features), 1, 1, 1)))


def _of(count: int, output: Any) -> Any:
    for path, tensor in tensors_in(output):
        output = replaced(output, path, _repeated(tensor, count))
    return output


def _repeated(tensor: Tensor, count: int) -> Tensor:
    return tensor.expand(count, *tensor.shape[1:]) if tensor.dim() and tensor.shape[0] == 1 else tensor


def _answer(outputs: list[Any]) -> Callable[..., Any]:
    """A function that gives the outputs one after the other, whatever it is called with."""
    left: Iterator[Any] = iter(outputs)
    return lambda *_args, **_kwargs: next(left)
