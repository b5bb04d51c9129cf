"""Trains the small network of the tests that answers questions: `python -m tools.tiny_answerer FOLDER` (minutes).

A scene of `tools.tiny_clip` holds one or two shapes of different colours. Two thirds of the questions are `is there a
red shape?` and `is there a red shape on the left?`, half with the answer yes. Questions with the answer no name a
missing colour, or one on the other side, so that no single word determines the answer. The others ask for a colour or
a side.

The image tower is that of the small captioner and stays frozen; all other weights start at random. The folder has the
format of the transformers library: weights in half precision, the processor of images, the words of the tokenizer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from .tiny_captioner import PATCH, SIDE, padded, pixels_of
from .tiny_clip import COLOURS, scenes
from .tiny_training import fit

STEPS, SCENES, BATCH, RATE = 1200, 3000, 32, 1.5e-3
_CAPTIONER = Path(__file__).parents[1] / "tests" / "fixtures" / "tiny_captioner"
SIDES = ("left", "right")
#: Pixels on both sides of the middle: a shape whose centre is nearer has no side.
_MIDDLE = 3
WORDS = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "is", "there", "a", "what", "where", "colour", "shape", "the", "on", "?"]
WORDS += ["yes", "no", *SIDES, *COLOURS]
PAD, BOS, EOS = 0, 1, 2
#: Names of the parts of a layer in ViT, and in BLIP.
_RENAMED = {
    "attention.o_proj": "self_attn.projection",
    "layernorm_before": "layer_norm1",
    "layernorm_after": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
#: The mask of each colour of a scene.
Masks = dict[str, np.ndarray]


class Question(NamedTuple):
    """A question, its answer, and the colour of the shape that it is about; "" if the scene has no such shape."""

    text: str
    answer: str
    about: str


def questions(masks: Masks, rng: np.random.Generator) -> list[Question]:
    """Two to six questions about a scene: with yes and no, and for a side and a colour if shapes have a side."""
    colour = _any(list(masks), rng)
    away = _any([one for one in COLOURS if one not in masks], rng)
    placed = {one: side for one, mask in masks.items() if (side := side_of(mask))}
    found = [Question(f"is there a {colour} shape?", "yes", colour), Question(f"is there a {away} shape?", "no", "")]
    if not placed:
        return found
    own = _any(list(placed), rng)
    side, other = placed[own], SIDES[1 - SIDES.index(placed[own])]
    absent = own if rng.random() < 0.7 else _any([one for one in COLOURS if one not in masks], rng)
    found.append(Question(f"is there a {own} shape on the {side}?", "yes", own))
    found.append(Question(f"is there a {absent} shape on the {other}?", "no", ""))
    found.append(Question(f"where is the {own} shape?", side, own))
    if len(masks) == len(placed) and list(placed.values()).count(side) == 1:
        found.append(Question(f"what colour is the shape on the {side}?", own, own))
    return found


def side_of(mask: np.ndarray) -> str:
    """The side of a shape, or "" in the middle."""
    away = np.nonzero(mask)[1].mean() - mask.shape[1] / 2
    return "" if abs(away) < _MIDDLE else SIDES[int(away > 0)]


def _any(some: Sequence[str], rng: np.random.Generator) -> str:
    return some[int(rng.integers(len(some)))]


def encoded(text: str) -> list[int]:
    """The numbers of the words of a text."""
    return [WORDS.index(word) for word in text.replace("?", " ?").split()]


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """The words of questions and answers."""
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", BOS), ("[EOS]", EOS)]
    )
    special = {"pad_token": "[PAD]", "bos_token": "[BOS]", "eos_token": "[EOS]", "unk_token": "[UNK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=32, **special)


def trained(steps: int = STEPS) -> transformers.BlipForQuestionAnswering:
    """Trains a network that answers the questions."""
    torch.manual_seed(0)
    network = _network()
    network.vision_model.load_state_dict(_tower())
    network.vision_model.requires_grad_(False)
    rng = np.random.default_rng(2)
    drawn = scenes(SCENES, 1)
    pixels = pixels_of([picture for picture, _ in drawn])
    with torch.no_grad():
        seen = torch.cat([network.vision_model(pixel_values=some).last_hidden_state for some in pixels.split(100)])

    def loss_of(chosen: Tensor) -> Tensor:
        asked = [(row, one) for row, scene in enumerate(chosen) for one in questions(drawn[int(scene)][1], rng)]
        tokens = seen[chosen][[row for row, _ in asked]]
        ids = padded([[BOS, *encoded(one.text), EOS] for _, one in asked])
        answers = torch.tensor([[BOS, WORDS.index(one.answer), EOS] for _, one in asked])
        logits = _logits(network, tokens, ids, answers[:, :-1])
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), answers[:, 1:].flatten())

    fit(network, loss_of, SCENES, steps=steps, batch=BATCH, rate=RATE)
    return network.eval()


def _logits(network: transformers.BlipForQuestionAnswering, tokens: Tensor, ids: Tensor, answers: Tensor) -> Tensor:
    """Logits of all words at each place of the answers; the forward of the library returns only a loss."""
    mask = (ids != PAD).long()
    found = network.text_encoder(
        input_ids=ids,
        attention_mask=mask,
        encoder_hidden_states=tokens,
        encoder_attention_mask=torch.ones(tokens.shape[:2], dtype=torch.long),
    ).last_hidden_state
    logits: Tensor = network.text_decoder(
        input_ids=answers, encoder_hidden_states=found, encoder_attention_mask=mask
    ).logits
    return logits


def save(network: transformers.BlipForQuestionAnswering, folder: Path) -> None:
    """Saves the network with its processor and its tokenizer."""
    network.half().save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    transformers.BlipImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.25] * 3, resample=2).save_pretrained(
        folder
    )
    tokenizer().save_pretrained(folder)


def _tower() -> dict[str, Tensor]:
    """The weights of the captioner's tower, with their names in BLIP."""
    captioner = transformers.VisionEncoderDecoderModel.from_pretrained(_CAPTIONER, dtype=torch.float32)
    own = captioner.encoder.state_dict()
    found = {
        "embeddings.class_embedding": own["embeddings.cls_token"],
        "embeddings.position_embedding": own["embeddings.position_embeddings"],
    }
    for end in ("weight", "bias"):
        found[f"embeddings.patch_embedding.{end}"] = own[f"embeddings.patch_embeddings.projection.{end}"]
        found[f"post_layernorm.{end}"] = own[f"layernorm.{end}"]
        for layer in range(len(captioner.encoder.layers)):
            old, new = f"layers.{layer}", f"encoder.layers.{layer}"
            each = [own[f"{old}.attention.{part}_proj.{end}"] for part in "qkv"]
            found[f"{new}.self_attn.qkv.{end}"] = torch.cat(each)
            for before, after in _RENAMED.items():
                found[f"{new}.{after}.{end}"] = own[f"{old}.{before}.{end}"]
    return found


def _network() -> transformers.BlipForQuestionAnswering:
    size = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    words = {"vocab_size": len(WORDS), "max_position_embeddings": 16, "encoder_hidden_size": 64, "is_decoder": True}
    ends = {"bos_token_id": BOS, "eos_token_id": EOS, "sep_token_id": EOS, "pad_token_id": PAD}
    # With the 0.02 of large networks, attention stays uniform for long, and a small network learns nothing.
    spread = {"initializer_range": 0.1}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = transformers.BlipConfig(
        vision_config={**size, "num_hidden_layers": 2, "image_size": SIDE, "patch_size": PATCH, **spread},
        text_config={**size, "num_hidden_layers": 1, **words, **ends, **still, **spread},
        projection_dim=16,
    )
    return transformers.BlipForQuestionAnswering(config)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(trained(), Path(sys.argv[1]))
