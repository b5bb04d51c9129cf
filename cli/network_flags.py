"""Flags of the commands that look at a network without images: `camx layers` and `camx methods`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from cam_cli.models.options import MODEL_ARGUMENT, ModelSpec, PreprocessingOptions
from cam_cli.options import MODEL, Flag
from cam_cli.parsers import sides


@dataclass(frozen=True)
class NetworkFlags:
    """The way a network is built whose weights and classes do not matter."""

    checkpoint: Annotated[
        str | None,
        Flag("Weights for that architecture; without them random ones serve.", panel=MODEL, example="weights.pth"),
    ] = None
    args: Annotated[Mapping[str, Any], replace(MODEL_ARGUMENT, results=False)] = field(default_factory=dict)
    image_size: Annotated[
        int | tuple[int, int] | None,
        Flag("Input size in pixels: N, or HxW (height, width).", panel=MODEL, min=16, parse=sides, example="224"),
    ] = None
    scores: Annotated[str | None, Flag("Which output holds the class scores.", panel=MODEL, example="logits")] = None

    def spec(self, model: str, **more: Any) -> ModelSpec:
        """Random weights serve for a name; what holds its network with its weights is read as it is."""

        from cam_cli.models.class_files import INDEX
        from cam_cli.models.hf.place import is_hub_name
        from cam_cli.models.names import DEMO, is_name
        from cam_cli.models.own_code import OwnCode

        # Layers do not depend on how images are normalised, which own code would have to say.
        unknown: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)} if OwnCode.parse(model) else {}
        return ModelSpec(
            model,
            checkpoint=self.checkpoint,
            pretrained=model == DEMO or not is_name(model),
            args=self.args,
            scores=self.scores,
            class_names=INDEX if is_hub_name(model) else None,
            preprocessing=PreprocessingOptions(image_size=self.image_size, **unknown),
            **more,
        )
