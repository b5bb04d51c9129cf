"""Small networks of open_clip with random weights, in folders as its `save_for_hf` leaves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from tools.tiny_clip import COLOURS, WORDS, tokenizer

SIDE = 64
#: Numbers are the names of classes where a command needs none.
VOCABULARY = [*WORDS, "0", "1"]
TEXT: dict[str, Any] = {
    "context_length": 16,
    "vocab_size": len(VOCABULARY),
    "width": 32,
    "heads": 2,
    "layers": 1,
    "pool_type": "eos",
    "eos_id": 2,
    "hf_tokenizer_name": "owner/words",
}
#: Texts as SigLIP reads them: without a causal mask, up to the last token.
WHOLE_TEXT = {
    **TEXT,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "tokenizer_kwargs": {"clean": "canonicalize"},
}
VIT: dict[str, Any] = {"image_size": SIDE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}


def timm_tower(name: str, size: int, **more: Any) -> dict[str, Any]:
    # Networks of open_clip say that their weights are fetched; those of the checkpoint replace them.
    return {"timm_model_name": name, "timm_model_pretrained": True, "image_size": size, **more}


def described(vision: Mapping[str, Any], width: int = 24, **more: Any) -> dict[str, Any]:
    return {"embed_dim": width, "vision_cfg": dict(vision), "text_cfg": dict(TEXT), **more}


SIGLIP = {"custom_text": True, "init_logit_bias": -2.0, "text_cfg": WHOLE_TEXT}
#: The configurations of networks, and the layer that camx explains: its beginning.
FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    "class token": (described(VIT), "visual.transformer.resblocks.1.ln_1"),
    "mean of tokens": (
        described({**VIT, "pool_type": "avg", "final_ln_after_pool": True}, custom_text=True),
        "visual.transformer",
    ),
    "attention over tokens": (
        described({**VIT, "attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}),
        "visual.",
    ),
    "ResNet of CLIP": (
        described({"image_size": 96, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8}),
        "visual.layer4",
    ),
    "ViT of timm": (
        {**described(timm_tower("test_vit3", 160, timm_pool="map", timm_proj="none"), 96), **SIGLIP},
        "visual.trunk",
    ),
    "ConvNeXt of timm": (
        {**described(timm_tower("test_convnext", 96, timm_pool="", timm_proj="linear")), **SIGLIP},
        "visual.trunk",
    ),
    "ResNet of timm": (
        described(timm_tower("test_resnet", 96, timm_pool="avg", timm_proj="mlp"), quick_gelu=True),
        "visual.trunk",
    ),
}


def lively(network: nn.Module) -> nn.Module:
    """The network with larger random weights: those of a fresh one hide what a layer does."""
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.15)
        elif name.endswith("bias") and "logit" not in name:
            nn.init.normal_(parameter, std=0.05)
    return network.eval()


def saved(folder: Path, config: Mapping[str, Any], preprocessing: Mapping[str, Any] | None = None) -> Path:
    """Writes a network of this configuration, with a tokenizer of the words of `tools.tiny_clip`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {"model_cfg": dict(config), "preprocess_cfg": dict(preprocessing or {})}
    (folder / "open_clip_config.json").write_text(json.dumps(written))
    tokenizer(VOCABULARY).save_pretrained(folder)
    torch.manual_seed(0)
    network = lively(open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False))
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return folder


def edited(folder: Path, copy: Path, **changes: Any) -> Path:
    """A copy of a folder whose model_cfg says something else; None takes a value out. `text_cfg` and `vision_cfg` merge."""
    copy.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    path = copy / "open_clip_config.json"
    content = json.loads(path.read_text())
    for key, value in changes.items():
        inner = content["model_cfg"].get(key)
        merged = {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
        content["model_cfg"][key] = merged
    content["model_cfg"] = {k: v for k, v in content["model_cfg"].items() if v is not None}
    path.write_text(json.dumps(content))
    return copy


@torch.no_grad()
def own_probabilities(folder: Path, images: list[Image.Image], templates: tuple[str, ...]) -> Tensor:
    """Probabilities of the colours, computed by open_clip alone, as its README does."""
    network, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    network.eval()
    words = open_clip.get_tokenizer(f"local-dir:{folder}")
    texts = open_clip.build_zero_shot_classifier(network, words, list(COLOURS), list(templates))
    vectors = network.encode_image(torch.stack([prepare(image) for image in images]), normalize=True)
    scores: Tensor = network.logit_scale.exp() * vectors @ texts
    return scores.softmax(1) if network.logit_bias is None else (scores + network.logit_bias).sigmoid()
