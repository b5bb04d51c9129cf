"""Builds networks of timm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import nn

from ...errors import CamxError
from ...images.geometry import Preprocessing
from .. import hub
from ..classes import ClassNames, imagenet
from ..options import PreprocessingOptions
from ..preprocessing import per_channel, resolved
from ..timm_import import import_timm

_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class TimmModel:
    """`name` as `timm.create_model` takes it: `resnet50`, `resnet50.a1_in1k`, `hf-hub:REPO`."""

    name: str

    def __str__(self) -> str:
        return self.name if ":" in self.name else f"timm/{self.name}"

    @property
    def origin(self) -> str:
        return "timm's default"

    def build(self, *, pretrained: bool, num_classes: int | None, args: Mapping[str, Any]) -> nn.Module:
        timm = import_timm()
        arguments = dict(args) if num_classes is None else {**args, "num_classes": num_classes}
        if self.name.startswith("hf-hub:"):
            return self._from_cache_or_hub(arguments, self.name.removeprefix("hf-hub:"), pretrained, "config.json")
        if pretrained:
            config = timm.get_pretrained_cfg(self.name)
            if config is None or not config.has_weights:
                raise CamxError(
                    f"timm has no pretrained weights for {self.name!r}. Give `checkpoint=FILE` or `pretrained=False`."
                )
            if config.hf_hub_id:
                return self._from_cache_or_hub(arguments, config.hf_hub_id, True, config.hf_hub_filename or "")
            hub.require_file(config.url if isinstance(config.url, str) else config.url[0], str(self))
        return _created(self.name, pretrained, arguments)

    def _from_cache_or_hub(self, args: dict[str, Any], repository: str, pretrained: bool, filename: str) -> nn.Module:
        names = (
            [filename]
            if filename and pretrained is False
            else [n for n in (filename, *_WEIGHTS) if n and n != "config.json"]
        )
        if hub.cached_on_hub(repository, *names):
            with hub.no_network():
                return _created(self.name, pretrained, args)
        hub.require_reachable(hub.hub_url(repository, "config.json"), str(self))
        return _created(self.name, pretrained, args)

    def preprocessing(
        self, network: nn.Module, options: PreprocessingOptions, args: Mapping[str, Any]
    ) -> Preprocessing:
        from timm.data import resolve_model_data_config

        config = resolve_model_data_config(network)
        size = _pair(args.get("img_size")) or tuple(config["input_size"][1:])
        channels = int(args.get("in_chans", config["input_size"][0]))
        return resolved(
            options,
            input_size=(int(size[0]), int(size[1])),
            crop_pct=float(config["crop_pct"]),
            crop_mode=str(config["crop_mode"]),
            interpolation=str(config["interpolation"]),
            mean=per_channel(config["mean"], channels),
            std=per_channel(config["std"], channels),
        )

    def class_names(self, network: nn.Module, count: int) -> ClassNames:
        from timm.data import infer_imagenet_subset

        config: Mapping[str, Any] = getattr(network, "pretrained_cfg", {}) or {}
        own = config.get("label_descriptions") or config.get("label_names")
        if own and len(own) == count:
            listed = [own[label] for label in config.get("label_names", own)] if isinstance(own, Mapping) else list(own)
            return ClassNames(tuple(map(str, listed)))
        subset = infer_imagenet_subset({"num_classes": count})
        return imagenet(subset) if subset else ClassNames()

    def resized_args(self, network: nn.Module, image_size: int | tuple[int, int]) -> Mapping[str, Any]:
        config: Mapping[str, Any] = getattr(network, "pretrained_cfg", {}) or {}
        return {"img_size": image_size} if config.get("fixed_input_size") else {}


@lru_cache(maxsize=1)
def deprecated_names() -> Mapping[str, str]:
    """Deprecated names in timm, with their successors."""
    import_timm()
    from timm.models import _registry

    known = getattr(_registry, "_deprecated_models", {})
    return {old: new for old, new in known.items() if isinstance(new, str)}


@lru_cache(maxsize=1)
def timm_names() -> tuple[str, ...]:
    timm = import_timm()
    return tuple(timm.list_models())


def _pair(size: object) -> tuple[int, int] | None:
    """Height and width of an `img_size`; None for anything else."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(side, int) for side in size):
        return size[0], size[1]
    return None


def _created(name: str, pretrained: bool, args: Mapping[str, Any]) -> nn.Module:
    timm = import_timm()
    try:
        built: nn.Module = timm.create_model(name, pretrained=pretrained, **args)
        return built
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        what = f"takes no {unknown.group(1)!r}" if unknown else f"cannot be built with {dict(args)}: {error}"
        raise CamxError(f"The model {name!r} {what}. Check `model_arg` and `image_size`.") from error
    # timm, torch and the hub may raise anything on a user's file.
    except Exception as error:
        raise CamxError(
            f"timm cannot load {name!r}: {str(error).splitlines()[0] if str(error) else error!r}.",
            "Check the name and `model_arg`, or give the weights as a file with `checkpoint=FILE`.",
        ) from error
