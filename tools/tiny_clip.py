"""Trains the small CLIP of the tests: `python -m tools.tiny_clip tests/fixtures/tiny_clip` (minutes of one core).

A scene holds one or two shapes on a coloured ground; their colours are the words. The first layer of the image encoder
mixes no tokens: the second one, whose input is the target layer, reads features of single cells. The folder has the
format of the transformers library: weights in half precision, the processor of images, the words of the tokenizer.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from .tiny_training import fit

SIDE, LAYERS, LOCAL, STEPS, SCENES, BATCH, RATE = 64, 2, 1, 500, 2500, 48, 3e-3
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 210, 50),
    "purple": (170, 60, 210),
    "orange": (245, 140, 40),
}
WORDS = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "a", "photo", "of", "something", *COLOURS]
PROMPT = "a photo of something {}"


def scene(rng: np.random.Generator, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An image SIDE×SIDE×3 uint8, and the mask of each of its colours."""
    ground = rng.integers(60, 200, (4, 4, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(ground).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(float)
    masks: dict[str, np.ndarray] = {}
    spots: list[tuple[float, float, float]] = []
    for colour in rng.choice(list(COLOURS), count, replace=False):
        for _ in range(50):
            radius = rng.uniform(6.5, 10)
            y, x = rng.uniform(radius, SIDE - radius, 2)
            if all((y - a) ** 2 + (x - b) ** 2 > (radius + other + 2) ** 2 for a, b, other in spots):
                break
        spots.append((y, x, radius))
        masks[str(colour)] = _shape(rng.integers(3), radius, y, x)
        picture[masks[str(colour)]] = np.array(COLOURS[str(colour)]) + rng.normal(0, 12, 3)
    return (picture + rng.normal(0, 12, picture.shape)).clip(0, 255).astype(np.uint8), masks


def scenes(count: int, seed: int) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Scenes of one or two shapes."""
    rng = np.random.default_rng(seed)
    return [scene(rng, 1 + int(rng.random() < 0.6)) for _ in range(count)]


def trained(layers: int = LAYERS, local: int = LOCAL, steps: int = STEPS, rate: float = RATE) -> transformers.CLIPModel:
    """Trains a CLIP that recognises the colours of a scene. local: how many of its first layers mix no tokens."""
    torch.manual_seed(0)
    network = _network(layers)
    for layer in network.vision_model.encoder.layers[:local]:
        for weights in layer.self_attn.parameters():
            weights.data.zero_()
        layer.self_attn.requires_grad_(False)
    drawn = scenes(SCENES, 1)
    pixels = torch.from_numpy(np.stack([picture for picture, _ in drawn])).permute(0, 3, 1, 2).float()
    truth = torch.tensor([[float(colour in masks) for colour in COLOURS] for _, masks in drawn])
    texts = torch.tensor([[1, *(WORDS.index(word) for word in PROMPT.format(c).split()), 2] for c in COLOURS])

    def loss_of(chosen: Tensor) -> Tensor:
        found = network(pixel_values=(pixels[chosen] / 255 - 0.5) / 0.25, input_ids=texts)
        return _loss(found.logits_per_image, truth[chosen])

    fit(network, loss_of, SCENES, steps=steps, batch=BATCH, rate=rate)
    return network.eval()


def save(network: transformers.CLIPModel, folder: Path) -> None:
    """Saves the network with its processor and its tokenizer."""
    network.half().save_pretrained(folder)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
    ).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def tokenizer(known: Sequence[str] = WORDS) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of these words."""
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(known)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 1), ("[EOS]", 2)]
    )
    special = {"pad_token": "[PAD]", "bos_token": "[BOS]", "eos_token": "[EOS]", "unk_token": "[UNK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **special)


def _shape(kind: int, radius: float, y: float, x: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    down, right = abs(rows - y), abs(columns - x)
    longer = np.maximum(down, right)
    shapes = (
        down**2 + right**2 <= radius**2,
        longer <= 0.88 * radius,
        (np.minimum(down, right) <= 0.33 * radius) & (longer <= 1.05 * radius),
    )
    found: np.ndarray = shapes[kind]
    return found


def _network(layers: int) -> transformers.CLIPModel:
    vision = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": layers, "num_attention_heads": 4}
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.CLIPConfig(
        vision_config={**vision, "image_size": SIDE, "patch_size": 4},
        text_config={**text, "vocab_size": len(WORDS), "max_position_embeddings": 16, **special},
        projection_dim=32,
    )
    return transformers.CLIPModel(config)


def _loss(scores: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy; the target is uniform over the colours of a scene."""
    shares = truth / truth.sum(1, keepdim=True)
    return -(shares * scores.log_softmax(1)).sum(1).mean()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=LAYERS, help="layers of the image encoder")
    parser.add_argument("--local", type=int, default=LOCAL, help="how many of the first ones mix no tokens")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=RATE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    save(trained(options.layers, options.local, options.steps, options.rate), options.folder)
