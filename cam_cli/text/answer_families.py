"""Families of networks that write their answers: BLIP, GIT, and those whose prompt has a place for each image token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CamxError
from ..models.hf.library import quiet
from .families import Family, end_tokens, image_tokens, start_token, towerless
from .options import GAP
from .questions import Prompt, Reading, opposite_piece


@dataclass(frozen=True)
class Writer:
    """Base of all networks that write an answer piece by piece. ends: tokens that end a text.
    longest: pieces that the network can read. template: the text around a question, with {} in its place."""

    library: Any
    tokenizer: Any
    family: Family
    ends: frozenset[int]
    longest: int
    template: str
    independent = False

    @property
    def tower(self) -> str:
        """Name of the module that makes the image tokens."""
        return self.family.layer

    def text(self, pieces: Sequence[int]) -> str:
        """An answer in words."""
        decoded = self.tokenizer.decode(pieces, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(decoded).strip()

    def opposite(self, pieces: Sequence[int]) -> int | None:
        """The first piece of `no` for `yes`, and the other way round."""
        return opposite_piece(self.tokenizer, pieces, self.text(pieces))

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """The image tokens B×N×D."""
        return image_tokens(module, self.family, pixels)

    def filled(self, question: str) -> str:
        """The text around a question, with it."""
        return self.template.replace(GAP, question)

    def checked(self, question: str, pieces: Sequence[int]) -> tuple[int, ...]:
        """The pieces of a question. Raises `CamxError` for more than the network reads."""
        if len(pieces) > self.longest:
            raise CamxError(
                f"The question {question[:60]!r} has {len(pieces)} pieces, and the network reads {self.longest}.",
                "Shorten it.",
            )
        return tuple(map(int, pieces))

    def written(self, module: nn.Module, inputs: dict[str, Any], prompt: Sequence[int], most: int) -> list[list[int]]:
        """Greedy answers of the library: the pieces of each, without the prompt and those of beginning and end."""
        with torch.no_grad(), quiet(self.library):
            found = module.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=most)  # type: ignore[operator]
        return [self._answer(row.tolist(), list(prompt)) for row in found]

    def _answer(self, ids: list[int], prompt: list[int]) -> list[int]:
        kept: list[int] = []
        for one in ids[len(prompt) :] if ids[: len(prompt)] == prompt else ids:
            if one in self.ends:
                break
            kept.append(one)
        return kept


@dataclass(frozen=True)
class Blip(Writer):
    """BLIP: an encoder reads the question and the image by cross-attention, and a decoder reads what it has found."""

    pad: int
    start: int

    def prompt(self, question: str) -> Prompt:
        """The question between the tokens of its beginning and its end."""
        return Prompt(self.checked(question, self.tokenizer(self.filled(question)).input_ids))

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`. The tower does not run again."""
        ids = prompt.tensor(len(tokens), tokens.device)
        inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
        with towerless(module, self.family, tokens):
            return self.written(module, inputs, [self.start], most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, answers: Tensor) -> Tensor:
        """See `Reader.read`. The library's own forward returns no scores: its parts run one after the other."""
        padded = self._padded(prompt, tokens.shape[1])
        ids = padded.tensor(len(tokens), tokens.device)
        pieces, mask = len(prompt.pieces), torch.ones_like(ids)
        mask[:, pieces:] = 0
        image = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        encoder, decoder = module.get_submodule("text_encoder"), module.get_submodule("text_decoder")
        found = encoder(
            input_ids=ids, attention_mask=mask, encoder_hidden_states=tokens, encoder_attention_mask=image
        ).last_hidden_state
        before = torch.cat([torch.full_like(answers[:, :1], self.start), answers[:, :-1]], 1)
        scores: Tensor = decoder(
            input_ids=before,
            encoder_hidden_states=found[:, :pieces],
            encoder_attention_mask=mask[:, :pieces],
            use_cache=False,
        ).logits
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """The cross-attention of all pieces of the question."""
        pieces = len(self._padded(prompt, images).pieces)
        return Reading(pieces, images, slice(None), slice(None))

    def _padded(self, prompt: Prompt, images: int) -> Prompt:
        """A masked piece more where attention among the pieces would have the shape of that to the image."""
        return replace(prompt, pieces=(*prompt.pieces, self.pad)) if len(prompt.pieces) == images else prompt


@dataclass(frozen=True)
class Git(Writer):
    """GIT: image tokens stand before question and answer in one sequence."""

    start: int

    def prompt(self, question: str) -> Prompt:
        """The question behind the token of the beginning; no token ends it."""
        pieces = self.tokenizer(self.filled(question), add_special_tokens=False).input_ids
        return Prompt(self.checked(question, [self.start, *pieces]))

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`. The tower does not run again."""
        ids = prompt.tensor(len(tokens), tokens.device)
        inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
        with towerless(module, self.family, tokens):
            return self.written(module, inputs, prompt.pieces, most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, answers: Tensor) -> Tensor:
        """See `Reader.read`."""
        ids = torch.cat([prompt.tensor(len(tokens), tokens.device), answers[:, :-1]], 1)
        with towerless(module, self.family, tokens):
            found = module(pixel_values=tokens.new_zeros(len(tokens), 3, 1, 1), input_ids=ids, use_cache=False)
        scores: Tensor = found.logits[:, -answers.shape[1] :]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """The rows of question and answer, and the columns of the image before them."""
        whole = images + len(prompt.pieces) + length - 1
        return Reading(whole, whole, slice(images, None), slice(images))


@dataclass(frozen=True)
class Placeholders(Writer):
    """LLaVA and its kin: the prompt has a token for each image token, in whose place the language model reads it.

    processor: of the library; without a `template` its own puts the question into the prompt. place: the token. sizes:
    height and width of two images whose prompts must be the same.
    """

    processor: Any
    place: int
    sizes: tuple[tuple[int, int], tuple[int, int]]

    def image_tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """The tokens B×N×D behind the projector."""
        found = module.get_image_features(pixel_values=pixels)  # type: ignore[operator]
        tokens = getattr(found, "pooler_output", found)
        return torch.stack([*tokens]) if isinstance(tokens, (list, tuple)) else tokens

    def prompt(self, question: str) -> Prompt:
        """The prompt of the library's processor. Raises `CamxError` where it depends on the size of the image."""
        from PIL import Image

        text = self._asked(question)
        begins = self.tokenizer.bos_token and text.startswith(self.tokenizer.bos_token)
        more = {"add_special_tokens": False} if begins else {}
        each = [
            self.processor(text=[text], images=[Image.new("RGB", (width, height))], return_tensors="pt", **more)
            for height, width in self.sizes
        ]
        first, other = (one["input_ids"][0].tolist() for one in each)
        if first != other:
            raise CamxError(
                "The processor of the network cuts an image into several tiles, and camx has one map per image."
            )
        types = {"token_type_ids": each[0]["token_type_ids"]} if "token_type_ids" in each[0] else {}
        return Prompt(self.checked(question, first), types)

    def _asked(self, question: str) -> str:
        if self.template != GAP or not getattr(self.processor, "chat_template", None):
            text, token = self.filled(question), str(self.processor.image_token)
            return text if token in text else f"{token}\n{text}"
        content = [{"type": "image"}, {"type": "text", "text": question}]
        said = [{"role": "user", "content": content}]
        return str(self.processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True))

    def write(self, module: nn.Module, pixels: Tensor, tokens: Tensor, prompt: Prompt, most: int) -> list[list[int]]:
        """See `Reader.write`."""
        ids = prompt.tensor(len(tokens), tokens.device)
        inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
        return self.written(module, inputs | prompt.others(len(ids), ids.device), prompt.pieces, most)

    def read(self, module: nn.Module, tokens: Tensor, prompt: Prompt, answers: Tensor) -> Tensor:
        """See `Reader.read`."""
        start, end = self._span(prompt, tokens.shape[1])
        ids = torch.cat([prompt.tensor(len(tokens), tokens.device), answers[:, :-1]], 1)
        # The placeholder may have no vector of its own.
        words = module.get_input_embeddings()(ids.masked_fill(ids == self.place, 0))  # type: ignore[operator]
        embedded = torch.cat([words[:, :start], tokens.to(words.dtype), words[:, end:]], 1)
        more = prompt.others(len(ids), ids.device)
        if "token_type_ids" in more:
            # 0 is the prompt, whose tokens read each other in both directions; 1 is the answer.
            more["token_type_ids"] = torch.cat([more["token_type_ids"], torch.ones_like(answers[:, :-1])], 1)
        found = module(inputs_embeds=embedded, attention_mask=torch.ones_like(ids), use_cache=False, **more)
        scores: Tensor = found.logits[:, -answers.shape[1] :]
        return scores

    def reading(self, prompt: Prompt, length: int, images: int) -> Reading:
        """The rows of all that stands behind the image."""
        start, end = self._span(prompt, images)
        whole = len(prompt.pieces) + length - 1
        return Reading(whole, whole, slice(end, None), slice(start, end))

    def _span(self, prompt: Prompt, images: int) -> tuple[int, int]:
        """The first placeholder and the end of all. Raises `CamxError` where they are no single row of the image's."""
        places = [place for place, one in enumerate(prompt.pieces) if one == self.place]
        if len(places) != images or places != [*range(places[0], places[0] + images)]:
            raise CamxError(
                f"The prompt has {len(places)} places for the {images} tokens of an image, or other tokens between "
                "them: camx has one map per image."
            )
        return places[0], places[-1] + 1


def ends_of(module: nn.Module, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    return frozenset(end_tokens(module, tokenizer))


def start_of(module: nn.Module, tokenizer: Any) -> int:
    """The token at the beginning of a text of GIT."""
    own = tokenizer.cls_token_id
    return start_token(module) if own is None else int(own)
