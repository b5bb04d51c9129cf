"""Small networks with random weights that answer questions, saved in the format of the transformers library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from tests.text_networks import SIDE, lively, text, vision
from tools.tiny_answerer import BOS, EOS, PAD, WORDS, tokenizer

PATCH = 16
GRID = (SIDE // PATCH) ** 2
IMAGE = len(WORDS)
TOKENS = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
LABELS = ("yes", "no", "red", "blue")


def language(**more: Any) -> dict[str, Any]:
    """The configuration of a language model that also knows the image token."""
    return {**text(), "vocab_size": len(WORDS) + 8, "max_position_embeddings": 128, **TOKENS, **more}


def blip() -> Any:
    own = {**text(), "vocab_size": len(WORDS), "encoder_hidden_size": 32, "is_decoder": True, "sep_token_id": EOS}
    config = transformers.BlipConfig(vision_config=vision(), text_config={**own, **TOKENS}, projection_dim=16)
    return transformers.BlipForQuestionAnswering(config)


def git() -> Any:
    return transformers.GitForCausalLM(
        transformers.GitConfig(vision_config=vision(), **{**text(), "vocab_size": len(WORDS)}, **TOKENS)
    )


def vilt() -> Any:
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: k for k, name in enumerate(LABELS)}}
    return transformers.ViltForQuestionAnswering(
        transformers.ViltConfig(**{**vision(PATCH), "vocab_size": len(WORDS), "max_position_embeddings": 40}, **names)
    )


def llava() -> Any:
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(), projection_dim=16),
        text_config=transformers.LlamaConfig(**language(num_key_value_heads=2)),
        image_token_id=IMAGE,
        image_seq_length=GRID,
        vision_feature_layer=-2,
    )
    return transformers.LlavaForConditionalGeneration(config)


def paligemma() -> Any:
    config = transformers.PaliGemmaConfig(
        vision_config=transformers.SiglipVisionConfig(**vision(), vision_use_head=False),
        text_config=transformers.GemmaConfig(**language(num_key_value_heads=1, head_dim=8)),
        image_token_id=IMAGE,
        projection_dim=32,
    )
    return transformers.PaliGemmaForConditionalGeneration(config)


def blip2() -> Any:
    own = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 52}
    config = transformers.Blip2Config(
        vision_config=vision(),
        qformer_config={**own, "encoder_hidden_size": 32, "vocab_size": len(WORDS), "cross_attention_frequency": 1},
        text_config=transformers.OPTConfig(
            **{**own, "ffn_dim": 52, "word_embed_proj_dim": 32}, vocab_size=len(WORDS) + 8, **TOKENS
        ).to_dict(),
        num_query_tokens=5,
        image_token_index=IMAGE,
    )
    return transformers.Blip2ForConditionalGeneration(config)


FAMILIES = {"blip": blip, "git": git, "vilt": vilt, "llava": llava, "paligemma": paligemma, "blip2": blip2}
#: Families whose text attends to image tokens.
FOLLOWED = [name for name in FAMILIES if name != "blip2"]
TEMPLATE = (
    "{% for one in messages %}{% for part in one.content %}{% if part.type == 'image' %}<image>"
    "{% else %}{{ part.text }}{% endif %} {% endfor %}{% endfor %}"
)


def saved(name: str, folder: Path) -> Path:
    """Saves a network of a family with its processor and tokenizer; returns its folder."""
    torch.manual_seed(0)
    lively(FAMILIES[name]()).save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    prepared: dict[str, Any] = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    words = tokenizer()
    if name == "vilt":
        images = transformers.ViltImageProcessor(size={"shortest_edge": SIDE}, size_divisor=PATCH, **prepared)
    elif name in ("llava", "paligemma"):
        images = transformers.SiglipImageProcessor(size=size, resample=2, **prepared)
    else:
        images = transformers.ViTImageProcessor(size=size, **prepared)
    if name in ("llava", "paligemma", "blip2"):
        words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    if name == "llava":
        more = {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
        whole = transformers.LlavaProcessor(images, words, chat_template=TEMPLATE, **more)
    elif name == "paligemma":
        images.image_seq_length = GRID
        whole = transformers.PaliGemmaProcessor(images, words)
    elif name == "blip2":
        whole = transformers.Blip2Processor(images, words, num_query_tokens=5)
    else:
        images.save_pretrained(folder)
        words.save_pretrained(folder)
        return folder
    whole.save_pretrained(folder)
    return folder
