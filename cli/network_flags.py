"""Flags of the commands that examine a network without images: `camx layers` and `camx methods`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from cam_cli.models.options import MODEL_ARGUMENT, PRETRAINED, ModelSpec, PreprocessingOptions
from cam_cli.options import MODEL, Flag
from cam_cli.parsers import sides


@dataclass(frozen=True)
class NetworkFlags:
    """Flags of a network of which only the structure matters, not weights and classes."""

    checkpoint: Annotated[
        str | None,
        Flag("Weights for that architecture; default: random weights.", panel=MODEL, example="weights.pth"),
    ] = None
    pretrained: Annotated[
        bool,
        replace(PRETRAINED, help="Random weights for a network of `hf:`, too; other names have them.", results=False),
    ] = True
    args: Annotated[Mapping[str, Any], replace(MODEL_ARGUMENT, results=False)] = field(default_factory=dict)
    image_size: Annotated[
        int | tuple[int, int] | None,
        Flag("Input size in pixels: N, or HxW (height, width).", panel=MODEL, min=16, parse=sides, example="224"),
    ] = None
    scores: Annotated[str | None, Flag("Which output holds the class scores.", panel=MODEL, example="logits")] = None

    def spec(self, model: str, **more: Any) -> ModelSpec:
        """Model with random weights for a name of timm or torchvision; any other model with its own weights.

        more: other fields of `ModelSpec`.
        """

        from cam_cli.models.class_files import INDEX
        from cam_cli.models.names import DEMO, is_hub_network, is_name
        from cam_cli.models.own_code import OwnCode

        # Models in the user's code need these two values, on which layers do not depend.
        unknown: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)} if OwnCode.parse(model) else {}
        return ModelSpec(
            model,
            checkpoint=self.checkpoint,
            pretrained=self.pretrained and (model == DEMO or not is_name(model)),
            args=self.args,
            scores=self.scores,
            class_names=INDEX if is_hub_network(model) else None,
            preprocessing=PreprocessingOptions(image_size=self.image_size, **unknown),
            **more,
        )
