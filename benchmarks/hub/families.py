"""Configurations of one small network for every image classifier of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

_VIT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
_PATCHES = {**_VIT, "image_size": 64, "patch_size": 8}
_SWIN = {"image_size": 128, "embed_dim": 16, "depths": [1, 1, 1], "num_heads": [2, 2, 2], "window_size": 4}
_STAGES = {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]}
_PYRAMID = {**_STAGES, "num_attention_heads": [1, 2, 2, 4]}
_LAST_TWO = {"image_size": 128}
_WITHIN = {"vision_config": _PATCHES}

#: Changes to the default configuration by `model_type`.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "beit": {**_PATCHES, "use_relative_position_bias": True},
    "bit": {"embedding_size": 16, **_STAGES, "num_groups": 4},
    "clip": _WITHIN,
    "convnext": _STAGES,
    "convnextv2": _STAGES,
    "cvt": {"embed_dim": [16, 16, 32], "depth": [1, 2, 3], "num_heads": [1, 2, 2]},
    "data2vec-vision": {**_PATCHES, "use_relative_position_bias": True},
    "deit": _PATCHES,
    "dinov2": _PATCHES,
    "dinov2_with_registers": _PATCHES,
    "donut-swin": _SWIN,
    "efficientnet": {"image_size": 96, "width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640},
    "focalnet": {"image_size": 128, "embed_dim": 16, "depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 32, 32]},
    "hgnet_v2": {
        "hidden_sizes": [32, 48, 64, 96],
        "stage_in_channels": [48, 32, 48, 64],
        "stage_mid_channels": [16] * 4,
        "stage_out_channels": [32, 48, 64, 96],
        "stage_num_blocks": [1] * 4,
        "stage_numb_of_layers": [2] * 4,
    },
    "hiera": {"embed_dim": 16, "depths": [1, 1, 2, 1], "image_size": [128, 128]},
    "ijepa": _PATCHES,
    "imagegpt": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "levit": {"image_size": 128, "hidden_sizes": [32, 32, 48], "num_attention_heads": [2, 2, 3], "depths": [1, 1, 1]},
    "metaclip_2": _WITHIN,
    "mobilenet_v1": {**_LAST_TWO, "depth_multiplier": 0.25},
    "mobilenet_v2": {**_LAST_TWO, "depth_multiplier": 0.35},
    "mobilevit": {**_LAST_TWO, "hidden_sizes": [32, 32, 48], "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 96]},
    "mobilevitv2": {**_LAST_TWO, "width_multiplier": 0.25},
    "perceiver": {
        "num_latents": 16,
        "d_latents": 64,
        "num_self_attends_per_block": 2,
        "d_model": 64,
        "num_cross_attention_heads": 1,
    },
    "poolformer": _STAGES,
    "pp_lcnet": {"scale": 0.25, "class_expand": 128},
    "pvt": {"image_size": 128, "num_labels": 7, **_PYRAMID},
    "pvt_v2": {"image_size": 128, **_PYRAMID},
    "regnet": {"embedding_size": 16, **_STAGES, "groups_width": 8},
    "resnet": {"embedding_size": 16, **_STAGES},
    "segformer": {**_PYRAMID},
    "siglip": _WITHIN,
    "siglip2": {"vision_config": _VIT},
    "swiftformer": {"image_size": 128, "depths": [1, 1, 1, 1], "embed_dims": [16, 16, 24, 32]},
    "swin": _SWIN,
    "swinv2": _SWIN,
    "textnet": {"image_size": [128, 128], "hidden_sizes": [16, 16, 16, 32, 32]},
    "vit": _PATCHES,
    "vit_msn": _PATCHES,
}
#: Processors of families for which the library names none.
_PROCESSOR = {"hgnet_v2": "ConvNextImageProcessor", "dinov2_with_registers": "BitImageProcessor"}
#: Left out: a language model, and networks of timm, which camx builds with timm.
_ELSEWHERE = ("shieldgemma2", "timm_wrapper")
LABELS = {index: f"class {index}" for index in range(7)}


def families(library: Any) -> list[tuple[str, str]]:
    """(model_type, class) of every image classifier that the library names."""
    names = library.models.auto.modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return [
        (kind, one)
        for kind, own in names.items()
        if kind not in _ELSEWHERE
        for one in ((own,) if isinstance(own, str) else own)
    ]


def saved(library: Any, kind: str, name: str, folder: Path, **more: Any) -> Path:
    """Saves a small network with random weights and its processor in the format of the library, and returns its folder.

    more: further values of the configuration.
    """
    config_class = library.models.auto.configuration_auto.CONFIG_MAPPING[kind]
    config = config_class(**SMALL.get(kind, {}), id2label=LABELS, label2id={n: i for i, n in LABELS.items()})
    for key, value in more.items():
        setattr(config, key, value)
    torch.manual_seed(0)
    network = getattr(library, name)(config).eval()
    lively(network)
    network.save_pretrained(folder)
    if (processor := _processor(library, kind)) is not None:
        settings = _sized(processor, config)
        processor(**settings).save_pretrained(folder)
    return folder


def lively(network: nn.Module) -> None:
    """Makes weights as large as those of a trained network: tiny ones hide the effect of a layer."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1 and "position" not in name and "norm" not in name:
                nn.init.normal_(parameter, std=1.4 * parameter[0].numel() ** -0.5)
            elif "lambda" in name or "gamma" in name or "layer_scale" in name:
                parameter.fill_(1.0)
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(std=0.1)  # type: ignore[union-attr]


def pictures() -> list[np.ndarray]:
    """Drawn images of several shapes: smooth colours with noise."""
    found = []
    for seed, (width, height) in enumerate(((333, 250), (211, 300), (97, 97), (640, 410))):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (6, 6, 3)).repeat(-(-height // 6), 0).repeat(-(-width // 6), 1)[:height, :width]
        found.append((coarse + rng.integers(-30, 31, (height, width, 3))).clip(0, 255).astype(np.uint8))
    return found


def _processor(library: Any, kind: str) -> Any:
    names = library.models.auto.image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES.get(kind) or {}
    name = names.get("pil") or names.get("torchvision") or _PROCESSOR.get(kind)
    if name is None:
        return None
    return getattr(library, name, None) or getattr(library, name.removesuffix("Pil"))


def _sized(processor: Any, config: Any) -> dict[str, Any]:
    """The input size of the configuration, in the keys that the processor uses."""
    size = getattr(getattr(config, "vision_config", config), "image_size", None)
    side = size[0] if isinstance(size, (list, tuple)) else size
    stated = getattr(processor, "size", None)
    if not isinstance(side, int) or not isinstance(stated, dict):
        return {}
    settings: dict[str, Any] = {"size": dict.fromkeys(stated, side)}
    if getattr(processor, "do_center_crop", None):
        settings["size"] = dict.fromkeys(stated, round(side * 8 / 7))
        settings["crop_size"] = {"height": side, "width": side}
    if "LevitImageProcessor" in processor.__name__ or "PoolFormer" in processor.__name__:
        settings["size"] = dict.fromkeys(stated, side)
    return settings
