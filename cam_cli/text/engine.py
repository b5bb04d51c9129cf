"""Base of the engines of captions and questions: a network on a device with a verified grid of image tokens."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ..cams.engine.batches import Runner
from ..cams.target_layer.probe import probe_picture
from ..errors import CamxError
from ..models.hf.library import quiet, transformers
from ..models.hf.text_network import TextNetwork
from ..models.hooks import TargetLayer
from .grid import probed, token_grid
from .options import ATTENTION, AUTO, HIRESCAM, TextOptions
from .reader import Prompt, Reader

if TYPE_CHECKING:
    from typing_extensions import Self


class Place(NamedTuple):
    """Image tokens of inputs of one size: their grid, and the tokens of an image of the mean colour, 1×N×D."""

    layer: TargetLayer
    empty: Tensor


class TextEngine:
    """A network that writes text, ready for batches. layer: the image tokens for an input of the network's size, with
    their grid. method: of the maps. device, precision: the resolved `auto`."""

    #: Everything before the image tokens already runs without a graph.
    backend = "torch"

    def __init__(self, found: TextNetwork, reader: Reader, options: TextOptions, prompt: str) -> None:
        """Moves the network to the device and verifies the grid of its image tokens. prompt: any prompt. Raises
        `CamxError` if there is no grid, and for a method that the network does not support."""
        self.network = replace(found.network, warnings=(*found.network.warnings, *reader.notes))
        self._reader, self._flipped, self._library = reader, found.flipped, transformers(found.network.name)
        self._most = options.max_new_tokens
        self._runner = Runner(self.network, options.device, options.precision)
        self.device, self.precision = self._runner.device, self._runner.precision
        self._places: dict[tuple[int, int], Place] = {}
        self._prompts: dict[str, Prompt] = {}
        place = self._place(self.network.preprocessing.input_size)
        self.layer, self.layers = place.layer, (place.layer,)
        followed = reader.reading(self.prompt(prompt), 1, place.empty.shape[1]) is not None
        if options.method == ATTENTION and not followed:
            raise CamxError(
                f"No text of `model` {found.network.name!r} attends to the image tokens: it reads queries instead.",
                "Leave `method` out, or give `method=hirescam`.",
                field="method",
            )
        self.method = options.method if options.method != AUTO else ATTENTION if followed else HIRESCAM

    def replica(self) -> Self:
        """Copy for another thread: own modules that share the weights in memory."""
        other = copy.copy(self)
        other._runner = self._runner.replica()
        other.network = other._runner.network
        return other

    def prompt(self, text: str) -> Prompt:
        """A tokenized prompt, cached. Raises `CamxError` for one that the network cannot read."""
        if text not in self._prompts:
            with quiet(self._library):
                self._prompts[text] = self._reader.prompt(text)
        return self._prompts[text]

    @property
    def _module(self) -> nn.Module:
        return self._runner.module

    def _pixels(self, inputs: Tensor) -> Tensor:
        """Inputs with the channels in the order of the network."""
        return inputs.flip(1) if self._flipped else inputs

    def _tokens(self, inputs: Tensor) -> Tensor:
        return self._reader.image_tokens(self._module, self._pixels(inputs))

    def _written(self, inputs: Tensor, tokens: Tensor, prompt: Prompt) -> list[list[int]]:
        """Text of the network after the prompt for each image, as pieces; at most as many as it can read."""
        most = min(self._most, self._reader.room(prompt))
        return self._reader.write(self._module, self._pixels(inputs), tokens, prompt, most)

    def _place(self, size: tuple[int, int]) -> Place:
        """Place of the image tokens for inputs of a size (h, w), cached."""
        if size not in self._places:
            picture = probe_picture(self.network.preprocessing.channels, size).to(self.device)
            with torch.no_grad(), self._runner.autocast():
                layer = token_grid(self._reader.tower, picture, self._tokens(probed(picture)))
                self._places[size] = Place(layer, self._tokens(torch.zeros_like(picture)))
        return self._places[size]
