"""Cases about scores, layers and errors through the Python library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..odd_networks import SIDE, Answer, Output, Small
from .case import Case, refusal

HALF = (0.5, 0.5, 0.5)
PICTURE = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def built(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return build().eval()


def network(module: nn.Module, **more: Any) -> Any:
    from cam_cli import Network

    return Network.of(module, **{"image_size": SIDE, "mean": HALF, "std": HALF, **more})


def explainer(module: nn.Module, **options: Any) -> Any:
    from cam_cli import Explainer, ExplainOptions

    return Explainer(network(module), ExplainOptions(device="cpu", **options))


def probabilities(end: Callable[[Tensor, Tensor], Any], classes: int = 5) -> Any:
    """Whether the probabilities are within 0.001 of those of the network."""
    module = built(lambda: Output(end, classes))
    with torch.no_grad():
        own = module(PICTURE)
        own = (own[1] if isinstance(own, tuple) else own).reshape(1, -1)
    found = explainer(module, top_k=classes)(PICTURE)[0].ranking
    given = {one.index: one.probability for one in found}
    values = own[0].tolist()
    return all(abs(given[place] - value) < 1e-3 for place, value in enumerate(values))


def one_sigmoid() -> Any:
    """Class and probability for a network whose only output is 0.05."""
    module = built(lambda: Output(lambda maps, s: (0 * s + torch.logit(torch.tensor(0.05))).sigmoid(), 1))
    best = explainer(module)(PICTURE)[0].ranking[0]
    return [best.index, round(best.probability, 3)]


def ran(module: nn.Module, **options: Any) -> str:
    """The size of the map, or the exception."""
    try:
        found = explainer(module, **options)(PICTURE)
    except Exception as error:
        return refusal(error)
    return "×".join(map(str, found[0].maps[0].values.shape))


def mean_of_levels() -> Any:
    try:
        network(built(Small), mean=(127.5,) * 3, std=(127.5,) * 3)
    except Exception as error:
        return refusal(error)
    return "taken"


def checkpointed() -> nn.Module:
    class Saving(Small):
        def features(self, pictures: Tensor) -> Tensor:
            return torch.utils.checkpoint.checkpoint(super().features, pictures, use_reentrant=True)

    return built(Saving)


def given(inputs: Any) -> Any:
    try:
        return len(explainer(built(Small))(inputs))
    except Exception as error:
        return refusal(error)


def path() -> Any:
    Image.new("RGB", (40, 40), (9, 99, 9)).save("0.png")
    return given(Path("0.png"))


class Scripted(nn.Module):
    """A network that TorchScript accepts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.conv(pictures).relu().mean((2, 3)))


LIBRARY = [
    Case("mean and std of 0 to 255", mean_of_levels, "taken", "CamxError: `mean` 127.5,127.5,127.5 is for pixels"),
    Case("a network that ends in a softmax", lambda: probabilities(lambda maps, s: s.softmax(1)), False, True),
    Case("a network that ends in sigmoids", lambda: probabilities(lambda maps, s: s.sigmoid()), False, True),
    Case("a network that ends in one sigmoid", one_sigmoid, [1, 0.512], [0, 0.95]),
    Case("an embedding and logits", lambda: ran(built(lambda: Output(lambda maps, s: (maps.mean((2, 3)), s)))), "8×8", "CamxError: The network returns 2 tensors"),
    Case("two heads", lambda: ran(built(lambda: Output(lambda maps, s: {"kind": s, "sex": s[:, :2]}))), "8×8", "CamxError: The network returns 2 tensors"),
    Case("an object with scores", lambda: ran(built(lambda: Output(lambda maps, s: Answer(s[:, :1, None].expand(-1, 3, 3), s)))), "CamxError: The network returns nothing, not", "8×8"),
    Case("squeezed logits", lambda: ran(built(lambda: Output(lambda maps, s: s.squeeze(1), 1))), "CamxError: The network returns a tensor", "8×8"),
    Case("half precision", lambda: ran(built(Small).bfloat16()), "CamxError: Small does not run on", "8×8"),
    Case("double precision", lambda: ran(built(Small).double()), "CamxError: Small does not run on", "8×8"),
    Case("gradient checkpointing", lambda: ran(checkpointed()), "CamxError: Saving has no feature map", "8×8"),
    Case("a scripted network", lambda: ran(torch.jit.script(built(Scripted)), methods=("rise",)), "RuntimeError", "32×32"),
    Case("a path", path, "TypeError", 1),
    Case("an array", lambda: given(np.zeros((40, 40, 3), np.uint8)), "CamxError: A ndarray cannot be explained.", 1),
    Case("an image without pixels", lambda: given(Image.new("RGB", (0, 0))), "ZeroDivisionError", "CamxError: An image of 0×0 pixels"),
    Case("a target as text", lambda: ran(built(Small), targets=("3",)), "AttributeError", "8×8"),
    Case("a method as text", lambda: ran(built(Small), methods="gradcam"), "CamxError: Unknown method 'g'. Methods: gradcam,", "8×8"),
    Case("a layer as text", lambda: ran(built(Small), layers="act2"), "CamxError: The network has no layer", "8×8"),
]  # fmt: skip
