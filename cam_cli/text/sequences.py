"""Networks with image tokens and text in one sequence: GIT, and those whose prompt has a place for each image token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CamxError, first_line
from .families import towerless
from .options import GAP
from .reader import Prompt, Reading
from .writer import Writer

#: Settings of an image processor that keep an image whole.
_WHOLE = {"crop_to_patches": False}


@dataclass(frozen=True)
class Git(Writer):
    """GIT: image tokens, prompt and text in one sequence."""

    start: int

    def prompt(self, text: str) -> Prompt:
        """The prompt after the start token, without an end token."""
        given = self.filled(text)
        pieces = self.tokenizer(given, add_special_tokens=False).input_ids if given else []
        return Prompt(self.checked(text, [self.start, *pieces]))

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`. The tower does not run again."""
        ids = prompt.tensor(len(tokens), tokens.device)
        inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
        with towerless(module, self.family, tokens):
            return self.written(module, inputs, prompt.pieces, most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """See `Reader.read`."""
        ids = torch.cat([prompt.tensor(len(tokens), tokens.device), texts[:, :-1]], 1)
        with towerless(module, self.family, tokens):
            found = module(pixel_values=tokens.new_zeros(len(tokens), 3, 1, 1), input_ids=ids, use_cache=False)
        scores: Tensor = found.logits[:, -texts.shape[1] :]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """Rows of prompt and text, and columns of the image before them."""
        whole = images + len(prompt.pieces) + length - 1
        return Reading(whole, whole, slice(images), slice(images, whole), slice(whole - length, whole))


@dataclass(frozen=True)
class Placeholders(Writer):
    """LLaVA and similar networks: the language model reads image tokens at placeholder tokens of the prompt.

    processor: of the library; without a `template`, its own template builds the prompt. size: height and width of an
    input. between: text between the image token and a template without it.
    """

    processor: Any
    size: tuple[int, int]
    between: str = "\n"

    @property
    def notes(self) -> Sequence[str]:
        """Says that an image is not cut into tiles."""
        if not self._whole:
            return ()
        return (
            "The network is given each image whole, as one tile: its processor would cut large images into several.",
        )

    @property
    def _whole(self) -> dict[str, Any]:
        images = getattr(self.processor, "image_processor", None)
        return {name: value for name, value in _WHOLE.items() if hasattr(images, name)}

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """The tokens B×N×D behind the projector."""
        found = module.get_image_features(pixel_values=pixels)  # type: ignore[operator]
        tokens = getattr(found, "pooler_output", found)
        return torch.stack([*tokens]) if isinstance(tokens, (list, tuple)) else tokens

    def check_tiles(self) -> None:
        """Raises `CamxError` where the prompt depends on the size of an image."""
        height, width = self.size
        first, other = (self._inputs("?", size)["input_ids"][0].tolist() for size in (self.size, (height, 3 * width)))
        if first != other:
            raise CamxError(
                "The processor of the network cuts an image into several tiles, and camx has one map per image."
            )

    def prompt(self, text: str) -> Prompt:
        """The prompt by the processor of the library."""
        found = self._inputs(text, self.size)
        types = {"token_type_ids": found["token_type_ids"]} if "token_type_ids" in found else {}
        return Prompt(self.checked(text, found["input_ids"][0].tolist()), types)

    def _inputs(self, text: str, size: tuple[int, int]) -> Any:
        """Inputs of the network from its processor, for a text and an image of this height and width."""
        from PIL import Image

        whole = self._around(text)
        token = str(self.processor.image_token)
        if whole.count(token) != 1:
            raise self.holds_image(text)
        begins = self.tokenizer.bos_token and whole.startswith(self.tokenizer.bos_token)
        more = {"add_special_tokens": False} if begins else {}
        height, width = size
        try:
            return self.processor(
                text=[whole], images=[Image.new("RGB", (width, height))], return_tensors="pt", **more, **self._whole
            )
        # A processor may raise anything.
        except Exception as error:
            raise CamxError(
                f"The processor of the network takes no text {text[:60]!r}: {first_line(error)}."
            ) from error

    def _around(self, text: str) -> str:
        """The text within the template, with the image token."""
        if self.template != GAP or not getattr(self.processor, "chat_template", None):
            found, token = self.filled(text), str(self.processor.image_token)
            return found if token in self.template else f"{token}{self.between}{found}"
        content = [{"type": "image"}, {"type": "text", "text": text}]
        messages = [{"role": "user", "content": content}]
        return str(self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`."""
        ids = prompt.tensor(len(tokens), tokens.device)
        inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
        return self.written(module, inputs | prompt.others(len(ids), ids.device), prompt.pieces, most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, texts: Tensor) -> Tensor:
        """See `Reader.read`."""
        start, end = self._span(prompt, tokens.shape[1])
        ids = torch.cat([prompt.tensor(len(tokens), tokens.device), texts[:, :-1]], 1)
        assert self.image is not None
        # The placeholder may have no vector of its own.
        words = module.get_input_embeddings()(ids.masked_fill(ids == self.image, 0))  # type: ignore[operator]
        embedded = torch.cat([words[:, :start], tokens.to(words.dtype), words[:, end:]], 1)
        more = prompt.others(len(ids), ids.device)
        if "token_type_ids" in more:
            # 0 is the prompt, whose tokens read each other in both directions; 1 is the text behind it.
            more["token_type_ids"] = torch.cat([more["token_type_ids"], torch.ones_like(texts[:, :-1])], 1)
        found = module(inputs_embeds=embedded, attention_mask=torch.ones_like(ids), use_cache=False, **more)
        scores: Tensor = found.logits[:, -texts.shape[1] :]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """The rows of all that stands behind the image."""
        start, end = self._span(prompt, images)
        whole = len(prompt.pieces) + length - 1
        return Reading(whole, whole, slice(start, end), slice(end, whole), slice(whole - length, whole))

    def _span(self, prompt: Prompt, images: int) -> tuple[int, int]:
        """The first placeholder and the end of all. Raises `CamxError` where they are no single row of the image's."""
        places = [place for place, one in enumerate(prompt.pieces) if one == self.image]
        if len(places) != images or places != [*range(places[0], places[0] + images)]:
            raise CamxError(
                f"The prompt has {len(places)} places for the {images} tokens of an image, or other tokens between "
                "them: camx has one map per image."
            )
        return places[0], places[-1] + 1
