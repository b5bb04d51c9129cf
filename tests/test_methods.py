"""Every method equals its definition, for mixed classes in one batch; errors of methods that do not apply."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.targets import Target
from cam_cli.cams.methods import gradients
from cam_cli.cams.methods.augmentation import VIEWS
from cam_cli.cams.methods.method import REGISTERED
from cam_cli.cams.methods.names import METHOD_NAMES, SMOOTHINGS
from cam_cli.cams.methods.registry import METHODS
from cam_cli.errors import CamxError

from .definitions import ATTENTION, DEFINITIONS, Slow, SlowAttention
from .methods_support import (
    Pooled,
    Small,
    assert_close,
    explainer,
    few_masks,  # noqa: F401 - fixtures are found by their names
    layers_of,
    small,
    vit,
)
from .test_engine import assert_same_state, batch, shown, state

ROOT = Path(__file__).parents[1]


#: Methods whose map is of a class, and methods without a class.
BY_CLASS = [name for name, method in METHODS.items() if method.per == "class"]


def test_every_method_has_a_definition() -> None:
    assert {*DEFINITIONS, *ATTENTION, "dff"} == set(METHODS)


def test_the_names_are_those_of_the_entries() -> None:
    """The names are in their own module, so that the help lists them without torch."""
    assert list(METHODS) == list(METHOD_NAMES)
    assert set(REGISTERED) == set(METHOD_NAMES)
    assert all(name == method.name for name, method in METHODS.items())
    assert tuple(VIEWS) == SMOOTHINGS


def test_an_entry_leaves_its_function_as_it_was() -> None:
    assert METHODS["gradcam"].maps is gradients.gradcam
    assert inspect.isfunction(gradients.gradcam)


def test_the_names_are_read_without_torch() -> None:
    code = "import sys, cam_cli.cams.methods.names; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_method_is_its_definition_for_mixed_classes_in_one_batch(name: str) -> None:
    module = small(Pooled if name == "cam" else Small)
    engine, pictures = explainer(module, name, layers=layers_of(name)), batch(3, side=24)
    classes = torch.tensor([[4, 0], [0, 2], [3, 1]])
    _, maps = engine.explain_tensor(pictures, classes)
    for image, row in enumerate(classes.tolist()):
        for column, wanted in enumerate(row[: 1 if METHODS[name].per == "image" else 2]):
            slow = DEFINITIONS[name](Slow(module, pictures[image], engine.layer, wanted))
            assert_close(maps[name][image, column].numpy(), slow, 1e-3 if name == "shapleycam" else 1e-4)


VITS = {
    "class token": {},
    "no class token": {"class_token": False, "global_pool": "avg"},
    "registers": {"reg_tokens": 2},
    "mean behind a class token": {"global_pool": "avg"},
}


@pytest.mark.parametrize("kind", VITS)
@pytest.mark.parametrize("fused_attention", [True, False])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_follows_its_paper(kind: str, name: str, *, fused_attention: bool) -> None:
    module = vit(**VITS[kind])  # type: ignore[arg-type]
    for block in module.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = fused_attention  # type: ignore[union-attr]
    pictures, classes = batch(2, side=64), [[3, 0], [1, 4]]
    before = state(module)
    _, maps = explainer(module, name, side=64).explain_tensor(pictures, torch.tensor(classes))
    assert_same_state(before, state(module))
    for image, row in enumerate(classes):
        for column, wanted in enumerate(row[: maps[name].shape[1]]):
            slow = ATTENTION[name](SlowAttention(module, pictures[image], wanted))
            assert_close(maps[name][image, column].numpy(), slow, 1e-3)


def test_attention_of_torchvision_is_read_too() -> None:
    """`nn.MultiheadAttention` runs as one kernel unless its weights are requested: compared with the same network in
    timm."""
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    theirs = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5).eval()
    nn.init.normal_(theirs.heads.head.weight)
    ours = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        patch_size=8,
        embed_dim=16,
        num_heads=2,
        depth=2,
        mlp_ratio=2,
        num_classes=5,
    ).eval()
    names = {
        "class_token": "cls_token",
        "conv_proj": "patch_embed.proj",
        "encoder.pos_embedding": "pos_embed",
        "encoder.ln.": "norm.",
        "heads.head": "head",
        "encoder.layers.encoder_layer_": "blocks.",
        "ln_1": "norm1",
        "ln_2": "norm2",
        "self_attention.in_proj_": "attn.qkv.",
        "self_attention.out_proj": "attn.proj",
        "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
    }
    weights = {}
    for key, value in theirs.state_dict().items():
        for old, new in names.items():
            key = key.replace(old, new)
        weights[key] = value
    ours.load_state_dict(weights)
    pictures = batch(2, side=32)
    for name in ATTENTION:
        one, two = (
            explainer(module, name, side=32).explain_tensor(pictures, torch.tensor([[1], [2]]))[1][name]
            for module in (ours, theirs)
        )
        assert_close(two.numpy(), one.numpy(), 1e-3)


@pytest.mark.parametrize(
    ("model", "words"), [("test_resnet", "no sequence of tokens"), ("swin_tiny_patch4_window7_224", "SwinTransformer")]
)
@pytest.mark.parametrize("name", [n for n in ATTENTION if n != "attnlrp"])
def test_networks_without_attention_over_all_tokens_are_refused_by_name(model: str, words: str, name: str) -> None:
    args = {"img_size": 64, "window_size": 4, "embed_dim": 8, "num_heads": (1, 1, 1, 1)} if "swin" in model else {}
    module = timm.create_model(model, num_classes=5, **args)
    with pytest.raises(CamxError, match=words):
        explainer(module, name, side=64)


@pytest.mark.parametrize("name", ["guided-backprop", "deconvnet", "guided-gradcam"])
def test_networks_without_relu_are_refused_by_name(name: str) -> None:
    with pytest.raises(CamxError, match=r"ConvNeXt has no ReLU .* \(it has .*GELU.*\)"):
        explainer(timm.create_model("test_convnext", num_classes=5), name, side=64)


def test_relu6_counts_as_a_relu() -> None:
    module = timm.create_model("mobilenetv2_035", num_classes=5).eval()
    _, maps = explainer(module, "guided-backprop", "saliency", side=64).explain_tensor(batch(1))
    assert maps["guided-backprop"].isfinite().all()
    assert not torch.allclose(maps["guided-backprop"], maps["saliency"])


def test_all_gradient_methods_and_classes_share_one_forward() -> None:
    names = [n for n, m in METHODS.items() if m.forwards == "0" and n not in ("cam", "refinecam")]
    assert len(names) > 10
    module = small()
    engine = explainer(module, *names, targets=(Target("top", 4),))
    runs: list[int] = []
    module.first[0].register_forward_hook(lambda _m, inputs, _o: runs.append(len(inputs[0])))  # type: ignore[index]
    assert len(engine.explain(shown(3))[0].maps) == sum(4 if METHODS[n].per == "class" else 1 for n in names)
    assert runs == [3]


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("name", [n for n in METHODS if n not in ATTENTION])
def test_an_image_does_not_depend_on_its_neighbours(name: str) -> None:
    engine = explainer(small(Pooled if name == "cam" else Small), name)
    pictures, classes = batch(4, side=24), torch.tensor([[1], [2], [3], [4]])
    _, together = engine.explain_tensor(pictures, classes)
    _, turned = engine.explain_tensor(pictures.flip(0), classes.flip(0))
    for image in range(4):
        _, alone = engine.explain_tensor(pictures[image : image + 1], classes[image : image + 1])
        whole = together[name][image].abs().max()
        assert (together[name][image] - alone[name][0]).abs().max() <= 1e-4 * whole
        assert (together[name][image] - turned[name][3 - image]).abs().max() <= 1e-4 * whole


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize(
    "name", ["rise", "sscam", "smoothgrad", "smoothgrad-squared", "vargrad", "smooth-gradcam++", "gradient-shap"]
)
def test_the_seed_decides_what_is_random(name: str) -> None:
    first, again, other = (
        explainer(small(), name, seed=seed).explain_tensor(batch(2, side=24))[1][name] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


class Scaled(nn.Module):
    def __init__(self, module: nn.Module, factor: float) -> None:
        super().__init__()
        self.module, self.factor = module, factor

    def forward(self, pictures: Tensor) -> Tensor:
        return self.module(pictures) * self.factor


#: Their equations are not homogeneous in the score: a probability, a softmax, or g·ΣA beside a number.
NOT_HOMOGENEOUS = {"gradcam++", "smooth-gradcam++", "finercam", "shapleycam", "refinecam", "scorecam", "sscam", "iscam"}


#: They read probabilities: 1/5 + 1e-9 is 1/5 in float32, so that the map is flat.
OF_PROBABILITIES = {"reciprocam", "rise", "sess", "occlusion", "lime"}


@pytest.mark.parametrize("name", [n for n in BY_CLASS if n not in {*ATTENTION, "cam", *OF_PROBABILITIES}])
@pytest.mark.usefixtures("few_masks")
def test_tiny_scores_give_the_map_of_their_definition(name: str) -> None:
    """Logits × 1e-9: the same map up to its scale, or that of the equation if the equation is not homogeneous."""
    module, pictures, classes = small(), batch(2, side=24), torch.tensor([[1], [2]])
    tiny = Scaled(module, 1e-9).eval()
    engine = explainer(tiny, name, layers=tuple(f"module.{one}" for one in layers_of(name)))
    maps = engine.explain_tensor(pictures, classes)[1][name][:, 0].numpy().astype(np.float64)
    for image, wanted in enumerate([1, 2]):
        own = dataclasses.replace(engine.layer, name="first")
        slow = DEFINITIONS[name](
            Slow(tiny, pictures[image], engine.layer, wanted)
            if name in NOT_HOMOGENEOUS
            else Slow(module, pictures[image], own, wanted)
        )
        assert_close(maps[image] / np.abs(maps[image]).max(), slow / np.abs(slow).max(), 2e-3)


@pytest.mark.parametrize(
    "name", [n for n in BY_CLASS if METHODS[n].signed and METHODS[n].grid == "layer" and n != "rise"]
)
def test_evidence_against_is_evidence_for_the_score_turned_over(name: str) -> None:
    module, pictures, classes = small(Pooled if name == "cam" else Small), batch(2, side=24), torch.tensor([[1], [2]])
    against, both, plain = (
        explainer(module, name, evidence=evidence).explain_tensor(pictures, classes)[1][name]
        for evidence in ("against", "both", "for")
    )
    assert not torch.allclose(against, plain)
    assert torch.allclose(both, plain.clamp_min(0) - against.clamp_min(0))
    if name in ("cam", "gradcam", "hirescam", "xgradcam", "eigengradcam", "ablationcam", "finercam", "shapleycam"):
        assert torch.allclose(against, -plain, atol=1e-6), "an odd function of the score"
    elif name not in ("scorecam", "sscam", "iscam", "reciprocam", "finercam", "shapleycam"):
        turned = explainer(Scaled(module, -1.0).eval(), name).explain_tensor(pictures, classes)[1][name]
        assert torch.allclose(against, turned, atol=1e-5)
