"""The engine against slow definitions, and that it restores the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.engine.targets import Target
from cam_cli.cams.methods.registry import METHODS
from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.classifier import find_classifier
from cam_cli.cams.tracing.trace import Trace, trace, traces
from cam_cli.errors import CamxError
from cam_cli.images.listing import Source
from cam_cli.images.picture import Picture, prepare
from cam_cli.models.hooks import TargetLayer
from cam_cli.models.layouts import Layout

from .conftest import picture
from .networks import DeepHeadNet, InPlaceNet, RedDetector, network, seeded

NETS = ["test_resnet", "test_vit", "test_efficientnet", "test_convnext", "test_mambaout", "test_byobnet"]


def net(name: str) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=7).eval()


class OutOfPlaceNet(InPlaceNet):
    """Its target layer comes after a ReLU, so that CAM is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()


def batch(count: int = 3, side: int = 64, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def slow_gradcam(module: nn.Module, pictures: Tensor, layer: TargetLayer, classes: list[int]) -> np.ndarray:
    """Selvaraju et al. 2017, eq. 1 and 2 before the ReLU: one image, one class, whole graph, float64."""
    module = module.double()
    maps = []
    for image, wanted in zip(pictures.double(), classes):
        kept: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: Any, output: Tensor, kept: list[Tensor] = kept) -> Tensor:
            output.retain_grad()
            kept.append(output)
            return output.clone()

        handle = module.get_submodule(layer.name).register_forward_hook(keep)
        score = module(image[None].requires_grad_())[0, wanted]
        handle.remove()
        module.zero_grad()
        score.backward()
        activations = layer.layout.to_nchw(kept[0])[0]
        gradient = layer.layout.to_nchw(kept[0].grad)[0]  # type: ignore[arg-type]
        total = torch.zeros(activations.shape[1:], dtype=torch.float64)
        for channel in range(activations.shape[0]):
            total += gradient[channel].mean() * activations[channel]
        maps.append(total.detach().numpy())
    module.float()
    return np.stack(maps)


@pytest.mark.parametrize("name", NETS)
def test_gradcam_is_its_definition_for_mixed_classes_in_one_batch(name: str) -> None:
    module, side = net(name), 160 if "vit" in name or "mamba" in name else 96
    pictures, classes = batch(side=side), [5, 0, 3]
    layer = choose_layer(module, (side, side))
    traced = trace(module, pictures, layer)
    maps = METHODS["gradcam"].maps(traced, torch.tensor(classes)[:, None])[:, 0].numpy()
    slow = slow_gradcam(module, pictures, layer, classes)
    assert maps.shape == slow.shape
    assert np.abs(maps - slow).max() <= 1e-5 * np.abs(slow).max()


def test_gradcam_by_hand() -> None:
    """Two channels, two positions: A = [[1, 2], [3, 4]], score = 10·mean(A₀) + mean(A₁)² → α = (5, 3.5)."""

    class Pencil(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Identity()

        def forward(self, features: Tensor) -> Tensor:
            first, second = self.maps(features).mean((2, 3)).unbind(1)
            return torch.stack([10 * first + second**2, first], dim=1)

    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    traced = trace(Pencil(), features, TargetLayer("maps", Layout("NCHW", 1, 2, 2)))
    assert traced.logits.tolist() == [[10 * 1.5 + 3.5**2, 1.5]]
    both = METHODS["gradcam"].maps(traced, torch.tensor([[0, 1]]))
    assert both.tolist() == [[[[5 * 1 + 3.5 * 3, 5 * 2 + 3.5 * 4]], [[0.5 * 1, 0.5 * 2]]]]


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_cam_is_gradcam_times_the_number_of_positions(name: str) -> None:
    module = net(name)
    layer = choose_layer(module, (96, 96))
    plain = trace(module, batch(side=96), layer)
    traced = trace(module, batch(side=96), layer, find_classifier(module, plain.features, plain.logits))
    classes = torch.tensor([[0, 4], [1, 5], [2, 6]])
    cam, gradcam = (METHODS[name].maps(traced, classes) for name in ("cam", "gradcam"))
    height, width = traced.features.shape[2:]
    assert torch.allclose(cam, gradcam * height * width, atol=1e-5)
    bias = module.get_classifier().bias.detach()  # type: ignore[operator]
    assert torch.allclose(cam.mean((2, 3)) + bias[classes], traced.logits.gather(1, classes), atol=1e-5)


def test_cam_of_a_convolutional_classifier() -> None:
    """SqueezeNet: the mean of the map of a class is its score."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, 4, 1), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    layer = choose_layer(module, (32, 32))
    assert layer.name == "1", "the features, not the class maps"
    plain = trace(module, batch(side=32), layer)
    traced = trace(module, batch(side=32), layer, find_classifier(module, plain.features, plain.logits))
    maps = METHODS["cam"].maps(traced, torch.arange(4).expand(3, 4))
    assert torch.allclose(maps.mean((2, 3)), traced.logits, atol=1e-6)


def test_cam_is_refused_where_it_is_not_exact() -> None:
    with pytest.raises(CamxError, match="global average pooling and one linear layer"):
        Explainer(network(seeded(DeepHeadNet)), ExplainOptions(methods=("cam",)))


def shown(count: int) -> list[Picture]:
    from .networks import PLAIN

    return [prepare(picture(80, 60, seed), Source(str(seed), ""), PLAIN) for seed in range(count)]


def test_an_image_is_explained_the_same_alone_and_among_others() -> None:
    explainer = Explainer(network(seeded(InPlaceNet)), ExplainOptions(targets=(Target("top", 3),)))
    pictures = shown(6)
    together, reverse = explainer.explain(pictures), explainer.explain(pictures[::-1])[::-1]
    for one, two, alone in zip(together, reverse, (explainer.explain([p])[0] for p in pictures)):
        for other in (two, alone):
            assert [p.index for p in one.ranking] == [p.index for p in other.ranking]
            assert all(abs(p.probability - q.probability) < 1e-5 for p, q in zip(one.ranking, other.ranking))
            assert all(np.allclose(m.values, n.values, atol=1e-6) for m, n in zip(one.maps, other.maps))


def test_the_target_is_label_top_or_class() -> None:
    names = ("a", "b", "c", "d", "e")
    labelled = [
        prepare(picture(seed=s), Source(str(s), "", label), _plain()) for s, label in enumerate(["b", "4", "x", ""])
    ]
    model = network(seeded(InPlaceNet), names=names)
    by_label = Explainer(model, ExplainOptions(targets=(Target("label"),))).explain(labelled)
    assert [e.maps[0].prediction.index for e in by_label[:2]] == [1, 4]
    assert [bool(e.problem) for e in by_label] == [False, False, True, True]
    assert "'x' is no class" in by_label[2].problem
    by_class = Explainer(model, ExplainOptions(targets=(Target("class", name="D"),))).explain(labelled)
    assert {e.maps[0].prediction.name for e in by_class} == {"d"}
    top = Explainer(model, ExplainOptions(targets=(Target("top", 9),), top_k=2)).explain(labelled[:1])[0]
    assert len(top.maps) == 5
    assert [m.prediction for m in top.maps[:2]] == list(top.ranking)


def _plain() -> Any:
    from .networks import PLAIN

    return PLAIN


@contextmanager
def requires_grad_on() -> Iterator[None]:
    with torch.enable_grad():
        yield


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode, requires_grad_on])
@pytest.mark.parametrize("frozen", [False, True])
def test_it_works_whatever_the_caller_has_set(caller: Callable[[], Any], frozen: bool) -> None:
    module = seeded(InPlaceNet)
    expected = _maps(module)
    for parameter in module.parameters():
        parameter.requires_grad_(not frozen)
    with caller():
        found = _maps(module)
    assert torch.equal(expected, found)


def _maps(module: nn.Module) -> Tensor:
    layer = TargetLayer("features.3", Layout("NCHW", 8, 8, 12))
    return METHODS["gradcam"].maps(trace(module, batch(2), layer), torch.tensor([[1], [2]]))


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("layers", [("auto",), ("auto", "features.3")])
def test_every_method_works_for_any_caller(
    layers: tuple[str, ...], caller: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cam_cli.cams.methods.perturbation.MASKS", 20)
    several = ("refinecam",)
    names = (
        tuple(n for n, m in METHODS.items() if m.works != "ViT" and n not in several) if len(layers) == 1 else several
    )
    explainer = Explainer(
        network(seeded(OutOfPlaceNet)), ExplainOptions(names, device="cpu", smooth="none", layers=layers)
    )
    expected = explainer.explain(shown(1))[0].maps
    with caller():
        found = explainer.explain(shown(1))[0].maps
    assert len(found) == len(names) + 3 * ("dff" in names)
    for one, two in zip(expected, found):
        assert np.allclose(one.values, two.values, atol=1e-6 * np.abs(one.values).max()), one.method


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_an_explainer_can_be_made_and_used_by_any_caller(caller: Callable[[], Any]) -> None:
    module = seeded(InPlaceNet)
    expected = Explainer(network(module)).explain(shown(2))
    module.train()
    with caller():
        found = Explainer(network(module.train())).explain(shown(2))
    assert module.training, "it is the caller's network"
    for one, two in zip(expected, found):
        assert np.array_equal(one.maps[0].values, two.maps[0].values)


def test_images_in_memory_are_seen_as_files_are() -> None:
    explainer = Explainer(network(RedDetector()))
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    loaded, transparent = explainer([clear.convert("RGB"), clear])
    assert [p.probability for p in loaded.ranking] == [p.probability for p in transparent.ranking]


def test_the_next_operation_may_work_in_place() -> None:
    module = seeded(InPlaceNet)
    layer = TargetLayer("features.3", Layout("NCHW", 8, 8, 12))
    before = module.features(batch(2)).detach()  # type: ignore[operator]
    traced = trace(module, batch(2), layer)
    assert torch.equal(traced.features, before), "activations before the ReLU, not after"
    slow = slow_gradcam(module, batch(2), layer, [1, 2])
    assert np.allclose(_maps(module)[:, 0].numpy(), slow, atol=1e-6)


def test_features_are_kept_when_their_memory_is_used_again() -> None:
    """The target layer returns its input, which the network overwrites later."""

    class Reuses(InPlaceNet):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Identity()

        def forward(self, pictures: Tensor) -> Tensor:
            features = self.features(pictures)
            pooled = self.maps(features).mean((2, 3))
            features.zero_()
            return self.fc(pooled)

    module = seeded(Reuses)
    traced = trace(module, batch(1), TargetLayer("maps", Layout("NCHW", 8, 8, 12)))
    assert traced.features.any()


def state(module: nn.Module) -> dict[str, Any]:
    return {
        "hooks": [len(m._forward_hooks) for m in module.modules()],
        "training": [m.training for m in module.modules()],
        "parameters": [(p.requires_grad, p.grad, p.dtype, p.detach().clone()) for p in module.parameters()],
        "buffers": [b.clone() for b in module.buffers()],
        "grad": torch.is_grad_enabled(),
    }


def assert_same_state(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert [one[k] for k in ("hooks", "training", "grad")] == [two[k] for k in ("hooks", "training", "grad")]
    for before, after in zip(one["parameters"], two["parameters"]):
        assert before[:3] == after[:3]
        assert torch.equal(before[3], after[3])
    assert all(torch.equal(a, b) for a, b in zip(one["buffers"], two["buffers"]))


def test_the_network_is_left_as_it_was() -> None:
    module = seeded(InPlaceNet)
    module.features[1].train()  # type: ignore[index]
    next(iter(module.parameters())).requires_grad_(False)
    before = state(module)
    layer = choose_layer(module, (64, 64))
    trace(module, batch(2), layer).gradients(torch.tensor([[0, 1], [2, 3]]))
    assert_same_state(before, state(module))


def test_the_network_is_left_as_it_was_when_it_breaks_in_the_middle() -> None:
    module = seeded(InPlaceNet)
    module.train()
    before = state(module)
    with pytest.raises(RuntimeError):
        trace(module, torch.zeros(1, 4, 64, 64), TargetLayer("features.3", Layout("NCHW", 8, 8, 12)))
    with pytest.raises(CamxError, match="does not run"):
        trace(module, batch(1), TargetLayer("features.3", Layout("NCHW", 8, 8, 12), call=1))
    assert_same_state(before, state(module))


def test_only_the_head_is_in_the_graph() -> None:
    """One forward for any number of classes; the backward never enters the convolutions."""
    module = seeded(InPlaceNet)
    runs: list[str] = []
    module.features[0].register_forward_hook(lambda *_: runs.append("forward"))  # type: ignore[index]
    module.features[0].register_full_backward_hook(lambda *_: runs.append("backward"))  # type: ignore[index]
    traced = trace(module, batch(2), TargetLayer("features.3", Layout("NCHW", 8, 8, 12)))
    traced.gradients(torch.tensor([[0, 1, 2, 3, 4]] * 2))
    assert runs == ["forward"]


def test_a_network_made_under_inference_mode_is_refused_with_the_reason() -> None:
    with torch.inference_mode():
        module = seeded(InPlaceNet)
    with pytest.raises(CamxError, match="inference_mode"):
        trace(module, batch(1), TargetLayer("features.3", Layout("NCHW", 8, 8, 12)))


def test_bf16_forward_keeps_fp32_maps() -> None:
    explainer = Explainer(network(seeded(InPlaceNet)), ExplainOptions(precision="bf16", device="cpu"))
    exact = Explainer(
        network(seeded(InPlaceNet)),
        ExplainOptions(precision="fp32", device="cpu", targets=(Target("class", name="1"),)),
    )
    rough = Explainer(
        network(seeded(InPlaceNet)),
        ExplainOptions(precision="bf16", device="cpu", targets=(Target("class", name="1"),)),
    )
    assert explainer.precision == "bf16"
    for one, two in zip(exact.explain(shown(3)), rough.explain(shown(3))):
        assert two.maps[0].values.dtype == np.float32
        assert np.corrcoef(one.maps[0].values.ravel(), two.maps[0].values.ravel())[0, 1] > 0.99


def test_scores_that_are_not_finite_are_a_problem() -> None:
    module = seeded(RedDetector)
    explainer = Explainer(network(module))
    with torch.no_grad():
        module.fc.weight[1, 0] = torch.nan  # type: ignore[index]
    assert "NaN" in explainer.explain(shown(1))[0].problem


def test_a_batch_that_does_not_fit_is_done_in_smaller_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU allocator raises a plain RuntimeError; the engine remembers the size that fits, and loses or repeats no
    image."""
    explainer = Explainer(network(seeded(InPlaceNet)))
    expected = explainer.explain(shown(7))
    sizes: list[int] = []

    def small_memory(module: nn.Module, inputs: Tensor, *rest: Any, **more: Any) -> list[Trace]:
        sizes.append(len(inputs))
        if len(inputs) > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")
        return traces(module, inputs, *rest, **more)

    monkeypatch.setattr("cam_cli.cams.engine.explainer.traces", small_memory)
    found = explainer.explain(shown(7))
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert [e.picture.source.key for e in found] == [e.picture.source.key for e in expected]
    assert all(np.allclose(a.maps[0].values, b.maps[0].values, atol=1e-6) for a, b in zip(found, expected))


def test_one_image_that_does_not_fit_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = Explainer(network(seeded(InPlaceNet)))

    def no_memory(*_: Any, **_more: Any) -> list[Trace]:
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr("cam_cli.cams.engine.explainer.traces", no_memory)
    assert ["not enough memory" in e.problem for e in explainer.explain(shown(2))] == [True, True]
