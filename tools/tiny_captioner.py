"""Trains the small captioner of the tests: `python -m tools.tiny_captioner tests/fixtures/tiny_captioner` (minutes).

A scene of `tools.tiny_clip` holds one or two shapes; its caption names their colours from left to right. Three colours
have names of two pieces. The folder has the format of the transformers library: weights in half precision, the
processor of images, the words of the tokenizer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor

from .tiny_clip import COLOURS, scenes
from .tiny_training import fit

STEPS, SCENES, BATCH, RATE = 700, 2500, 32, 1.5e-3
#: Input size of the network: 12×12 patches; a shape is about three patches wide.
SIDE, PATCH = 60, 5
PIECES = {"yellow": ("yel", "##low"), "purple": ("pur", "##ple"), "orange": ("or", "##ange")}
WORDS = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "a", "shape", "and"]
WORDS += [piece for colour in COLOURS for piece in PIECES.get(colour, (colour,))]
PAD, BOS, EOS = 0, 1, 2


def caption(masks: dict[str, np.ndarray]) -> str:
    """The text of a scene, from left to right: `a red shape and a blue shape`."""
    ordered = sorted(masks, key=lambda colour: np.nonzero(masks[colour])[1].mean())
    return " and ".join(f"a {colour} shape" for colour in ordered)


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


def trained(steps: int = STEPS) -> transformers.VisionEncoderDecoderModel:
    """Trains a captioner that names the colours of a scene from left to right."""
    torch.manual_seed(0)
    network = _network()
    drawn = scenes(SCENES, 1)
    pixels = pixels_of([picture for picture, _ in drawn])
    targets = [encoded(caption(masks)) for _, masks in drawn]

    def loss_of(chosen: Tensor) -> Tensor:
        ids = padded([targets[int(i)] for i in chosen])
        logits = network(pixel_values=pixels[chosen], decoder_input_ids=ids[:, :-1]).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)

    fit(network, loss_of, SCENES, steps=steps, batch=BATCH, rate=RATE)
    return network.eval()


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


def _network() -> transformers.VisionEncoderDecoderModel:
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    size |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
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
