"""The automatic target layer: one small representative per family, and every refusal with its reason."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cam_cli.cams.layers import choose_layer, list_layers
from cam_cli.errors import CamxError
from cam_cli.models.catalog import ModelSpec, load_model

from .networks import DeepHeadNet, InPlaceNet, seeded

#: Model → layer, layout, (height, width), prefix tokens.
EXPECTED = {
    "test_resnet": ("layer4", "NCHW", (5, 5), 0),
    "test_efficientnet": ("bn2", "NCHW", (5, 5), 0),
    "test_nfnet": ("final_act", "NCHW", (5, 5), 0),
    "test_convnext": ("stages", "NCHW", (5, 5), 0),
    "test_maxvit": ("norm", "NCHW", (5, 5), 0),
    "test_mambaout": ("stages", "NHWC", (5, 5), 0),
    "test_vit": ("blocks.5.norm1", "NLC", (10, 10), 1),
    "test_vit3": ("norm", "NLC", (10, 10), 1),
    "test_vit_relpos": ("blocks.8", "NLC", (10, 10), 0),
    "mobilenetv3_small_050": ("blocks", "NCHW", (7, 7), 0),
    "vit_tiny_patch16_224": ("blocks.11.norm1", "NLC", (14, 14), 1),
    "deit_tiny_distilled_patch16_224": ("blocks.11.norm1", "NLC", (14, 14), 2),
    "densenet121": ("features", "NCHW", (7, 7), 0),
    "cait_xxs24_224": ("blocks", "NLC", (14, 14), 0),
    "xcit_nano_12_p16_224": ("cls_attn_blocks.1.norm1", "NLC", (14, 14), 1),
    "crossvit_tiny_240": ("blocks.2.fusion.1.norm1", "NLC", (20, 20), 1),
    "levit_128s": ("stages", "NLC", (4, 4), 0),
    "torchvision/squeezenet1_0": ("features", "NCHW", (13, 13), 0),
    "torchvision/googlenet": ("inception5b", "NCHW", (7, 7), 0),
    "torchvision/swin_t": ("permute", "NCHW", (7, 7), 0),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_layer_of_each_family(name: str) -> None:
    network = load_model(ModelSpec(name, pretrained=False))
    layer = choose_layer(network.module, network.preprocessing.input_size)
    layout = layer.layout
    assert (layer.name, layout.kind, (layout.height, layout.width), layout.prefix) == EXPECTED[name]
    assert layer.reason


def test_a_zero_head_does_not_hide_the_layer() -> None:
    """torchvision's ViT starts with a head of zeros: no class score has any gradient."""
    from torchvision.models.vision_transformer import VisionTransformer

    module = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3).eval()
    layer = choose_layer(module, (32, 32))
    assert (layer.name, layer.layout.prefix) == ("encoder.layers.encoder_layer_1.ln_1", 1)


class TwoBranches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, 4)
        self.left, self.right = nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.fc = nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        stem = self.stem(pictures)
        return self.fc(torch.cat([self.left(stem).mean((2, 3)), self.right(stem).mean((2, 3))], 1))


def test_where_only_the_stem_is_common_to_all_branches_the_last_branch_is_taken() -> None:
    layer = choose_layer(seeded(TwoBranches), (32, 32))
    assert layer.name == "right"
    assert "several branches" in layer.reason


def test_reports_mark_the_choice_and_tell_why_others_cannot() -> None:
    reports = {r.name: r for r in list_layers(seeded(InPlaceNet), (64, 64))}
    assert [name for name, r in reports.items() if r.chosen] == ["act"]
    assert reports["act"].reason.startswith("the last feature map")
    assert (reports["features.0"].grid, reports["features.0"].channels) == ((16, 16), 8)
    vit = list_layers(load_model(ModelSpec("test_vit", pretrained=False)).module, (160, 160))
    dead = [r for r in vit if r.name == "blocks.5"]
    assert not dead[0].usable
    assert "reaches only 0%" in dead[0].reason or "no gradient" in dead[0].reason


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        (InPlaceNet, "feature.3", "no layer 'feature.3'. Did you mean features.3"),
        (InPlaceNet, "fc", "not a map"),
        (DeepHeadNet, "head.1", "not a map"),
    ],
)
def test_a_named_layer_that_cannot_work(module: type[nn.Module], name: str, reason: str) -> None:
    with pytest.raises(CamxError, match=reason):
        choose_layer(seeded(module), (64, 64), wanted=name)


def test_a_named_layer_that_runs_twice_or_never() -> None:
    class Twice(InPlaceNet):
        def forward(self, pictures: Tensor) -> Tensor:
            return self.fc(self.act(self.features(self.act(pictures))).mean((2, 3)))

    module = seeded(Twice)
    with pytest.raises(CamxError, match="runs 2 times"):
        choose_layer(module, (64, 64), wanted="act")
    module.add_module("spare", nn.Conv2d(3, 3, 1))
    with pytest.raises(CamxError, match="does not run"):
        choose_layer(module, (64, 64), wanted="spare")


def test_a_named_layer_that_works() -> None:
    assert choose_layer(seeded(InPlaceNet), (64, 64), wanted="features.1").name == "features.1"


def test_a_network_without_a_map_is_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)).eval()
    with pytest.raises(CamxError, match="no feature map with more than one position"):
        choose_layer(module, (32, 32))


def test_grids_need_not_be_square() -> None:
    layer = choose_layer(seeded(InPlaceNet), (96, 64))
    assert (layer.layout.height, layer.layout.width) == (12, 8)
