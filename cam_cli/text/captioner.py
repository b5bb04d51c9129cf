"""Engine of `camx caption`: computes captions of batches of images, with a map for each word."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..cams.engine.batches import Runner
from ..cams.target_layer.probe import probe_picture
from ..images.picture import Decodable, Picture
from ..maps.explanation import ClassMap, Prediction
from ..models.hf.library import quiet, transformers
from ..models.hf.text_network import TextNetwork, text_network
from ..models.options import ModelSpec
from .families import CAPTIONERS, REFUSED, end_tokens, image_tokens, start_token
from .grid import patches, probed, token_grid
from .options import CaptionOptions
from .records import Captioned, Word
from .teacher import Taught, Teacher
from .words import PieceGroup, chosen, words_of


class _Text(NamedTuple):
    """A tokenized text. pieces: token ids without those of beginning and end. words: all words. some: words with a
    map."""

    pieces: list[int]
    words: list[PieceGroup]
    some: list[int]


class Captioner:
    """Writes and explains captions of batches of images.

    layer: the image tokens, with their grid. device, precision: what `auto` stands for.
    """

    #: Everything before the image tokens runs without a graph as it is.
    backend = "torch"

    def __init__(self, found: TextNetwork, options: CaptionOptions = CaptionOptions()) -> None:
        """Moves the network to the device and verifies the grid of its image tokens. Raises `CamxError` if that
        fails."""
        self.network = found.network
        self.options = options
        self.tokenizer = found.tokenizer
        self._family, self._flipped = CAPTIONERS[found.kind], found.flipped
        self._library = transformers(found.network.name)
        self._runner = Runner(found.network, options.device, options.precision)
        self.device, self.precision = self._runner.device, self._runner.precision
        preprocessing = found.network.preprocessing
        picture = probe_picture(preprocessing.channels, preprocessing.input_size).to(self.device)
        with torch.no_grad(), self._runner.autocast():
            self.layer = token_grid(self._family.layer, picture, self._tokens(probed(picture)))
            #: Of an image of the mean colour.
            self._empty = self._tokens(torch.zeros_like(picture))
        self.layers = (self.layer,)
        self._special = {int(one) for one in found.tokenizer.all_special_ids}
        self._ends = end_tokens(found.network.module, found.tokenizer)

    @classmethod
    def load(
        cls, spec: ModelSpec | str, options: CaptionOptions = CaptionOptions(), origins: Mapping[str, str] | None = None
    ) -> Captioner:
        """Captioner of `hf:PATH_OR_ID`. Raises `CamxError` for any other network."""
        asked = ModelSpec(spec) if isinstance(spec, str) else spec
        given = {name.replace("-", "_"): origin for name, origin in (origins or {}).items()}
        return cls(text_network(asked, given, tuple(CAPTIONERS), REFUSED, "captioner"), options)

    def replica(self) -> Captioner:
        """Copy for another thread: own modules that share the weights in memory."""
        other = copy.copy(self)
        other._runner = self._runner.replica()
        other.network = other._runner.network
        return other

    def caption(self, images: Sequence[Decodable], texts: Mapping[str, str] | None = None) -> list[Captioned]:
        """Captions prepared images, in smaller batches if memory is short.

        texts: given captions by image key, instead of those that the network writes.
        """
        run = partial(self._batch, texts=texts or {})
        return self._runner.in_batches(images, run, lambda one, why: Captioned(one, problem=why))

    @property
    def _module(self) -> nn.Module:
        return self._runner.module

    def _tokens(self, inputs: Tensor) -> Tensor:
        return image_tokens(self._module, self._family, inputs.flip(1) if self._flipped else inputs)

    @torch.inference_mode(False)
    def _batch(self, pictures: Sequence[Picture], inputs: Tensor, texts: Mapping[str, str]) -> list[Captioned]:
        given = [texts.get(picture.source.key) for picture in pictures]
        with self._runner.autocast():
            with torch.no_grad():
                tokens = self._tokens(inputs)
            written = iter(self._written(inputs[[i for i, one in enumerate(given) if one is None]]))
            pieces = [next(written) if one is None else self._encoded(one) for one in given]
            read = [self._read(one) for one in pieces]
            teacher = Teacher(self._module, self._family, start_token(self._module), 0)
            own = teacher.teach(tokens, pieces)
            empty = teacher.teach(self._empty.expand(len(tokens), -1, -1), pieces, gradients=False)
        maps = self._maps(own, read)
        return [
            self._captioned(picture, text, one, place, own, empty, maps)
            for place, (picture, text, one) in enumerate(zip(pictures, given, read))
        ]

    def _written(self, inputs: Tensor) -> list[list[int]]:
        """Greedy captions as pieces, without those of beginning and end."""
        if not len(inputs):
            return []
        most: dict[str, Any] = {"max_new_tokens": self.options.max_new_tokens}
        with torch.no_grad(), quiet(self._library):
            pixels = inputs.flip(1) if self._flipped else inputs
            found = self._module.generate(pixel_values=pixels, do_sample=False, num_beams=1, **most)  # type: ignore[operator]
        return [self._until_end(row.tolist()) for row in found]

    def _until_end(self, ids: Sequence[int]) -> list[int]:
        """Pieces after the first token, up to the first end token."""
        kept: list[int] = []
        for one in ids[1:]:
            if one in self._ends:
                break
            kept.append(one)
        return kept

    def _encoded(self, text: str) -> list[int]:
        return [int(one) for one in self.tokenizer(text, add_special_tokens=False).input_ids]

    def _read(self, pieces: list[int]) -> _Text:
        def decode(count: int) -> str:
            return self._decoded(pieces[:count])

        # The token for unknown text is read, but is no part of a word.
        found = words_of(len(pieces), decode)
        words = [PieceGroup(one.word, tuple(p for p in one.pieces if pieces[p] not in self._special)) for one in found]
        return _Text(pieces, words, chosen(words, self.options.words))

    def _decoded(self, pieces: Sequence[int]) -> str:
        return str(self.tokenizer.decode(pieces, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _maps(self, own: Taught, read: Sequence[_Text]) -> Tensor:
        """Maps B×W×h×w of the chosen words of each image; behind its last word zeros."""
        most = max(len(one.some) for one in read)
        members = own.log_probabilities.new_zeros(len(read), most, own.log_probabilities.shape[1])
        for row, one in enumerate(read):
            for column, place in enumerate(one.some):
                members[row, column, list(one.words[place].pieces)] = 1
        if not most:
            return members.new_zeros(len(read), 0, self.layer.layout.height, self.layer.layout.width)
        find: Callable[[Tensor], Tensor] = (
            own.attention_gradient if self.options.method == "attention-gradient" else own.hirescam
        )
        return patches(self.layer.layout, find(members)).cpu()

    def _captioned(
        self, picture: Picture, given: str | None, text: _Text, place: int, own: Taught, empty: Taught, maps: Tensor
    ) -> Captioned:
        logs, without = (one.log_probabilities[place].detach().cpu().double() for one in (own, empty))
        words = []
        for number, one in enumerate(text.words):
            pieces = list(one.pieces)
            log, alone = float(logs[pieces].sum()), float(without[pieces].sum())
            shown = text.some.index(number) if number in text.some else None
            words.append(Word(one.word, len(pieces), log, log - alone, shown))
        values = [maps[place, column].numpy() for column in range(len(text.some))]
        largest = max((float(one.max()) for one in values), default=0.0)
        drawn = tuple(
            ClassMap(
                self.options.method,
                self.layer.name,
                Prediction(number + 1, words[number].word, min(1.0, math.exp(words[number].logprob))),
                one,
                scale=largest if largest > 0 else None,
            )
            for number, one in zip(text.some, values)
        )
        written = given if given is not None else self._decoded(text.pieces).strip()
        logprob = float(logs[: len(text.pieces)].sum())
        return Captioned(picture, written, logprob, tuple(words), drawn, given is not None)
