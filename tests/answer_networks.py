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


def internvl() -> Any:
    """With 8×8 patches, of which the projector makes 4×4 tokens."""
    config = transformers.InternVLConfig(
        vision_config=transformers.InternVLVisionConfig(
            **{**vision(8), "image_size": [SIDE, SIDE], "patch_size": [8, 8]}
        ),
        text_config=transformers.Qwen2Config(**language(num_key_value_heads=2)),
        image_token_id=IMAGE,
        image_seq_length=GRID,
        downsample_ratio=0.5,
    )
    return transformers.InternVLForConditionalGeneration(config)


def _queries(opt: bool, **more: Any) -> dict[str, Any]:
    """The parts of a network whose queries read the image, and its language model: OPT, or T5 with an encoder."""
    own = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 52}
    if opt:
        text = transformers.OPTConfig(
            **{**own, "ffn_dim": 52, "word_embed_proj_dim": 32}, vocab_size=len(WORDS) + 8, **TOKENS
        )
    else:
        size = {"d_model": 32, "d_kv": 8, "d_ff": 52, "num_layers": 2, "num_heads": 4, "vocab_size": len(WORDS) + 8}
        text = transformers.T5Config(**size, decoder_start_token_id=PAD, pad_token_id=PAD, eos_token_id=EOS)
    queries = {**own, "encoder_hidden_size": 32, "vocab_size": len(WORDS), "cross_attention_frequency": 1}
    return {
        "vision_config": vision(),
        "qformer_config": {**queries, **more},
        "text_config": text.to_dict(),
        "num_query_tokens": 5,
        "image_token_index": IMAGE,
    }


def blip2() -> Any:
    return transformers.Blip2ForConditionalGeneration(transformers.Blip2Config(**_queries(True)))


def blip2_t5() -> Any:
    return transformers.Blip2ForConditionalGeneration(transformers.Blip2Config(**_queries(False)))


def instructblip() -> Any:
    config = transformers.InstructBlipConfig(**_queries(True, max_position_embeddings=48))
    return transformers.InstructBlipForConditionalGeneration(config)


#: Those whose text reads queries, which lie nowhere in the image.
QUERIES = {"blip2": blip2, "blip2_t5": blip2_t5, "instructblip": instructblip}
#: Those whose prompt has a place for each image token.
PLACEHOLDERS = {"llava": llava, "paligemma": paligemma, "internvl": internvl}
FAMILIES = {"blip": blip, "git": git, "vilt": vilt, **PLACEHOLDERS, **QUERIES}
#: Those whose text attends to image tokens.
FOLLOWED = [name for name in FAMILIES if name not in QUERIES]
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
    elif name == "internvl":
        images = transformers.GotOcr2ImageProcessor(size=size, **prepared)
    elif name in PLACEHOLDERS:
        images = transformers.SiglipImageProcessor(size=size, resample=2, **prepared)
    else:
        images = transformers.ViTImageProcessor(size=size, **prepared)
    if name in PLACEHOLDERS or name in QUERIES:
        words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    if name == "llava":
        more = {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
        whole = transformers.LlavaProcessor(images, words, chat_template=TEMPLATE, **more)
    elif name == "paligemma":
        images.image_seq_length = GRID
        whole = transformers.PaliGemmaProcessor(images, words)
    elif name == "internvl":
        named = {"context_image_token": "<image>", "video_token": "<video>"}
        named |= {"start_image_token": "<img>", "end_image_token": "</img>"}
        words.add_special_tokens({"additional_special_tokens": [*named.values()]})
        words._set_model_specific_special_tokens(special_tokens=named)
        video = transformers.InternVLVideoProcessor(size=size)
        whole = transformers.InternVLProcessor(images, words, video, image_seq_length=GRID, chat_template=TEMPLATE)
    elif name == "instructblip":
        whole = transformers.InstructBlipProcessor(images, words, tokenizer(), num_query_tokens=5)
    elif name in QUERIES:
        whole = transformers.Blip2Processor(images, words, num_query_tokens=5)
    else:
        images.save_pretrained(folder)
        words.save_pretrained(folder)
        return folder
    whole.save_pretrained(folder)
    return folder
