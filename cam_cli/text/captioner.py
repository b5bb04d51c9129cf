"""Engine of `camx caption`: computes captions of batches of images, with a map for each word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..images.picture import Decodable, Picture
from ..maps.explanation import ClassMap, Prediction
from ..models.hf.text_network import TextNetwork, text_network
from ..models.options import ModelSpec
from .engine import TextEngine
from .grid import patches
from .options import ATTENTION, CaptionOptions
from .readers import CAPTIONERS, REFUSED_CAPTIONERS, captioner_of
from .records import Captioned, Word
from .teacher import Taught, teach
from .words import PieceGroup, chosen, words_of


class _Text(NamedTuple):
    """A tokenized text. pieces: token ids without those of beginning and end. words: all words. some: words with a
    map."""

    pieces: list[int]
    words: list[PieceGroup]
    some: list[int]


class Captioner(TextEngine):
    """Writes and explains captions of batches of images."""

    def __init__(self, found: TextNetwork, options: CaptionOptions = CaptionOptions()) -> None:
        """See `TextEngine`."""
        self.options = options
        self.tokenizer = found.tokenizer
        self._writer, asked = captioner_of(found, options.prompt)
        super().__init__(found, self._writer, options, asked)
        self._prompt = self.prompt(asked)
        self._special = {int(one) for one in found.tokenizer.all_special_ids}

    @classmethod
    def load(
        cls, spec: ModelSpec | str, options: CaptionOptions = CaptionOptions(), origins: Mapping[str, str] | None = None
    ) -> Captioner:
        """Captioner of `hf:PATH_OR_ID`. Raises `CamxError` for any other network."""
        asked = ModelSpec(spec) if isinstance(spec, str) else spec
        given = {name.replace("-", "_"): origin for name, origin in (origins or {}).items()}
        return cls(text_network(asked, given, CAPTIONERS, REFUSED_CAPTIONERS, "captioner"), options)

    def check_text(self, text: str) -> None:
        """Raises `CamxError` for a given caption that the network cannot read."""
        self._writer.check_text(text, self._encoded(text), self._prompt)

    def has_unknown(self, text: str) -> bool:
        """Whether the vocabulary lacks words of a text. The network reads them as one token, and they get no map."""
        unknown = self.tokenizer.unk_token_id
        return unknown is not None and unknown in self._encoded(text)

    def caption(self, images: Sequence[Decodable], texts: Mapping[str, str] | None = None) -> list[Captioned]:
        """Captions prepared images, in smaller batches if memory is short.

        texts: given captions by image key, instead of those that the network writes.
        """
        run = partial(self._batch, texts=texts or {})
        return self._runner.in_batches(images, run, lambda one, why: Captioned(one, problem=why))

    @torch.inference_mode(False)
    def _batch(self, pictures: Sequence[Picture], inputs: Tensor, texts: Mapping[str, str]) -> list[Captioned]:
        given = [texts.get(picture.source.key) for picture in pictures]
        own = [row for row, one in enumerate(given) if one is None]
        place = self._place((inputs.shape[2], inputs.shape[3]))
        with self._runner.autocast():
            with torch.no_grad():
                tokens = self._tokens(inputs)
            written = iter(self._written(inputs[own], tokens[own], self._prompt) if own else ())
            pieces = [next(written) if one is None else self._encoded(one) for one in given]
            read = [self._read(one) for one in pieces]
            taught = teach(self._module, self._reader, tokens, self._prompt, pieces)
            alone = place.empty.expand(len(tokens), -1, -1)
            empty = teach(self._module, self._reader, alone, self._prompt, pieces, gradients=False)
        maps = self._maps(taught, read)
        return [
            self._captioned(picture, text, one, row, taught, empty, maps)
            for row, (picture, text, one) in enumerate(zip(pictures, given, read))
        ]

    def _encoded(self, text: str) -> list[int]:
        return [int(one) for one in self.tokenizer(text, add_special_tokens=False).input_ids]

    def _read(self, pieces: list[int]) -> _Text:
        def decode(count: int) -> str:
            return self._decoded(pieces[:count])

        # The network reads the token for unknown text, but it is no part of a word.
        found = words_of(len(pieces), decode)
        words = [PieceGroup(one.word, tuple(p for p in one.pieces if pieces[p] not in self._special)) for one in found]
        return _Text(pieces, words, chosen(words, self.options.words))

    def _decoded(self, pieces: Sequence[int]) -> str:
        return str(self.tokenizer.decode(pieces, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _maps(self, own: Taught, read: Sequence[_Text]) -> Tensor:
        """Maps B×W×h×w of the chosen words of each image; zeros after its last word."""
        most = max(len(one.some) for one in read)
        members = own.log_probabilities.new_zeros(len(read), most, own.log_probabilities.shape[1])
        for row, one in enumerate(read):
            for column, place in enumerate(one.some):
                members[row, column, list(one.words[place].pieces)] = 1
        if not most:
            return members.new_zeros(len(read), 0, self.layer.layout.height, self.layer.layout.width)
        found = own.word_maps(members) if self.method == ATTENTION else own.hirescam(members)
        return patches(self.layer.layout, found).cpu()

    def _captioned(
        self, picture: Picture, given: str | None, text: _Text, row: int, own: Taught, empty: Taught, maps: Tensor
    ) -> Captioned:
        logs, without = (one.log_probabilities[row].detach().cpu().double() for one in (own, empty))
        words = []
        for number, one in enumerate(text.words):
            pieces = list(one.pieces)
            log, alone = float(logs[pieces].sum()), float(without[pieces].sum())
            shown = text.some.index(number) if number in text.some else None
            words.append(Word(one.word, len(pieces), log, log - alone, shown))
        values = [maps[row, column].numpy() for column in range(len(text.some))]
        largest = max((float(one.max()) for one in values), default=0.0)
        drawn = tuple(
            ClassMap(
                self.method,
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
