"""The engine of questions: batches of images and their questions become answers with a map for each."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..cams.engine.batches import Runner
from ..cams.target_layer.probe import probe_picture
from ..errors import CamxError
from ..images.picture import Decodable, Picture
from ..maps.explanation import ClassMap, Prediction
from ..models.hf.library import quiet, transformers
from ..models.hf.text_network import TextNetwork, text_network
from ..models.hooks import TargetLayer
from ..models.options import ModelSpec
from .grid import patches, probed, token_grid
from .options import ATTENTION, HIRESCAM, AskOptions
from .questions import Prompt, Reader, teach
from .readers import ANSWERERS, REFUSED_ANSWERERS, VARYING, reader_of
from .records import Answer, Answered
from .teacher import Taught

_EXAMPLE = "hf:dandelin/vilt-b32-finetuned-vqa"


class _Place(NamedTuple):
    """The image tokens of inputs of one size: their grid, and those of an image of the mean colour, 1×N×D."""

    layer: TargetLayer
    empty: Tensor


class Answerer:
    """A network that answers questions, ready for batches.

    layer: the image tokens of a square image, with their grid. method: that of the maps. device, precision: what `auto`
    stands for.
    """

    #: Everything before the image tokens runs without a graph as it is.
    backend = "torch"

    def __init__(self, found: TextNetwork, options: AskOptions = AskOptions()) -> None:
        """Moves the network to the device and proves where its image tokens lie. Raises `CamxError` if that fails."""
        self.network = found.network
        self.options = options
        self._reader: Reader = reader_of(found, options.prompt)
        self._flipped, self._library = found.flipped, transformers(found.network.name)
        self._runner = Runner(found.network, options.device, options.precision)
        self.device, self.precision = self._runner.device, self._runner.precision
        self._places: dict[tuple[int, int], _Place] = {}
        self._prompts: dict[str, Prompt] = {}
        self.layer = self._place(found.network.preprocessing.input_size).layer
        self.layers = (self.layer,)
        followed = self._reader.reading(self.prompt("?"), 1, self._tokens_of(self.layer)) is not None
        if options.method == ATTENTION and not followed:
            raise CamxError(
                f"No text of `model` {found.network.name!r} attends to the image tokens: a few queries stand between.",
                "Leave `method` out, or give `method=hirescam`.",
                field="method",
            )
        self.method = options.method if options.method != "auto" else ATTENTION if followed else HIRESCAM

    @classmethod
    def load(
        cls, spec: ModelSpec | str, options: AskOptions = AskOptions(), origins: Mapping[str, str] | None = None
    ) -> Answerer:
        """The network that `hf:PATH_OR_ID` names. Raises `CamxError` for one that answers no questions."""
        asked = ModelSpec(spec) if isinstance(spec, str) else spec
        given = {name.replace("-", "_"): origin for name, origin in (origins or {}).items()}
        what = "network that answers questions"
        return cls(text_network(asked, given, ANSWERERS, REFUSED_ANSWERERS, what, _EXAMPLE, VARYING), options)

    def replica(self) -> Answerer:
        """Copies the engine for another thread: modules of its own that share the weights in memory."""
        other = copy.copy(self)
        other._runner = self._runner.replica()
        other.network = other._runner.network
        return other

    def prompt(self, question: str) -> Prompt:
        """A question in numbers, made once. Raises `CamxError` for one that the network cannot read."""
        if question not in self._prompts:
            with quiet(self._library):
                self._prompts[question] = self._reader.prompt(question)
        return self._prompts[question]

    def ask(self, images: Sequence[Decodable], questions: Mapping[str, Sequence[str]]) -> list[Answered]:
        """The answers for prepared images. questions: those on each image, by its key.

        Images are asked in batches of one size, and in smaller ones where the memory does not hold them.
        """
        groups: dict[tuple[int, ...] | None, list[int]] = {}
        for place, image in enumerate(images):
            groups.setdefault(image.input.shape if isinstance(image, Picture) else None, []).append(place)
        run = partial(self._batch, questions=questions)
        found: dict[int, Answered] = {}
        for places in groups.values():
            some = [images[place] for place in places]
            found |= zip(places, self._runner.in_batches(some, run, lambda one, why: Answered(one, problem=why)))
        return [found[place] for place in range(len(images))]

    @property
    def _module(self) -> nn.Module:
        return self._runner.module

    def _tokens(self, inputs: Tensor) -> Tensor:
        return self._reader.image_tokens(self._module, inputs.flip(1) if self._flipped else inputs)

    @staticmethod
    def _tokens_of(layer: TargetLayer) -> int:
        layout = layer.layout
        return layout.prefix + layout.height * layout.width + layout.suffix

    def _place(self, size: tuple[int, int]) -> _Place:
        """The place of the image tokens for inputs of a size (h, w), found once."""
        if size not in self._places:
            picture = probe_picture(self.network.preprocessing.channels, size).to(self.device)
            with torch.no_grad(), self._runner.autocast():
                layer = token_grid(self._reader.tower, picture, self._tokens(probed(picture)))
                self._places[size] = _Place(layer, self._tokens(torch.zeros_like(picture)))
        return self._places[size]

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
        self, question: str, inputs: Tensor, tokens: Tensor, place: _Place
    ) -> list[tuple[Answer, ClassMap | None]]:
        """The answer to one question on each image, and its map."""
        reader, prompt = self._reader, self.prompt(question)
        pixels = inputs.flip(1) if self._flipped else inputs
        pieces = reader.write(self._module, pixels, tokens, prompt, self.options.max_new_tokens)
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
        node, rows, _ = own.attentions[0]
        count = node[..., rows, :].shape[-2]
        return own.attention_gradient(members, members.new_ones(len(pieces), 1, count))[:, 0]


def _numbered(picture: Picture, found: Sequence[tuple[Answer, ClassMap | None]]) -> Answered:
    """The answers of an image in the order of its questions, with the number of the question in each map."""
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
