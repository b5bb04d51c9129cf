"""Trains the small captioner of the tests: `python -m tools.tiny_captioner tests/fixtures/tiny_captioner` (minutes).

A scene of `tools.tiny_clip` holds one or two shapes; its caption names their colours. Three colours have names of two
pieces. First a network learns to name them from left to right. Then its encoder is frozen, and a new decoder learns to
name them in either order, which no habit of reading can tell: so each word has to attend to its own shape. Its weights
begin five times as large as usual, which makes attention choose from the first step. The folder has the format of the
transformers library: weights in half precision, the processor of images, the words of the tokenizer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from .tiny_clip import COLOURS, scenes
from .tiny_training import fit

STEPS, DECODER_STEPS, SCENES, BATCH, RATE = 700, 300, 2500, 32, 1.5e-3
#: Standard deviation of the first weights: that of the library, and that of the decoder on the frozen encoder.
USUAL, WIDE = 0.02, 0.1
#: Input size of the network: 12×12 patches; a shape is about three patches wide.
SIDE, PATCH = 60, 5
PIECES = {"yellow": ("yel", "##low"), "purple": ("pur", "##ple"), "orange": ("or", "##ange")}
WORDS = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "a", "shape", "and"]
WORDS += [piece for colour in COLOURS for piece in PIECES.get(colour, (colour,))]
PAD, BOS, EOS = 0, 1, 2


def captions(masks: dict[str, np.ndarray]) -> tuple[str, str]:
    """The texts of a scene from left to right and from right to left: `a red shape and a blue shape`."""
    ordered = sorted(masks, key=lambda colour: np.nonzero(masks[colour])[1].mean())
    named = [f"a {colour} shape" for colour in ordered]
    return " and ".join(named), " and ".join(reversed(named))


def encoded(text: str) -> list[int]:
    """The numbers of the pieces of a caption, between those of its begin and its end."""
    pieces = [piece for word in text.split() for piece in PIECES.get(word, (word,))]
    return [BOS, *(WORDS.index(piece) for piece in pieces), EOS]


def padded(rows: list[list[int]]) -> Tensor:
    """Rows of numbers as a tensor, padded to equal lengths."""
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def pixels_of(images: list[np.ndarray]) -> Tensor:
    """Images H×W×3 uint8 as inputs N×3×SIDE×SIDE of the network."""
    small = [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for one in images]
    return (torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25


def trained(steps: int = STEPS, decoder_steps: int = DECODER_STEPS) -> transformers.VisionEncoderDecoderModel:
    """Trains a captioner of colours in either order, on the encoder of one that names them from left to right."""
    torch.manual_seed(0)
    drawn = scenes(SCENES, 1)
    pixels = pixels_of([picture for picture, _ in drawn])
    texts = [[encoded(text) for text in captions(masks)] for _, masks in drawn]
    ordered = _network(USUAL)
    _learn(ordered, lambda chosen: {"pixel_values": pixels[chosen]}, [text[:1] for text in texts], steps)
    network = _network(WIDE)
    network.encoder.load_state_dict(ordered.encoder.half().float().state_dict())
    network.encoder.requires_grad_(False)
    with torch.no_grad():
        states = torch.cat([network.encoder(part).last_hidden_state for part in pixels.split(100)])
    _learn(network, lambda chosen: {"encoder_outputs": BaseModelOutput(states[chosen])}, texts, decoder_steps)
    return network.eval()


def _learn(
    network: transformers.VisionEncoderDecoderModel,
    images: Callable[[Tensor], dict[str, Any]],
    texts: list[list[list[int]]],
    steps: int,
) -> None:
    """Trains a network on the texts of the scenes, of which it sees one by chance. images: the input of scenes."""

    def chosen_of(orders: list[list[int]]) -> list[int]:
        return orders[int(torch.randint(len(orders), ()))] if len(orders) > 1 else orders[0]

    def loss_of(chosen: Tensor) -> Tensor:
        ids = padded([chosen_of(texts[int(i)]) for i in chosen])
        logits = network(**images(chosen), decoder_input_ids=ids[:, :-1]).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)

    fit(network, loss_of, len(texts), steps=steps, batch=BATCH, rate=RATE)


def save(network: transformers.VisionEncoderDecoderModel, folder: Path) -> None:
    """Saves the network with its processor and its tokenizer."""
    network.half().save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    transformers.ViTImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """The words of the captions, some of them in two pieces."""
    numbers = {word: index for index, word in enumerate(WORDS)}
    words = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.decoder = decoders.WordPiece()
    words.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", BOS), ("[EOS]", EOS)]
    )
    special = {"pad_token": "[PAD]", "bos_token": "[BOS]", "eos_token": "[EOS]", "unk_token": "[UNK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=32, **special)


def _network(initial: float) -> transformers.VisionEncoderDecoderModel:
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    size |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": initial}
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**size, image_size=SIDE, patch_size=PATCH),
        transformers.BertConfig(
            **size,
            vocab_size=len(WORDS),
            max_position_embeddings=32,
            is_decoder=True,
            add_cross_attention=True,
            pad_token_id=PAD,
        ),
    )
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = BOS, PAD, EOS
    return transformers.VisionEncoderDecoderModel(config=config)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(trained(), Path(sys.argv[1]))
