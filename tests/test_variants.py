"""Layers of wrapped, modified and shared networks (`tests/variants.py`), as a library and as the user's own module."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cam_cli import CamxError, Explainer, ExplainOptions, Network
from cam_cli.models.catalog import load_model
from cam_cli.models.hooks import features_at
from cam_cli.models.options import ModelSpec, PreprocessingOptions

from .odd_networks import SIDE, Small, Then
from .variants import BENT, CLOSED, GRADIENT_FREE, HEADLESS, NO_GRADIENT, SHARED, WRAPPED, Variant, checkpointed

TABLE = {**WRAPPED, **BENT, **SHARED, **HEADLESS, **CLOSED}
HALF = (0.5, 0.5, 0.5)
INPUT = PreprocessingOptions(image_size=SIDE, mean=HALF, std=HALF)

Camx = Callable[..., int]


def built(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return build().eval()


def own(module: nn.Module, **more: Any) -> Network:
    return Network.of(module, image_size=SIDE, mean=HALF, std=HALF, **more)


def explainer(network: Network, *methods: str) -> Explainer:
    return Explainer(network, ExplainOptions(methods or ("gradcam",), device="cpu"))


def moved_quarters(maps: Callable[[Tensor], Tensor]) -> list[int]:
    """For each quarter of the image, the quarter of the map that changes most, at a common scale."""
    picture = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    before, found = maps(picture), []
    for rows in (slice(0, SIDE // 2), slice(SIDE // 2, SIDE)):
        for columns in (slice(0, SIDE // 2), slice(SIDE // 2, SIDE)):
            changed = picture.clone()
            changed[:, :, rows, columns] *= -1
            change = (maps(changed) - before).abs().sum(1)[0]
            height, width = change.shape[0] // 2, change.shape[1] // 2
            parts = [
                change[:height, :width],
                change[:height, -width:],
                change[-height:, :width],
                change[-height:, -width:],
            ]
            found.append(max(range(4), key=lambda i: float(parts[i].median())))
    return found


#: torch's compiler takes seconds to import.
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("compiled")) for name in TABLE]


@pytest.mark.parametrize("name", NAMES)
def test_the_layer_of_a_variant(name: str) -> None:
    check(TABLE[name], lambda: own(built(TABLE[name].build)))


@pytest.mark.parametrize("name", NAMES)
def test_the_layer_of_a_variant_as_an_own_module(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_module.py").write_text(
        "from tests.test_variants import TABLE\ndef build(name): return TABLE[name].build()\n"
    )
    check(TABLE[name], lambda: load_model(ModelSpec("my_module.py:build", args={"name": name}, preprocessing=INPUT)))


def check(variant: Variant, network: Callable[[], Network]) -> None:
    if variant.refusal:
        with pytest.raises(CamxError, match=variant.refusal):
            explainer(network())
        return
    found = explainer(network())
    layer, layout = found.layer, found.layer.layout
    assert (layer.name, (layout.height, layout.width)) == (variant.layer, variant.grid), layer
    assert (layout.prefix, layout.suffix) == (variant.prefix, variant.suffix), layout
    assert variant.kind in ("", layout.kind)
    assert moved_quarters(lambda pictures: features_at(found._module, pictures, layer).detach()) == [0, 1, 2, 3]
    (explanation,) = found(torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5)))
    assert explanation.maps[0].values.shape == variant.grid
    assert explanation.maps[0].values.std() > 0


def test_checkpointing_changes_no_map_and_is_on_again_afterwards() -> None:
    """torch refuses gradients through the reentrant kind, unless they are those of a training."""
    picture = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    methods = ("gradcam", "integrated-gradients", "scorecam", "eigencam")
    modules = [built(partial(checkpointed, reentrant=reentrant)) for reentrant in (False, True)]
    plain, reentrant = (explainer(own(module), *methods)(picture)[0].maps for module in modules)
    for expected, found in zip(plain, reentrant, strict=True):
        assert torch.allclose(torch.from_numpy(found.values), torch.from_numpy(expected.values), atol=1e-6)
    with pytest.raises(RuntimeError, match="use_reentrant"):
        torch.autograd.grad(modules[1](picture.requires_grad_()).sum(), picture)


class Corner(nn.Module):
    """A map of 2×2 positions at 32×32 pixels. turn: a function of the map. size: the only input size in pixels; 0 for
    any."""

    def __init__(self, turn: Callable[[Tensor], Tensor], size: int = 0) -> None:
        super().__init__()
        self.conv, self.turn, self.fc, self.size = nn.Conv2d(3, 8, 16, 16), Then(turn), nn.Linear(8, 5), size

    def forward(self, pictures: Tensor) -> Tensor:
        if self.size not in (0, pictures.shape[2]):
            raise ValueError("another size")
        return self.fc(self.turn(self.conv(pictures)).mean((2, 3)))


@pytest.mark.parametrize("size", [0, SIDE])
def test_a_map_of_four_positions_must_lie_in_its_place_too(size: int) -> None:
    """On a larger image, and with several contents of each quarter if the network has only one size."""
    found = explainer(own(built(lambda: Corner(lambda maps: maps * 1.0, size)))).layer
    assert (found.name, found.layout[1:3]) == ("turn", (2, 2))
    assert "not proven" not in found.reason
    turns: list[Callable[[Tensor], Tensor]] = [
        lambda maps: maps.flip(3), lambda maps: maps.transpose(2, 3), lambda maps: maps.rot90(1, (2, 3)),
    ]  # fmt: skip
    for turn in turns:
        assert explainer(own(built(lambda turn=turn: Corner(turn, size)))).layer.name == "conv"


def test_a_place_that_cannot_be_proven_is_a_warning(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    """If all positions see the whole image, they follow no quarter of it."""
    Path("my_module.py").write_text(
        "from tests.test_variants import SIDE, Corner\n"
        "def build(): return Corner(lambda maps: maps.mean((2, 3), keepdim=True) * maps.new_tensor([[1, 2], [3, 4]]), SIDE)\n"
    )
    assert camx("layers", "my_module.py:build", "--image-size", SIDE) == 0
    assert "its place is not proven: 2×2 positions are too few for a proof here" in capsys.readouterr().out


def test_branches_beside_the_explained_one_are_named() -> None:
    network = own(built(SHARED["two networks averaged"].build))
    alone = explainer(network)
    assert (alone.layer.name, alone.layer.beside) == ("head.act2", ("b.act2",))
    (warning,) = alone.network.warnings
    assert "2 branches lead to the scores: the maps explain the one that ends in 'head.act2', not 'b.act2'." in warning
    picture = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    options = ExplainOptions(layers=("b.act2", "head.act2"), device="cpu")
    joined = Explainer(network, options)
    assert joined.network.warnings == ()
    parts = [
        Explainer(network, ExplainOptions(layers=(name,), device="cpu"))(picture)[0].maps[0].values
        for name in options.layers
    ]
    expected = np.maximum(*(part / part.max() for part in parts))
    np.testing.assert_allclose(joined(picture)[0].maps[0].values, expected, atol=1e-5)
    assert explainer(own(built(Small))).network.warnings == ()


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) + len(NO_GRADIENT) >= 60


@pytest.mark.filterwarnings(
    "ignore:torch.ao:DeprecationWarning", "ignore:.*quant:UserWarning", "ignore:.*reduce_range:UserWarning"
)
@pytest.mark.parametrize("name", NO_GRADIENT)
def test_without_a_gradient_only_methods_without_one_work(name: str) -> None:
    module = built(NO_GRADIENT[name])
    with pytest.raises(CamxError, match="`methods=gradcam` cannot work. The scores of .* have no gradient: .*eigencam"):
        explainer(own(module))
    found = explainer(own(module), *GRADIENT_FREE)
    assert found.layer.layout[1:3] == (8, 8)
    (explanation,) = found(torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5)))
    assert {one.method for one in explanation.maps} == set(GRADIENT_FREE)
    assert all(one.values.shape == (8, 8) for one in explanation.maps)


def test_a_named_layer_must_lie_in_its_place_too() -> None:
    with pytest.raises(
        CamxError, match=r"'bend' cannot be the target: its (upper|lower) \w+ quarter changes with the \1"
    ):
        Explainer(own(built(BENT["mirrored"].build)), ExplainOptions(layers=("bend",), device="cpu"))


def test_a_refusal_names_the_layers_that_were_looked_at() -> None:
    class Mirror(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 3)

        def forward(self, pictures: Tensor) -> Tensor:
            return self.fc(self.conv(pictures.flip(2)).mean((2, 3)))

    with pytest.raises(CamxError, match=r"no layer that can be the target at 32×32 pixels. 'conv': its upper left"):
        explainer(own(built(Mirror)))


def test_the_choice_takes_few_forwards() -> None:
    for name, variant in TABLE.items():
        if variant.refusal or name.startswith("compiled"):
            continue
        module, calls = built(variant.build), 0

        def count(*_: Any) -> None:
            nonlocal calls
            calls += 1

        handle = module.register_forward_hook(count)
        explainer(own(module))
        handle.remove()
        # One for the output, one for the probe, one per trial, and one for the methods.
        assert calls <= 7, (name, calls)


def test_layers_of_an_own_module_on_the_command_line(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "from tests.test_variants import TABLE\ndef build(name): return TABLE[name].build()\n"
    Path("my_module.py").write_text(source)
    common = ("layers", "my_module.py:build", "--image-size", SIDE, "--model-arg")
    assert camx(*common, "name=transposed") == 0
    short = capsys.readouterr().out.splitlines()
    assert re.match(r"→ act2: a feature map before later ones", short[0])
    assert camx(*common, "name=transposed", "--all") == 0
    assert len(capsys.readouterr().out.splitlines()) > len(short) - 2
    assert camx(*common, "name=picture and mirror image") == 0
