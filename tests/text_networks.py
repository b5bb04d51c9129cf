"""Small networks with random weights that write text, saved in the format of the transformers library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from tools.tiny_captioner import BOS, EOS, PAD, WORDS, tokenizer

SIDE = 64
TOKENS = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}


def vision(patch: int = 16, **more: Any) -> dict[str, Any]:
    """The configuration of a tower whose grid has SIDE / patch positions per side."""
    sizes = {"hidden_size": 32, "intermediate_size": 52, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {**sizes, "image_size": SIDE, "patch_size": patch, **more}


def text(**more: Any) -> dict[str, Any]:
    """The configuration of the part that reads and writes text."""
    sizes = {"hidden_size": 32, "intermediate_size": 52, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {**sizes, "vocab_size": len(WORDS), "max_position_embeddings": 48, **more}


def vit_bert() -> Any:
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**vision()),
        transformers.BertConfig(**text(is_decoder=True, add_cross_attention=True, pad_token_id=PAD)),
    )
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = BOS, PAD, EOS
    return transformers.VisionEncoderDecoderModel(config=config)


def vit_gpt2() -> Any:
    decoder = {"vocab_size": len(WORDS), "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48}
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**vision()),
        transformers.GPT2Config(**decoder, add_cross_attention=True, is_decoder=True, **TOKENS),
    )
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = BOS, PAD, EOS
    return transformers.VisionEncoderDecoderModel(config=config)


def blip() -> Any:
    own = text(encoder_hidden_size=32, is_decoder=True, sep_token_id=EOS, **TOKENS)
    config = transformers.BlipConfig(vision_config=vision(), text_config=own, projection_dim=16)
    return transformers.BlipForConditionalGeneration(config)


def git() -> Any:
    return transformers.GitForCausalLM(transformers.GitConfig(vision_config=vision(), **text(), **TOKENS))


FAMILIES = {"vit_bert": vit_bert, "vit_gpt2": vit_gpt2, "blip": blip, "git": git}


def lively(network: nn.Module) -> nn.Module:
    """The network with larger random weights: fresh ones hide the effect of a layer."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.15)
    return network.eval()


def saved(name: str, folder: Path) -> Path:
    """Saves a network of a family with its processor and tokenizer; returns its folder."""
    torch.manual_seed(0)
    lively(FAMILIES[name]()).save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    transformers.ViTImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
