"""Heads that the tensors of a checkpoint describe give the scores of the trained network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from cam_cli.errors import CamxError
from cam_cli.models.catalog import Network, load_model
from cam_cli.models.options import ModelSpec

ARCH = "test_resnet"
FEATURES = timm.create_model(ARCH).num_features


def pictures(channels: int = 3, side: int = 64) -> Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(3))


def scores(module: nn.Module, images: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        found: Tensor = module.eval()(pictures() if images is None else images)
        return found


def trained(classes: int = 1000, name: str = ARCH, **args: Any) -> nn.Module:
    torch.manual_seed(7)
    module: nn.Module = timm.create_model(name, num_classes=classes, **args)
    return module


def loaded(folder: Path, content: object, name: str = ARCH, **spec: Any) -> Network:
    torch.save(content, folder / "w.pth")
    return load_model(ModelSpec(name, checkpoint=str(folder / "w.pth"), **spec))


def replaced(head: nn.Module) -> nn.Module:
    """`model.fc = head`, the most common fine-tune."""
    module = trained()
    module.fc = head
    return module


class Wrapped(nn.Module):
    """A backbone and its head, as in Lightning modules."""

    def __init__(self, backbone: nn.Module, head: nn.Module, names: tuple[str, str] = ("backbone", "head")) -> None:
        super().__init__()
        self.names = names
        setattr(self, names[0], backbone)
        setattr(self, names[1], head)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = getattr(self, self.names[1])(getattr(self, self.names[0])(inputs))
        return found


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(FEATURES, 8), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.fc2(torch.relu(self.fc1(inputs)))
        return found


def two(features: int = FEATURES, *between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, 8), *between, nn.Linear(8, 3))


HEADS: dict[str, Callable[[], nn.Module]] = {
    "dropout and linear": lambda: replaced(nn.Sequential(nn.Dropout(), nn.Linear(FEATURES, 3))),
    "one hidden layer": lambda: replaced(two(FEATURES, nn.ReLU())),
    "one hidden layer and dropout": lambda: replaced(two(FEATURES, nn.ReLU(), nn.Dropout())),
    "norm in the hidden layer": lambda: replaced(two(FEATURES, nn.BatchNorm1d(8), nn.ReLU())),
    "layer norm first": lambda: replaced(nn.Sequential(nn.LayerNorm(FEATURES), nn.Linear(FEATURES, 3))),
    "two linear layers": lambda: replaced(two()),
    "PReLU": lambda: replaced(two(FEATURES, nn.PReLU(8))),
    "two hidden layers": lambda: replaced(
        nn.Sequential(nn.Linear(FEATURES, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 3))
    ),
    "a module of its own": lambda: replaced(Mlp()),
    "beside a backbone without head": lambda: Wrapped(trained(0), nn.Linear(FEATURES, 3)),
    "beside it, head.fc": lambda: Wrapped(trained(0), nn.Sequential(OrderedDict(fc=nn.Linear(FEATURES, 3)))),
    "beside it, without a bias": lambda: Wrapped(trained(0), nn.Linear(FEATURES, 3, bias=False), ("net", "classifier")),
    "beside it, a hidden layer": lambda: Wrapped(trained(0), two(FEATURES, nn.ReLU()), ("net", "classifier")),
    "behind a head of 1,000": lambda: Wrapped(trained(), nn.Linear(1000, 3)),
    "behind a head of 1,000, a hidden layer": lambda: Wrapped(trained(), two(1000, nn.ReLU()), ("net", "classifier")),
    "a sequence of both": lambda: nn.Sequential(trained(0), nn.Linear(FEATURES, 3)),
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads(kind: str, tmp_path: Path) -> None:
    module = HEADS[kind]()
    network = loaded(tmp_path, module.state_dict())
    torch.testing.assert_close(scores(network.module), scores(module), atol=1e-5, rtol=1e-5)
    assert scores(network.module).shape == (2, 3)
    assert len(network.notes) == 1
    assert network.notes[0].startswith("head: ")
    assert not network.classes.names, "three classes are none of ImageNet's"


def test_another_activation_is_the_users_to_say(tmp_path: Path) -> None:
    module = replaced(two(FEATURES, nn.Tanh()))
    network = loaded(tmp_path, module.state_dict(), args={"head_activation": "tanh"})
    torch.testing.assert_close(scores(network.module), scores(module), atol=1e-5, rtol=1e-5)
    assumed = loaded(tmp_path, module.state_dict())
    assert not torch.allclose(scores(assumed.module), scores(module), atol=1e-5)
    assert "is assumed, `model_arg` head_activation=NAME" in assumed.notes[0]
    with pytest.raises(CamxError, match="head_activation.* 'tan' is unknown"):
        loaded(tmp_path, module.state_dict(), args={"head_activation": "tan"})


def test_a_module_without_weights_that_may_be_anything_is_refused(tmp_path: Path) -> None:
    head = nn.Sequential(nn.BatchNorm1d(FEATURES), nn.Dropout(), nn.Linear(FEATURES, 3))
    module = replaced(head)
    with pytest.raises(CamxError, match="its tensors do not show which one.*head_activation=identity"):
        loaded(tmp_path, module.state_dict())
    network = loaded(tmp_path, module.state_dict(), args={"head_activation": "identity"})
    torch.testing.assert_close(scores(network.module), scores(module), atol=1e-5, rtol=1e-5)


def test_a_head_that_fits_in_two_places_is_refused(tmp_path: Path) -> None:
    module = Wrapped(trained(FEATURES), nn.Linear(FEATURES, 3))
    with pytest.raises(CamxError, match="may follow it or replace it.*my_module.py:build"):
        loaded(tmp_path, module.state_dict())


class FastaiPool(nn.Module):
    """Maximum before mean, as in fastai."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([nn.functional.adaptive_max_pool2d(maps, 1), nn.functional.adaptive_avg_pool2d(maps, 1)], 1)


class MeanFirst(FastaiPool):
    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat(super().forward(maps).chunk(2, 1)[::-1], 1)


def of_fastai(body: nn.Module, width: int, *, bias: bool = False) -> nn.Module:
    """A network as `vision_learner` builds it: the body, and a head behind two poolings."""

    def stage(inputs: int, outputs: int, *activation: nn.Module) -> list[nn.Module]:
        norm = nn.BatchNorm1d(inputs)
        norm.running_mean = torch.randn(inputs) / 9
        return [norm, nn.Dropout(0.25), nn.Linear(inputs, outputs, bias=bias), *activation]

    torch.manual_seed(3)
    head = nn.Sequential(FastaiPool(), nn.Flatten(), *stage(2 * width, 12, nn.ReLU()), *stage(12, 3))
    return nn.Sequential(body, head)


@pytest.mark.parametrize("bias", [True, False])
def test_the_head_of_fastai(bias: bool, tmp_path: Path) -> None:
    module = of_fastai(nn.Sequential(*list(trained().children())[:-2]), FEATURES, bias=bias)
    network = loaded(tmp_path, {"model": module.state_dict(), "opt": {}})
    torch.testing.assert_close(scores(network.module), scores(module), atol=1e-5, rtol=1e-5)
    assert any("behind maximum and mean side by side as in fastai" in note for note in network.notes)
    network = loaded(tmp_path, of_fastai(trained(0, global_pool=""), FEATURES).state_dict())
    assert scores(network.module).shape == (2, 3)


def test_the_head_of_fastai_on_torchvision(tmp_path: Path) -> None:
    body = nn.Sequential(*list(torchvision.models.resnet18(weights=None).children())[:-2])
    module = of_fastai(body, 512)
    network = loaded(tmp_path, module.state_dict(), "torchvision/resnet18")
    torch.testing.assert_close(scores(network.module), scores(module), atol=1e-5, rtol=1e-5)


def test_two_poolings_in_an_unknown_order(tmp_path: Path) -> None:
    module = trained()
    module.global_pool.pool = MeanFirst()
    module.fc = nn.Linear(2 * FEATURES, 3)
    with pytest.raises(CamxError, match=f"takes {2 * FEATURES} values, twice the {FEATURES} .*head_pool=maxavg"):
        loaded(tmp_path, module.state_dict())
    network = loaded(tmp_path, module.state_dict(), args={"head_pool": "avgmax"})
    torch.testing.assert_close(scores(network.module), scores(module), atol=1e-5, rtol=1e-5)
    other = loaded(tmp_path, module.state_dict(), args={"head_pool": "maxavg"})
    assert not torch.allclose(scores(other.module), scores(module), atol=1e-4)
    with pytest.raises(CamxError, match="head_pool.* is unknown"):
        loaded(tmp_path, module.state_dict(), args={"head_pool": "max"})


def test_two_poolings_in_a_network_without_a_module_for_them(tmp_path: Path) -> None:
    module = torchvision.models.densenet121(num_classes=2)
    state = module.state_dict() | {"classifier.weight": torch.zeros(2, 2048)}
    with pytest.raises(CamxError, match="no module that camx could replace.*my_module.py:build"):
        loaded(tmp_path, state, "torchvision/densenet121", args={"head_pool": "maxavg"})


def of_torchvision(name: str, place: str, head: Callable[[int], nn.Module], **args: Any) -> nn.Module:
    torch.manual_seed(7)
    module = torchvision.models.get_model(name, weights=None, **args)
    old = module.get_submodule(place)
    first = next(m for m in old.modules() if isinstance(m, nn.Linear))
    module.set_submodule(place, head(first.in_features))
    return module


TORCHVISION: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "classifier of mobilenet": (
        "mobilenet_v3_small", lambda: of_torchvision("mobilenet_v3_small", "classifier", lambda n: nn.Linear(n, 3))
    ),
    "last of the classifier": (
        "mobilenet_v3_small",
        lambda: of_torchvision(
            "mobilenet_v3_small", "classifier.3", lambda n: nn.Sequential(nn.Dropout(), nn.Linear(n, 3))
        ),
    ),
    "fc of shufflenet": (
        "shufflenet_v2_x0_5", lambda: of_torchvision("shufflenet_v2_x0_5", "fc", lambda n: two(n, nn.ReLU()))
    ),
    "children in a sequence": (
        "shufflenet_v2_x0_5",
        lambda: Wrapped(
            nn.Sequential(
                *list(torchvision.models.resnet18(weights=None).children())[:-1], nn.Flatten()
            ), nn.Linear(512, 3), ("feature_extractor", "classifier"),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TORCHVISION)
def test_heads_of_torchvision(kind: str, tmp_path: Path) -> None:
    name, make = TORCHVISION[kind]
    name = "resnet18" if kind == "children in a sequence" else name
    module = make()
    network = loaded(tmp_path, module.state_dict(), f"torchvision/{name}")
    torch.testing.assert_close(scores(network.module), scores(module), atol=1e-5, rtol=1e-5)


ARGUMENTS: dict[str, tuple[str, dict[str, Any], Tensor]] = {
    "classes": (ARCH, {"num_classes": 5}, pictures()),
    "channels": (ARCH, {"num_classes": 5, "in_chans": 1}, pictures(1)),
    "image size": ("test_vit", {"num_classes": 5, "img_size": 96}, pictures(3, 96)),
    "pooling": ("test_vit", {"num_classes": 5, "global_pool": "avg"}, pictures(3, 160)),
    "pooling and size": ("test_vit", {"img_size": 64, "global_pool": "avg"}, pictures()),
    "layer scale": ("test_vit", {"num_classes": 5, "init_values": 0.5}, pictures(3, 160)),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_arguments_that_follow_from_the_tensors(kind: str, tmp_path: Path) -> None:
    name, args, images = ARGUMENTS[kind]
    module = trained(
        **{"classes": 1000, **{("classes" if k == "num_classes" else k): v for k, v in args.items()}}, name=name
    )
    network = loaded(tmp_path, module.state_dict(), name)
    torch.testing.assert_close(scores(network.module, images), scores(module, images), atol=1e-5, rtol=1e-5)
    assert network.preprocessing.input_size == tuple(images.shape[2:]) or "test_resnet" in name
    assert network.preprocessing.channels == images.shape[1]
    assert set(network.args) >= set(args) - {"init_values", "num_classes"}


def test_an_encoder_that_timm_builds_without_a_head_gets_the_one_of_its_tensors(tmp_path: Path) -> None:
    """DINOv2 has no classes; a fine-tuned one has a `head`, and often another pooling and size."""
    name, args = "vit_small_patch14_dinov2", {"depth": 1, "embed_dim": 24, "num_heads": 2}
    module = trained(2, name, img_size=56, global_pool="avg", **args)
    network = loaded(tmp_path, module.state_dict(), name, args=args)
    images = pictures(3, 56)
    torch.testing.assert_close(scores(network.module, images), scores(module, images), atol=1e-5, rtol=1e-5)
    assert any("num_classes=2" in note for note in network.notes)


def test_layouts_that_timm_converts(tmp_path: Path) -> None:
    """timm < 0.9 used other names in Swin; the filter of its module renames them."""
    module = trained(5, "swin_tiny_patch4_window7_224", embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1))
    old = {}
    for name, tensor in module.state_dict().items():
        stage = name.replace("head.fc.", "head.")
        if ".downsample." in stage:
            index = int(stage.split(".")[1])
            stage = stage.replace(f"layers.{index}.", f"layers.{index - 1}.", 1)
        old[stage] = tensor
    args = {"embed_dim": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
    network = loaded(tmp_path, {"model": old}, "swin_tiny_patch4_window7_224", args=args)
    images = pictures(3, 224)
    torch.testing.assert_close(scores(network.module, images), scores(module, images), atol=1e-5, rtol=1e-5)
    assert any("timm's filter" in note for note in network.notes)


def test_the_line_on_a_rebuilt_head_shows_flags(
    tmp_path: Path, camx: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    torch.save(replaced(two(FEATURES, nn.ReLU())).state_dict(), tmp_path / "w.pth")
    assert camx("explain", "a.png", "-m", ARCH, "--checkpoint", "w.pth", "--device", "cpu", "--no-report") == 0
    told = capsys.readouterr().err
    assert "input 160×160, bilinear, crop 0.952, mean 0.5 0.5 0.5" in told
    assert "head: fc is rebuilt from its tensors" in told
    assert "--model-arg head_activation=NAME sets another" in told
