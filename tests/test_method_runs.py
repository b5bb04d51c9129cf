"""Methods run the network within memory, or only its head, and restore it."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.methods import refined, token_sampling
from cam_cli.cams.methods.registry import METHODS
from cam_cli.errors import CamxError

from .definitions import ATTENTION, DEFINITIONS, Slow
from .methods_support import (
    Small,
    assert_close,
    explainer,
    few_masks,  # noqa: F401 - fixtures are found by their names
    small,
    vit,
)
from .networks import PLAIN, network
from .test_engine import assert_same_state, batch, state


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("name", ["scorecam", "sscam", "iscam", "sess", "ablationcam", "reciprocam", "rise"])
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
    per_one = 3 * 24 * 24 * 4 if name in ("scorecam", "sscam", "iscam", "sess", "rise") else 6 * 36 * 4
    monkeypatch.setattr(replay, "BUDGET", 3 * per_one * 32)
    _, parts = engine.explain_tensor(pictures)
    assert max(sizes) == 3
    assert steps[-1][0] == steps[-1][1] > 3
    assert torch.allclose(parts[name], whole[name], atol=1e-6)


class WorksBetweenModules(Small):
    """Code between its modules works in place, so that the head cannot run from stored outputs."""

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
    names = [n for n in METHODS if n not in {*ATTENTION, "cam", "refinecam", "rise"}]
    engine, pictures = explainer(module, *names), batch(1, side=24)
    _, together = engine.explain_tensor(pictures)
    for name in names:
        _, alone = explainer(copy.deepcopy(module), name).explain_tensor(pictures)
        assert torch.allclose(together[name], alone[name], atol=1e-6), name


def test_a_kernel_of_too_many_positions_is_refused_by_name() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    module.num_classes = 5
    explainer(module.eval(), "kpcacam", side=48, layers=("1",))
    with pytest.raises(CamxError, match=r"methods=kpcacam` compares every .*'1' has 49×49, more than 2,304 positions"):
        explainer(module, "kpcacam", side=49, layers=("1",))


def test_a_product_of_layers_needs_several() -> None:
    with pytest.raises(CamxError, match=r"methods=refinecam` multiplies the maps of several layers, and there is one"):
        explainer(small(), "refinecam", layers=("first",))


def test_windows_cover_the_image_at_every_scale() -> None:
    windows = refined._windows(30, 44)
    assert len(windows) == refined.WINDOWS == 122
    assert windows[0] == (30, 44, 0, 0)
    for size in {one[:2] for one in windows}:
        covered = np.zeros(size, dtype=bool)
        for _, _, top, left in (one for one in windows if one[:2] == size):
            assert 0 <= top <= size[0] - 30
            assert 0 <= left <= size[1] - 44
            covered[top : top + 30, left : left + 44] = True
        assert covered.all()


def test_sess_finds_a_small_object_that_grad_cam_sees_coarsely() -> None:
    """A map of windows is four times as fine as the layer, and lies at the place of the window."""
    module = nn.Sequential(nn.Conv2d(3, 2, 8, 8, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        module[0].weight.zero_()
        module[0].weight[1] = 1 / 64
    module.num_classes = 2
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, :, 9:13, 50:54] = 4.0
    engine = explainer(module.eval(), "sess", side=64, layers=("1",))
    _, maps = engine.explain_tensor(picture, torch.tensor([[1]]))
    assert maps["sess"].shape == (1, 1, 32, 32)
    y, x = divmod(int(maps["sess"][0, 0].argmax()), 32)
    assert abs(y - 5.5) <= 2
    assert abs(x - 26) <= 2


def test_the_patches_of_a_transformer_are_masked_and_its_class_token_stays() -> None:
    """Recipro-CAM on tokens: the definition of Byun and Lee 2023, with the hook that a reader would write."""
    module, pictures = vit(), batch(2, side=64)
    engine = explainer(module, "reciprocam", side=64)
    assert engine.layer.name == "blocks.2.norm1"
    _, maps = engine.explain_tensor(pictures, torch.tensor([[1], [3]]))
    kernel = torch.tensor([1.0, 2.0, 1.0])
    for image, wanted in ((0, 1), (1, 3)):
        slow = torch.zeros(4, 4)
        for i in range(4):
            for j in range(4):
                mask = torch.zeros(6, 6)
                mask[i : i + 3, j : j + 3] = kernel[:, None] * kernel / 16
                weights = torch.cat([torch.ones(1), mask[1:5, 1:5].flatten()])
                handle = module.blocks[2].norm1.register_forward_hook(  # type: ignore[index,union-attr]
                    lambda _m, _i, output, weights=weights: output * weights[:, None]
                )
                with torch.no_grad():
                    slow[i, j] = module(pictures[image : image + 1]).softmax(1)[0, wanted]
                handle.remove()
        assert_close(maps["reciprocam"][image, 0].numpy(), (slow - slow.min()).numpy(), 1e-3)


def test_clusters_are_those_of_their_members() -> None:
    draw = torch.Generator().manual_seed(0)
    middles = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = (middles[:, None] + torch.rand(3, 20, 2, generator=draw)).flatten(0, 1)
    centres = token_sampling.clusters(points, 6, torch.Generator().manual_seed(4))
    nearest = torch.cdist(points, centres).argmin(1)
    assert len(set(nearest.tolist())) > 2
    for number in set(nearest.tolist()):
        assert torch.allclose(centres[number], points[nearest == number].mean(0), atol=1e-5)


def test_masks_of_tokens_do_not_depend_on_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer masks than activations: clusters from random numbers that restart for every image."""
    monkeypatch.setattr(token_sampling, "MASKS", 12)
    engine, pictures, classes = explainer(vit(), "tis", side=64), batch(3, side=64), torch.tensor([[1], [2], [3]])
    _, together = engine.explain_tensor(pictures, classes)
    for image in range(3):
        _, alone = engine.explain_tensor(pictures[image : image + 1], classes[image : image + 1])
        assert torch.allclose(alone["tis"][0], together["tis"][image], atol=1e-6)
    other = explainer(vit(), "tis", side=64, seed=1).explain_tensor(pictures, classes)[1]["tis"]
    assert not torch.allclose(other, together["tis"], atol=1e-6)


class Encoder(nn.Module):
    """A transformer with a class token whose tokens are its first or second dimension."""

    num_classes = 5

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.cut = nn.Conv2d(3, 32, 16, 16)
        self.place, self.own = nn.Parameter(torch.randn(1, 17, 32)), nn.Parameter(torch.randn(1, 1, 32))
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(32, 2, 64, batch_first=batch_first) for _ in range(2))
        self.head = nn.Linear(32, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.cut(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.own.expand(len(tokens), -1, -1), tokens], dim=1) + self.place
        tokens = tokens if self.batch_first else tokens.transpose(0, 1)
        for layer in self.layers:
            tokens = layer(tokens)
        read: Tensor = self.head(tokens[:, 0] if self.batch_first else tokens[0])
        return read


def test_tokens_in_front_of_the_batch_are_chosen_too() -> None:
    maps = []
    for batch_first, kind in ((True, "NLC"), (False, "LNC")):
        torch.manual_seed(2)
        engine = explainer(Encoder(batch_first).eval(), "tis", side=64)
        assert engine.layer.layout.kind == kind
        maps.append(engine.explain_tensor(batch(2, side=64), torch.tensor([[1], [3]]))[1]["tis"].numpy())
    assert_close(maps[1], maps[0], 1e-3)


def test_a_transformer_that_counts_its_tokens_is_refused_by_name() -> None:
    module = timm.create_model(
        "vit_relpos_small_patch16_224", img_size=64, embed_dim=32, num_heads=2, depth=2, num_classes=5
    )
    with pytest.raises(CamxError, match=r"methods=tis` runs the network on some of its tokens"):
        explainer(module.eval(), "tis", side=64)
