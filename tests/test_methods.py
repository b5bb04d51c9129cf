"""Every method against its slow definition, and what holds for all of them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.engine.targets import Target
from cam_cli.cams.methods import gradients, perturbation
from cam_cli.cams.methods.augmentation import VIEWS
from cam_cli.cams.methods.fusion import fused
from cam_cli.cams.methods.method import REGISTERED
from cam_cli.cams.methods.names import METHOD_NAMES, SMOOTHINGS
from cam_cli.cams.methods.registry import METHODS
from cam_cli.errors import CamxError

from .definitions import ATTENTION, DEFINITIONS, Slow, SlowAttention
from .networks import PLAIN, network
from .test_engine import assert_same_state, batch, shown, state

ROOT = Path(__file__).parents[1]
#: Those whose map is one of a class, and those that know no class.
BY_CLASS = [name for name, method in METHODS.items() if method.per == "class"]


class Small(nn.Module):
    """Convolutions with ReLUs, and a head that is no straight line, at 24×24 pixels; a 6×6 grid of 6 channels."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, 2, 1), nn.ReLU(inplace=True))
        self.mix = nn.Conv2d(6, 6, 3, 1, 1)
        self.fc = nn.Linear(6, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.first(pictures)
        return self.fc((features + self.mix(features).tanh()).mean((2, 3)) * 8)


class Pooled(Small):
    """The same with average pooling and a linear layer alone behind it."""

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.first(pictures).mean((2, 3)))


def small(module: type[nn.Module] = Small) -> nn.Module:
    torch.manual_seed(3)
    return module().eval()


@pytest.fixture
def few_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation, "MASKS", 40)


def explainer(module: nn.Module, *names: str, side: int = 24, **options: object) -> Explainer:
    preprocessing = dataclasses.replace(PLAIN, input_size=(side, side), resize=(side, side))
    return Explainer(network(module, preprocessing), ExplainOptions(methods=names, device="cpu", **options))  # type: ignore[arg-type]


def assert_close(found: np.ndarray, slow: np.ndarray, tolerance: float = 1e-4) -> None:
    assert found.shape == slow.shape
    assert np.abs(slow).max() > 0
    assert np.abs(found - slow).max() <= tolerance * np.abs(slow).max()


def test_every_method_has_a_definition() -> None:
    assert {*DEFINITIONS, *ATTENTION, "dff"} == set(METHODS)


def test_the_names_are_those_of_the_entries() -> None:
    """Names stand apart so that the help can list them without torch; nothing is in one place only."""
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
    engine, pictures = explainer(module, name, layers=("first",)), batch(3, side=24)
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
}


def vit(**args: object) -> nn.Module:
    torch.manual_seed(1)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=64, embed_dim=32, num_heads=2, depth=3, num_classes=5, **args
    ).eval()


@pytest.mark.parametrize("kind", VITS)
@pytest.mark.parametrize("fused_attention", [True, False])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_followed_as_its_paper_says(kind: str, name: str, *, fused_attention: bool) -> None:
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
    """`nn.MultiheadAttention`, which runs as one kernel unless its weights are asked for: the same network in timm."""
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
@pytest.mark.parametrize("name", ATTENTION)
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
    names = [n for n, m in METHODS.items() if m.forwards == "0" and n != "cam"]
    assert len(names) > 10
    module = small()
    engine = explainer(module, *names, targets=(Target("top", 4),))
    runs: list[int] = []
    module.first[0].register_forward_hook(lambda _m, inputs, _o: runs.append(len(inputs[0])))  # type: ignore[index]
    assert len(engine.explain(shown(3))[0].maps) == 4 * (len(names) - 2) + 2
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
@pytest.mark.parametrize("name", ["rise", "smoothgrad", "smooth-gradcam++"])
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
NOT_HOMOGENEOUS = {"gradcam++", "smooth-gradcam++", "finercam", "shapleycam", "scorecam"}


#: `reciprocam` and `rise` read probabilities: 1/5 + 1e-9 is 1/5 in float32, and there is nothing to see.
@pytest.mark.parametrize("name", [n for n in BY_CLASS if n not in {*ATTENTION, "cam", "reciprocam", "rise"}])
@pytest.mark.usefixtures("few_masks")
def test_tiny_scores_give_the_map_of_their_definition(name: str) -> None:
    """Logits × 1e-9: the same map up to its scale, or where the paper's equation is not homogeneous, its equation's."""
    module, pictures, classes = small(), batch(2, side=24), torch.tensor([[1], [2]])
    tiny = Scaled(module, 1e-9).eval()
    engine = explainer(tiny, name, layers=("module.first",))
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
    elif name not in ("scorecam", "reciprocam", "finercam", "shapleycam"):
        turned = explainer(Scaled(module, -1.0).eval(), name).explain_tensor(pictures, classes)[1][name]
        assert torch.allclose(against, turned, atol=1e-5)


def test_methods_without_a_sign_are_refused_as_evidence_against() -> None:
    for name, method in METHODS.items():
        if not method.signed:
            with pytest.raises(CamxError, match=f"method {name} does not tell"):
                ExplainOptions(methods=(name,), evidence="against")


def test_several_layers_are_cut_at_the_earliest_and_fused() -> None:
    """Each layer's map is that of the layer alone; together the largest value of each, by its peak, at the finest grid."""
    module, pictures, classes = small(), batch(2, side=24), torch.tensor([[1], [2]])
    runs: list[int] = []
    module.first[0].register_forward_hook(lambda *_: runs.append(1))  # type: ignore[index]
    names = ("mix", "first.1")
    engine = explainer(module, "layercam", "gradcam", layers=names)
    runs.clear()
    _, maps = engine.explain_tensor(pictures, classes)
    assert len(runs) == 1
    for method in ("layercam", "gradcam"):
        alone = [
            explainer(module, method, layers=(name,)).explain_tensor(pictures, classes)[1][method] for name in names
        ]
        assert [one.shape[2:] for one in alone] == [(6, 6), (12, 12)]
        assert torch.allclose(maps[method], fused(alone), atol=1e-6)
        assert 0.99 < float(maps[method].max()) <= 1.0
    one = engine.explain(shown(1))[0].maps[0]
    assert one.layer == "mix+first.1"
    assert [layer for layer, _ in one.energies] == list(names)
    assert all(energy > 0 for _, energy in one.energies)


def test_maps_of_a_mirrored_picture_are_turned_back_exactly() -> None:
    """A network that does not tell left from right sees the mirrored picture as the picture: the mean is each of them."""
    module = small(Pooled)
    with torch.no_grad():
        for convolution in (module.first[0], module.first[2]):  # type: ignore[index]
            convolution.padding, convolution.stride = (0, 0), (1, 1)  # type: ignore[union-attr]
            weight = convolution.weight  # type: ignore[union-attr]
            weight.copy_((weight + weight.flip(3)) / 2)
    pictures, classes = batch(2, side=24), torch.tensor([[1], [2]])
    plain, flip = (
        explainer(module, "gradcam", smooth=smooth).explain_tensor(pictures, classes)[1]["gradcam"]
        for smooth in ("none", "flip")
    )
    assert torch.allclose(plain, flip, atol=1e-6)
    other = explainer(small(), "gradcam", smooth="flip").explain_tensor(pictures, classes)[1]["gradcam"]
    mirrored = explainer(small(), "gradcam").explain_tensor(pictures.flip(-1), classes)[1]["gradcam"]
    clean = explainer(small(), "gradcam").explain_tensor(pictures, classes)[1]["gradcam"]
    assert torch.allclose(other, (clean + mirrored.flip(-1)) / 2, atol=1e-6)


@pytest.mark.parametrize("smooth", [name for name in SMOOTHINGS if name != "none"])
def test_smoothing_keeps_the_class_of_the_clean_picture(smooth: str) -> None:
    class Sided(nn.Module):
        """Class 0 is light on the left, class 1 light on the right: the mirror image has the other class."""

        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(3, 1, 4, 4)
            nn.init.constant_(self.maps.weight, 1 / 48)

        def forward(self, pictures: Tensor) -> Tensor:
            left, right = self.maps(pictures).mean(2).flatten(1).chunk(2, dim=1)
            return torch.stack([left.mean(1) - right.mean(1), right.mean(1) - left.mean(1)], dim=1)

    picture = np.zeros((24, 24, 3), dtype=np.uint8)
    picture[:, :12] = 255
    from PIL import Image

    engine = explainer(Sided().eval(), "hirescam", smooth=smooth)
    (explanation,) = engine([Image.fromarray(picture)])
    (one,) = explanation.maps
    assert one.prediction.index == 0


def test_concepts_are_a_factorisation_with_classes() -> None:
    module = small()
    engine = explainer(module, "dff", layers=("first",))
    pictures = batch(2, side=24)
    traced, maps = engine.explain_tensor(pictures)
    assert maps["dff"].shape == (2, 4, 6, 6)
    assert (maps["dff"] >= 0).all()
    features = traced.features.flatten(2).transpose(1, 2)
    for image in range(2):
        places = maps["dff"][image].flatten(1).T
        parts = torch.linalg.lstsq(places, features[image]).solution
        rest = (features[image] - places @ parts).norm() / features[image].norm()
        *_, values, _ = torch.linalg.svd(features[image])
        best = values[4:].norm() / values.norm()
        assert rest <= best + 0.05, "nearly as good as any four maps can be"
    explanation = engine.explain(shown(1))[0]
    assert [m.concept for m in explanation.maps] == [1, 2, 3, 4]
    assert all(m.prediction == m.concept_classes[0] for m in explanation.maps)
    strength = [float(m.values.sum()) for m in explanation.maps]
    assert len(set(strength)) == 4


def test_a_concept_has_the_class_that_a_picture_full_of_it_has() -> None:
    """Two colours, two channels, two classes: red is class 0 wherever it is."""
    from PIL import Image

    from .networks import RedDetector, seeded

    picture = Image.new("RGB", (64, 64), "red")
    picture.paste("blue", (32, 0, 64, 64))
    found = Explainer(network(seeded(RedDetector)), ExplainOptions(methods=("dff",), device="cpu"))([picture])
    strong = [m for m in found[0].maps if m.values.max() > 0.1 * max(n.values.max() for n in found[0].maps)]
    for one in strong:
        left, right = one.values[:, :4].sum(), one.values[:, 4:].sum()
        assert one.prediction.index == (0 if left > right else 1)
    assert {one.prediction.index for one in strong} == {0, 1}


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("name", ["scorecam", "ablationcam", "reciprocam", "rise"])
def test_never_more_pictures_at_once_than_memory_allows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cam_cli.cams.tracing import replay

    module = small()
    steps: list[tuple[int, int]] = []
    preprocessing = dataclasses.replace(PLAIN, input_size=(24, 24), resize=(24, 24))
    options = ExplainOptions(methods=(name,), device="cpu", layers=("first",))
    engine = Explainer(network(module, preprocessing), options, on_step=lambda done, total: steps.append((done, total)))
    pictures = batch(2, side=24)
    _, whole = engine.explain_tensor(pictures)
    assert not steps
    sizes: list[int] = []
    module.mix.register_forward_hook(lambda _m, inputs, _o: sizes.append(len(inputs[0])))  # type: ignore[operator]
    per_one = 3 * 24 * 24 * 4 if name in ("scorecam", "rise") else 6 * 36 * 4
    monkeypatch.setattr(replay, "BUDGET", 3 * per_one * 32)
    _, parts = engine.explain_tensor(pictures)
    assert max(sizes) == 3
    assert steps[-1][0] == steps[-1][1] > 3
    assert torch.allclose(parts[name], whole[name], atol=1e-6)


class WorksBetweenModules(Small):
    """What is between the modules works in place, so that the head alone cannot be run from remembered outputs."""

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.first(self.stem(pictures).add_(1.0))
        return self.fc((features + self.mix(features).tanh()).mean((2, 3)) * 8)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)


@pytest.mark.parametrize("kind", [Small, WorksBetweenModules])
def test_only_the_head_runs_again_where_the_network_allows_it(kind: type[nn.Module]) -> None:
    module = small(kind)
    engine, pictures, classes = (
        explainer(module, "ablationcam", layers=("first",)),
        batch(2, side=24),
        torch.tensor([[1], [2]]),
    )
    runs: list[int] = []
    module.first[0].register_forward_hook(lambda _m, inputs, _o: runs.append(len(inputs[0])))  # type: ignore[index]
    before = state(module)
    traced, maps = engine.explain_tensor(pictures, classes)
    assert_same_state(before, state(module))
    assert all("forward" not in vars(m) for m in module.modules())
    short = {head.head_only for head in traced.replay._heads.values()}
    assert short == {kind is Small}
    assert (max(runs) <= 2) == (kind is Small)
    slow = DEFINITIONS["ablationcam"](Slow(module, pictures[1], engine.layer, 2))
    assert_close(maps["ablationcam"][1, 0].numpy(), slow)


def test_the_head_of_a_transformer_runs_again_with_its_prefix_tokens() -> None:
    module = vit()
    engine = explainer(module, "ablationcam", side=64)
    traced, _ = engine.explain_tensor(batch(1, side=64))
    own = traced.head_scores(0, 2, lambda part: traced.features.expand(2, -1, -1, -1)[part])
    assert torch.allclose(own, traced.logits.expand(2, -1), atol=1e-5)
    assert traced.replay._heads[(0, engine.layer.name)].head_only


def test_a_network_is_left_as_it_was_when_it_breaks_while_it_is_run_again() -> None:
    module = small()
    engine = explainer(module, "ablationcam", layers=("first",))
    before = state(module)

    def broken(*_: object) -> None:
        raise KeyError("broken")

    handle = module.mix.register_forward_hook(broken)  # type: ignore[operator]
    with pytest.raises(KeyError):
        engine.explain_tensor(batch(1, side=24))
    handle.remove()
    assert_same_state(before, state(module))
    assert all("forward" not in vars(m) for m in module.modules())


def test_integrated_gradients_sum_to_the_difference_of_the_scores() -> None:
    module, pictures = small(), batch(2, side=24)
    engine = explainer(module, "integrated-gradients")
    traced, maps = engine.explain_tensor(pictures, torch.tensor([[1], [2]]))
    with torch.no_grad():
        black = module(traced.replay.black.expand_as(pictures))  # type: ignore[union-attr]
    wanted = (traced.logits - black).gather(1, torch.tensor([[1], [2]]))
    assert torch.allclose(maps["integrated-gradients"].sum((2, 3)), wanted, atol=0.05 * float(wanted.abs().max()))


def test_a_head_that_cannot_be_differentiated_twice_is_refused() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, inputs: Tensor) -> Tensor:
            return inputs * 2

        @staticmethod
        def backward(context: Any, *gradients: Tensor) -> Tensor:
            if torch.is_grad_enabled():
                raise RuntimeError("the derivative of this kernel is not implemented")
            return gradients[0] * 2

    class Net(Small):
        def forward(self, pictures: Tensor) -> Tensor:
            return self.fc(Once.apply(self.first(pictures)).mean((2, 3)))

    with pytest.raises(CamxError, match="shapleycam` differentiates .* twice"):
        explainer(small(Net), "shapleycam")


def test_the_same_network_explains_with_any_method_after_any_other() -> None:
    """No method leaves anything behind for the next one."""
    module = small()
    names = [n for n in METHODS if n not in {*ATTENTION, "cam", "rise"}]
    engine, pictures = explainer(module, *names), batch(1, side=24)
    _, together = engine.explain_tensor(pictures)
    for name in names:
        _, alone = explainer(copy.deepcopy(module), name).explain_tensor(pictures)
        assert torch.allclose(together[name], alone[name], atol=1e-6), name
