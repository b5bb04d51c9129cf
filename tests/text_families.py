"""Small networks of the classes that `camx caption` and `camx ask` refuse, as the library makes and saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from tests.answer_networks import IMAGE, language
from tests.text_networks import SIDE, vision

#: Numbers of tokens that must be words of the language model.
_TOKENS = {"image_token_id": IMAGE, "video_token_id": IMAGE + 1}
_MARKS = {"vision_start_token_id": IMAGE + 2, "vision_end_token_id": IMAGE + 3}
_ROPE = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}}


def _tiled(kind: str, vision_kind: str, **more: Any) -> Any:
    config = getattr(transformers, f"{kind}Config")(
        vision_config=getattr(transformers, vision_kind)(**vision()),
        text_config=transformers.LlamaConfig(**language()),
        **more,
    )
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config)


def _packed(kind: str, **sizes: Any) -> Any:
    size = {"depth": 2, "num_heads": 4, "patch_size": 16, **sizes}
    config = getattr(transformers, f"{kind}Config")(
        vision_config=size, text_config={**language(num_key_value_heads=2), **_ROPE}, **_TOKENS, **_MARKS
    )
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config)


def _pix2struct() -> Any:
    small = {"hidden_size": 32, "d_kv": 8, "d_ff": 52, "num_layers": 2, "num_heads": 4, "vocab_size": 40}
    seeing = {"hidden_size": 32, "patch_embed_hidden_size": 32, "d_ff": 52, "d_kv": 8}
    config = transformers.Pix2StructConfig(
        text_config=small, vision_config={**seeing, "num_hidden_layers": 2, "num_attention_heads": 4, "seq_len": 64}
    )
    return transformers.Pix2StructForConditionalGeneration(config)


def _kosmos2() -> Any:
    small = {"embed_dim": 32, "layers": 2, "ffn_dim": 52, "attention_heads": 4, "vocab_size": 60}
    config = transformers.Kosmos2Config(text_config=small, vision_config=vision(), latent_query_num=4)
    return transformers.Kosmos2ForConditionalGeneration(config)


def _idefics2() -> Any:
    perceiver = {"hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 4}
    perceiver |= {"resampler_head_dim": 8, "num_key_value_heads": 2}
    config = transformers.Idefics2Config(
        vision_config=vision(),
        perceiver_config=perceiver,
        text_config=transformers.MistralConfig(**language(num_key_value_heads=2)).to_dict(),
        image_token_id=IMAGE,
    )
    return transformers.Idefics2ForConditionalGeneration(config)


REFUSED = {
    "LlavaNext": lambda: _tiled("LlavaNext", "CLIPVisionConfig", image_grid_pinpoints=[[SIDE, 2 * SIDE]]),
    "LlavaOnevision": lambda: _tiled("LlavaOnevision", "SiglipVisionConfig", image_grid_pinpoints=[[SIDE, 2 * SIDE]]),
    "Idefics3": lambda: _tiled("Idefics3", "Idefics3VisionConfig", image_token_id=IMAGE),
    "SmolVLM": lambda: _tiled("SmolVLM", "SmolVLMVisionConfig", image_token_id=IMAGE),
    "Qwen2VL": lambda: _packed("Qwen2VL", embed_dim=32, hidden_size=32),
    "Qwen2_5_VL": lambda: _packed("Qwen2_5_VL", hidden_size=32, out_hidden_size=32, intermediate_size=52),
    "Qwen3VL": lambda: _packed("Qwen3VL", hidden_size=32, out_hidden_size=32, intermediate_size=52),
    "Pix2Struct": _pix2struct,
    "Kosmos2": _kosmos2,
    "Idefics2": _idefics2,
}


def refused(name: str, folder: Path) -> Path:
    """Saves a network that camx refuses; returns its folder."""
    torch.manual_seed(0)
    REFUSED[name]().save_pretrained(folder)
    return folder
