"""The automatic target layer: one small representative per family, and every error with its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cam_cli import Explainer, ExplainOptions, Network
from cam_cli.cams.target_layer.choose import choose_layer, list_layers
from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions

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


#: The smallest of each other family, with few blocks and on a small image: name, arguments, input size, and the
#: expected result. `python -m benchmarks.coverage` examines all names.
FAMILIES: list[tuple[str, dict[str, object], int, str, str, tuple[int, int], int]] = [
    ("timm/test_byobnet", {}, 160, "stages", "NCHW", (5, 5), 0),
    ("timm/test_coatnet", {}, 160, "norm", "NCHW", (5, 5), 0),
    ("timm/starnet_s050", {}, 224, "norm", "NCHW", (7, 7), 0),
    ("timm/dla46x_c", {}, 224, "level5", "NCHW", (7, 7), 0),
    ("torchvision/shufflenet_v2_x0_5", {}, 224, "conv5", "NCHW", (7, 7), 0),
    ("timm/mobilevit_xxs", {}, 256, "final_conv", "NCHW", (8, 8), 0),
    ("timm/edgenext_xx_small", {}, 256, "stages", "NCHW", (8, 8), 0),
    ("timm/ese_vovnet19b_slim_dw", {}, 192, "stages", "NCHW", (6, 6), 0),
    ("timm/repghostnet_050", {}, 192, "blocks", "NCHW", (6, 6), 0),
    ("torchvision/mobilenet_v3_small", {}, 160, "features", "NCHW", (5, 5), 0),
    ("timm/ghostnet_050", {}, 160, "blocks", "NCHW", (5, 5), 0),
    ("timm/regnetx_002", {}, 160, "s4", "NCHW", (5, 5), 0),
    ("timm/cspnext_tiny", {}, 160, "stages", "NCHW", (5, 5), 0),
    ("timm/iformer_t", {}, 160, "stages", "NCHW", (5, 5), 0),
    ("timm/efficientvit_b0", {"depths": (2, 2, 2, 2)}, 160, "head.in_conv", "NCHW", (10, 10), 0),
    ("timm/swiftformer_xs", {"layers": (2, 2, 2, 2)}, 192, "norm", "NCHW", (6, 6), 0),
    ("torchvision/mobilenet_v2", {}, 128, "features", "NCHW", (4, 4), 0),
    ("timm/efficientformerv2_s0", {"depths": (2, 2, 2, 2)}, 160, "norm", "NCHW", (5, 5), 0),
    ("timm/pvt_v2_b0", {}, 128, "stages", "NCHW", (4, 4), 0),
    ("timm/fasternet_t0", {"depths": (2, 2, 2, 2)}, 160, "stages", "NCHW", (5, 5), 0),
    ("timm/lcnetv2_small", {"depths": (2, 2, 2, 2)}, 128, "stages", "NCHW", (4, 4), 0),
    ("timm/inception_next_atto", {"depths": (2, 2, 2, 2)}, 160, "stages", "NCHW", (5, 5), 0),
    ("timm/cs3darknet_focus_s", {}, 160, "stages", "NCHW", (5, 5), 0),
    ("timm/pit_ti_224", {}, 128, "transformers.2.blocks.3.norm1", "NLC", (4, 4), 1),
    ("timm/hardcorenas_b", {}, 128, "blocks", "NCHW", (4, 4), 0),
    ("timm/fastvit_t8", {"layers": (2, 2, 2, 2)}, 128, "final_conv", "NCHW", (4, 4), 0),
    ("torchvision/efficientnet_b0", {}, 128, "features", "NCHW", (4, 4), 0),
    ("timm/convit_tiny", {"depth": 4}, 192, "blocks.3.norm1", "NLC", (12, 12), 0),
    ("timm/hgnetv2_b0", {}, 96, "stages", "NCHW", (3, 3), 0),
    ("timm/shvit_s1", {}, 96, "stages", "NCHW", (2, 2), 0),
    ("timm/vit_tiny_r_s16_p8_224", {"depth": 4}, 160, "blocks.3.norm1", "NLC", (5, 5), 1),
    ("timm/cpubone_nano", {}, 96, "head.in_conv", "NCHW", (3, 3), 0),
    ("timm/visformer_tiny", {"depth": 4}, 128, "norm", "NCHW", (4, 4), 0),
    ("timm/resnetv2_18", {"layers": (2, 2, 2)}, 160, "norm", "NCHW", (10, 10), 0),
    ("timm/nest_tiny", {}, 96, "norm", "NHWC", (6, 6), 0),
    ("timm/tnt_s_legacy_patch16_224", {"depth": 4}, 96, "blocks.3.norm_out", "NLC", (6, 6), 1),
    ("timm/twins_svt_small", {"depths": (2, 2, 2, 2)}, 96, "norm", "NLC", (3, 3), 0),
    ("timm/mvitv2_tiny", {}, 96, "norm", "NLC", (3, 3), 0),
    ("timm/volo_d1_224", {}, 96, "post_network.1.norm1", "NLC", (6, 6), 1),
    ("timm/sequencer2d_s", {"layers": (2, 2, 2, 2)}, 96, "norm", "NHWC", (6, 6), 0),
    ("timm/hiera_tiny_224", {}, 96, "blocks.11", "NLC", (3, 3), 0),
]

#: Families that take longer to build.
LARGE_FAMILIES: list[tuple[str, dict[str, object], int, str, str, tuple[int, int], int]] = [
    ("torchvision/mnasnet0_5", {}, 192, "layers", "NCHW", (6, 6), 0),
    ("timm/efficientvit_m0", {}, 192, "stages", "NCHW", (3, 3), 0),
    ("timm/rexnet_100", {}, 128, "features", "NCHW", (4, 4), 0),
    ("timm/repvit_m1", {}, 96, "stages", "NCHW", (3, 3), 0),
    ("timm/coat_tiny", {}, 96, "parallel_blocks.5.norm14", "NLC", (3, 3), 1),
    ("timm/gmlp_ti16_224", {}, 96, "norm", "NLC", (6, 6), 0),
    ("timm/efficientvim_m1", {}, 96, "norm.3", "NCHW", (2, 2), 0),
    ("torchvision/densenet121", {}, 96, "features", "NCHW", (3, 3), 0),
    ("timm/dpn48b", {}, 96, "features", "NCHW", (3, 3), 0),
    ("timm/halonet_h1", {}, 256, "stages", "NCHW", (8, 8), 0),
    ("timm/resnest14d", {}, 96, "layer4", "NCHW", (3, 3), 0),
    ("torchvision/resnet18", {}, 96, "layer4", "NCHW", (3, 3), 0),
    ("timm/legacy_seresnet18", {}, 96, "layer4", "NCHW", (3, 3), 0),
    ("timm/poolformerv2_s12", {}, 96, "stages", "NCHW", (3, 3), 0),
    ("timm/skresnet18", {}, 96, "layer4", "NCHW", (3, 3), 0),
    ("timm/gcvit_xxtiny", {}, 96, "stages", "NCHW", (3, 3), 0),
    ("timm/tiny_vit_5m_224", {"depths": (2, 2, 2, 2)}, 96, "stages", "NCHW", (3, 3), 0),
    ("timm/efficientformer_l1", {"depths": (2, 2, 2, 2)}, 224, "norm", "NLC", (7, 7), 0),
    ("timm/hrnet_w18_small", {}, 96, "final_layer", "NCHW", (3, 3), 0),
    ("timm/lowformer_b0", {}, 96, "in_conv", "NCHW", (3, 3), 0),
    ("timm/convmixer_768_32", {}, 96, "blocks", "NCHW", (13, 13), 0),
    ("timm/vitamin_small_224", {"depth": 4}, 96, "blocks", "NLC", (6, 6), 0),
    ("timm/rdnet_tiny", {}, 96, "dense_stages", "NCHW", (3, 3), 0),
    ("timm/res2next50", {"layers": (2, 2, 2, 2)}, 96, "layer4", "NCHW", (3, 3), 0),
    ("timm/swin_tiny_patch4_window7_224", {"depths": (2, 2, 2, 2)}, 96, "norm", "NHWC", (3, 3), 0),
    ("timm/swinv2_cr_tiny_224", {"depths": (2, 2, 2, 2)}, 96, "stages", "NCHW", (3, 3), 0),
    ("timm/davit_tiny", {}, 96, "stages", "NCHW", (3, 3), 0),
    ("timm/focalnet_tiny_srf", {}, 96, "norm", "NCHW", (3, 3), 0),
    ("torchvision/convnext_tiny", {}, 96, "features", "NCHW", (3, 3), 0),
    ("torchvision/regnet_x_16gf", {}, 96, "trunk_output", "NCHW", (3, 3), 0),
    ("timm/selecsls42", {}, 96, "head", "NCHW", (2, 2), 0),
    ("torchvision/maxvit_t", {}, 224, "blocks.3", "NCHW", (7, 7), 0),
    ("timm/tresnet_m", {"layers": (2, 2, 2, 2)}, 96, "body", "NCHW", (3, 3), 0),
    ("timm/nextvit_small", {}, 96, "norm", "NCHW", (3, 3), 0),
    ("timm/swinv2_tiny_window8_256", {"depths": (2, 2, 2, 2)}, 96, "norm", "NHWC", (3, 3), 0),
    ("timm/legacy_xception", {}, 96, "act4", "NCHW", (3, 3), 0),
    ("timm/inception_v3", {}, 96, "Mixed_6e", "NCHW", (4, 4), 0),
    ("timm/hieradet_small", {}, 96, "blocks.15", "NHWC", (3, 3), 0),
    ("timm/xception41p", {}, 96, "act", "NCHW", (3, 3), 0),
    ("torchvision/inception_v3", {}, 96, "Mixed_6e", "NCHW", (4, 4), 0),
    ("timm/csatv2", {"depths": (2, 2, 2, 2)}, 128, "stages", "NCHW", (2, 2), 0),
    ("torchvision/alexnet", {}, 96, "features", "NCHW", (2, 2), 0),
    ("timm/inception_v4", {}, 96, "features.17", "NCHW", (4, 4), 0),
    ("timm/samvit_base_patch16_224", {"depth": 4}, 96, "neck", "NCHW", (6, 6), 0),
    ("timm/beit_base_patch16_224", {"depth": 4}, 96, "blocks.3", "NLC", (6, 6), 1),
    ("torchvision/vit_b_16", {}, 96, "encoder.layers.encoder_layer_11.ln_1", "NLC", (6, 6), 1),
    ("timm/inception_resnet_v2", {}, 96, "repeat_1", "NCHW", (4, 4), 0),
    ("timm/mobilenetv5_base", {}, 96, "msfa", "NCHW", (16, 16), 0),
    ("timm/vgg11", {}, 96, "features", "NCHW", (3, 3), 0),
    ("torchvision/vgg11", {}, 96, "features", "NCHW", (3, 3), 0),
    ("timm/pnasnet5large", {}, 96, "act", "NCHW", (3, 3), 0),
    ("timm/nasnetalarge", {}, 96, "act", "NCHW", (3, 3), 0),
    ("timm/naflexvit_base_patch16_parfac_gap", {}, 96, "blocks.11", "NLC", (6, 6), 4),
]


@pytest.mark.parametrize(
    ("name", "args", "size", "layer", "kind", "grid", "prefix"),
    [*FAMILIES, *(pytest.param(*row, marks=pytest.mark.slow) for row in LARGE_FAMILIES)],
)
def test_a_small_network_of_each_family(
    name: str, args: dict[str, object], size: int, layer: str, kind: str, grid: tuple[int, int], prefix: int
) -> None:
    options = PreprocessingOptions(image_size=size)
    network = load_model(ModelSpec(name, pretrained=False, args=args, preprocessing=options))
    found = choose_layer(network.module, network.preprocessing.input_size)
    layout = found.layout
    assert (found.name, layout.kind, (layout.height, layout.width), layout.prefix) == (layer, kind, grid, prefix)


def test_patches_cut_out_before_the_first_convolution_are_a_grid() -> None:
    """TNT without `legacy`: its convolution sees 36 patches of 16×16, never a map of the image."""
    network = load_model(ModelSpec("tnt_s_patch16_224", pretrained=False, args={"depth": 2, "img_size": 96}))
    layer = choose_layer(network.module, (96, 96))
    assert (layer.name, layer.layout.height, layer.layout.prefix) == ("blocks.1.norm_out", 6, 1)


def test_the_reason_names_later_maps_of_one_position() -> None:
    module = load_model(ModelSpec("test_resnet", pretrained=False)).module
    layer = choose_layer(module, (32, 32))
    assert layer.layout.height == 2
    small = choose_layer(module, (16, 16))
    assert small.reason.endswith("; later ones have a single position at 16×16 pixels")
    assert "later ones" not in choose_layer(module, (160, 160)).reason
    with pytest.raises(CamxError, match="'layer4' cannot be the target: its output has a single position at 16×16"):
        choose_layer(module, (16, 16), wanted="layer4")


def test_a_dead_layer_is_refused_by_name() -> None:
    module = load_model(ModelSpec("test_vit", pretrained=False)).module
    with pytest.raises(CamxError, match="'blocks.5' cannot be the target: (no gradient|the gradient reaches only)"):
        choose_layer(module, (160, 160), wanted="blocks.5")


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


def test_reports_mark_the_choice_and_give_reasons_against_others() -> None:
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
    with pytest.raises(CamxError, match="No layer of Sequential returns a map with several positions.*`methods=rise`"):
        choose_layer(module, (32, 32))


class Quarters(nn.Module):
    """Scores of a map after a function."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.fc, self.change = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3), change

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.change(self.conv(pictures)).mean((2, 3)))


def only_a_corner(maps: Tensor) -> Tensor:
    return maps * nn.functional.pad(torch.ones(2, 2), (0, 6, 0, 6))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Quarters(torch.round), "The scores of Quarters have no gradient: a rounding, .* `methods=eigencam`"),
        (Quarters(lambda maps: maps / 0), "The maps of Quarters, or the gradients .* not finite. Check its weights"),
        (Quarters(only_a_corner), r"reaches no map at a third of its positions \(at most 6%\). `methods=rise`"),
        (
            nn.Sequential(nn.Conv2d(3, 8, 32), nn.AvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
            "more than one position .* at 32×32 pixels: that of '0' has one. Try a larger `image_size`",
        ),
    ],
    ids=["rounded", "not finite", "a corner", "one position"],
)
def test_the_reason_is_that_of_the_network(module: nn.Module, reason: str) -> None:
    """A larger image helps only if the map has shrunk."""
    with pytest.raises(CamxError, match=reason) as refused:
        choose_layer(module.eval(), (32, 32))
    assert ("image_size" in str(refused.value)) == ("one position" in reason)


def test_methods_without_gradients_explain_what_rounds_its_maps() -> None:
    network = Network.of(Quarters(torch.round).eval(), image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    explainer = Explainer(network, ExplainOptions(methods=("eigencam",)))
    assert explainer.layer.name == "conv"


def test_grids_need_not_be_square() -> None:
    layer = choose_layer(seeded(InPlaceNet), (96, 64))
    assert (layer.layout.height, layer.layout.width) == (12, 8)
