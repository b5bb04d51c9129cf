"""Engine of `camx ask`: computes answers to questions about batches of images, with a map for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ..images.picture import Decodable, Picture
from ..maps.explanation import ClassMap, Prediction
from ..models.hf.text_network import TextNetwork, text_network
from ..models.options import ModelSpec
from .engine import Place, TextEngine
from .grid import patches
from .options import HIRESCAM, AskOptions
from .readers import ANSWERERS, REFUSED_ANSWERERS, VARYING, answerer_of
from .records import Answer, Answered
from .teacher import Taught, teach

_EXAMPLE = "hf:dandelin/vilt-b32-finetuned-vqa"


class Answerer(TextEngine):
    """Answers questions about batches of images, and explains the answers."""

    def __init__(self, found: TextNetwork, options: AskOptions = AskOptions()) -> None:
        """See `TextEngine`."""
        self.options = options
        super().__init__(found, answerer_of(found, options.prompt), options, "?")

    @classmethod
    def load(
        cls, spec: ModelSpec | str, options: AskOptions = AskOptions(), origins: Mapping[str, str] | None = None
    ) -> Answerer:
        """Answerer of `hf:PATH_OR_ID`. Raises `CamxError` for a network that answers no questions."""
        asked = ModelSpec(spec) if isinstance(spec, str) else spec
        given = {name.replace("-", "_"): origin for name, origin in (origins or {}).items()}
        what = "network that answers questions"
        return cls(text_network(asked, given, ANSWERERS, REFUSED_ANSWERERS, what, _EXAMPLE, VARYING), options)

    def ask(self, images: Sequence[Decodable], questions: Mapping[str, Sequence[str]]) -> list[Answered]:
        """Answers questions about prepared images. questions: by image key. Runs images of one size together, in
        smaller batches if memory is short."""
        groups: dict[tuple[int, ...] | None, list[int]] = {}
        for place, image in enumerate(images):
            groups.setdefault(image.input.shape if isinstance(image, Picture) else None, []).append(place)
        run = partial(self._batch, questions=questions)
        found: dict[int, Answered] = {}
        for places in groups.values():
            some = [images[place] for place in places]
            found |= zip(places, self._runner.in_batches(some, run, lambda one, why: Answered(one, problem=why)))
        return [found[place] for place in range(len(images))]

    @torch.inference_mode(False)
    def _batch(
        self, pictures: Sequence[Picture], inputs: Tensor, questions: Mapping[str, Sequence[str]]
    ) -> list[Answered]:
        wanted = [questions[picture.source.key] for picture in pictures]
        found: list[dict[str, tuple[Answer, ClassMap | None]]] = [{} for _ in pictures]
        place = self._place((inputs.shape[2], inputs.shape[3]))
        with self._runner.autocast():
            with torch.no_grad():
                tokens = self._tokens(inputs)
            for question in dict.fromkeys(one for some in wanted for one in some):
                rows = [row for row, some in enumerate(wanted) if question in some]
                answers = self._answers(question, inputs[rows], tokens[rows], place)
                for row, one in zip(rows, answers):
                    found[row][question] = one
        return [
            _numbered(picture, [by_question[question] for question in some])
            for picture, some, by_question in zip(pictures, wanted, found)
        ]

    def _answers(
        self, question: str, inputs: Tensor, tokens: Tensor, place: Place
    ) -> list[tuple[Answer, ClassMap | None]]:
        """Answer to one question for each image, and its map."""
        reader, prompt = self._reader, self.prompt(question)
        pieces = self._written(inputs, tokens, prompt)
        opposites = [reader.opposite(one) if self.options.contrast else None for one in pieces]
        own = teach(self._module, reader, tokens, prompt, pieces, opposites)
        alone = place.empty.expand(len(tokens), -1, -1)
        empty = teach(self._module, reader, alone, prompt, pieces, opposites, gradients=False)
        maps = patches(place.layer.layout, self._values(own, pieces, opposites)).cpu()
        found: list[tuple[Answer, ClassMap | None]] = []
        for row, (one, opposite) in enumerate(zip(pieces, opposites)):
            log, without = (float(t.log_probabilities[row, : len(one)].detach().double().sum()) for t in (own, empty))
            text = reader.text(one)
            answer = Answer(question, text, min(0.0, log), log - without, opposite is not None)
            shown = Prediction(0, text, math.exp(answer.logprob))
            found.append((answer, ClassMap(self.method, place.layer.name, shown, maps[row].numpy()) if text else None))
        return found

    def _values(self, own: Taught, pieces: Sequence[Sequence[int]], opposites: Sequence[int | None]) -> Tensor:
        """Values B×N of the image tokens for the score of each answer: its log-probability, or the contrast."""
        members = torch.zeros_like(own.log_probabilities)[:, None]
        for row, (one, opposite) in enumerate(zip(pieces, opposites)):
            if opposite is None:
                members[row, 0, : len(one)] = 1
            else:
                members[row, 0, -1] = 1
        if self.method == HIRESCAM:
            return own.hirescam(members)[:, 0]
        return own.text_maps(members)[:, 0]


def _numbered(picture: Picture, found: Sequence[tuple[Answer, ClassMap | None]]) -> Answered:
    """Answers of an image in the order of its questions, with the number of the question in each map."""
    answers: list[Answer] = []
    maps: list[ClassMap] = []
    for number, (answer, one) in enumerate(found, 1):
        if one is None:
            answers.append(answer)
            continue
        answers.append(answer.with_map(len(maps)))
        shown = one.prediction
        maps.append(ClassMap(one.method, one.layer, Prediction(number, shown.name, shown.probability), one.values))
    return Answered(picture, tuple(answers), tuple(maps))
