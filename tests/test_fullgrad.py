"""FullGrad: the terms of a score add up to it in piecewise linear networks; others are errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from cam_cli.cams.methods.fullgrad import sums
from cam_cli.cams.tracing.replay import Replay
from cam_cli.errors import CamxError
from cam_cli.models.hooks import TargetLayer
from cam_cli.models.layouts import Layout

from .methods_support import explainer
from .test_engine import assert_same_state, batch, state

CLASSES = torch.tensor([[1, 3], [2, 0]])


class Block(nn.Module):
    """A convolution, a module behind it, and a head; `last` ends the network."""

    def __init__(self, *between: nn.Module, head: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), *between)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.fc, self.head = nn.Linear(8, 5), head

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.head(self.second(self.first(pictures))).mean((2, 3)))


class Residual(Block):
    def forward(self, pictures: Tensor) -> Tensor:
        found = self.first(pictures)
        found = self.second(found).add_(found)
        return self.fc(functional.relu_(torch.cat([found[:, :4], found[:, 4:] * 2], 1)).amax((2, 3)))


class OwnNormalisation(Block):
    def forward(self, pictures: Tensor) -> Tensor:
        mean = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
        return super().forward(1.5 - (pictures - mean) / 0.25 + 0.1)


class Subtracted(Block):
    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(torch.rsub(torch.tensor([0.4, -0.2, 0.3]).view(1, 3, 1, 1), pictures))


class ShortOfMemory(Block):
    """Runs out of memory behind its first layers, for more than one image."""

    def forward(self, pictures: Tensor) -> Tensor:
        found = self.first(pictures)
        if len(pictures) > 1:
            raise torch.OutOfMemoryError
        return self.fc(self.head(self.second(found)).mean((2, 3)))


class Gated(Block):
    def forward(self, pictures: Tensor) -> Tensor:
        found = self.first(pictures)
        return self.fc((found * self.second(found).sigmoid()).mean((2, 3)))


def trained_norm() -> nn.Module:
    norm = nn.BatchNorm2d(8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.running_mean.normal_()  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return norm


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: Block(nn.ReLU(inplace=True), nn.MaxPool2d(2)),
    "leaky relu": lambda: Block(nn.LeakyReLU(0.1), nn.AvgPool2d(2)),
    "prelu": lambda: Block(nn.PReLU()),
    "clipped relu": lambda: Block(nn.Hardtanh(-0.1, 0.2, inplace=True), nn.ReLU6()),
    "clamp": lambda: Block(nn.ReLU(), head=lambda x: x.clamp(-0.05, 0.05)),
    "normalisation": lambda: Block(trained_norm(), nn.ReLU()),
    "normalisation without weights": lambda: Block(nn.BatchNorm2d(8, affine=False), nn.ReLU()),
    "transposed": lambda: Block(nn.ReLU(), nn.ConvTranspose2d(8, 8, 2, 2)),
    "curves": lambda: Block(nn.SiLU(), nn.Hardswish(), nn.GELU()),
    "residual": lambda: Residual(nn.ReLU(), nn.AvgPool2d(2)),
    "own normalisation": lambda: OwnNormalisation(nn.ReLU()),
    "subtracted": lambda: Subtracted(nn.ReLU()),
    "resnet": lambda: timm.create_model("test_resnet", num_classes=5),
    "mobilenetv2": lambda: timm.create_model("mobilenetv2_035", num_classes=5),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_terms_add_up_to_the_score(name: str) -> None:
    torch.manual_seed(4)
    module = NETWORKS[name]().eval()
    engine, pictures = explainer(module, "fullgrad", side=64), batch(2)
    before = state(module)
    traced, maps = engine.explain_tensor(pictures, CLASSES)
    assert_same_state(before, state(module))
    found, wanted = sums(traced.replay, CLASSES)[..., 0], traced.logits.gather(1, CLASSES)
    assert torch.allclose(found, wanted, atol=1e-3 * float(wanted.abs().max()))
    assert maps["fullgrad"].shape == (2, 2, 64, 64)
    assert (maps["fullgrad"] >= 0).all()
    without = (traced.replay.gradients(pictures, CLASSES) * pictures[:, None]).sum((2, 3, 4))
    assert not torch.allclose(without, wanted, rtol=0.02), "the biases matter"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: timm.create_model("test_vit", num_classes=5, img_size=64), "VisionTransformer"),
        (lambda: timm.create_model("test_convnext", num_classes=5), "ConvNeXt"),
        (lambda: Gated(nn.ReLU()), "Gated"),
        (lambda: Block(nn.GroupNorm(2, 8), nn.ReLU()), "Block"),
    ],
)
def test_networks_whose_terms_do_not_add_up_are_refused_by_name(module: Callable[[], nn.Module], words: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(CamxError, match=rf"methods=fullgrad.*{words} add up to .*, its score is") as refused:
        explainer(module().eval(), "fullgrad", side=64)
    assert "integrated-gradients" in str(refused.value)


def test_a_part_of_a_batch_at_a_time_gives_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    from cam_cli.cams.tracing import replay

    torch.manual_seed(4)
    module = NETWORKS["normalisation"]().eval()
    engine, pictures = explainer(module, "fullgrad"), batch(2, side=24)
    whole = engine.explain_tensor(pictures, CLASSES)[1]["fullgrad"]
    monkeypatch.setattr(replay, "BUDGET", 1)
    parts = engine.explain_tensor(pictures, CLASSES)[1]["fullgrad"]
    assert torch.allclose(whole, parts, atol=1e-5 * float(whole.max()))


def test_terms_of_a_forward_without_memory_do_not_count() -> None:
    torch.manual_seed(4)
    module = ShortOfMemory(trained_norm(), nn.ReLU()).eval()
    pictures = batch(2, side=24)
    layer = TargetLayer("second", Layout("NCHW", 12, 12, 8))
    alone = [sums(Replay(module, one, (layer,)), own) for one, own in zip(pictures[:, None], CLASSES[:, None])]
    assert torch.allclose(sums(Replay(module, pictures, (layer,)), CLASSES), torch.cat(alone), rtol=1e-4)
