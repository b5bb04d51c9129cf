"""No tensor of a checkpoint is left over without a note: it is used, known to be idle, or the cause of an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.errors import CamxError
from cam_cli.models.catalog import Network, load_model
from cam_cli.models.options import ModelSpec

ARCH = "test_resnet"
#: Features in front of the head of that network.
FEATURES = timm.create_model(ARCH).num_features
PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def trained(classes: int = 4, seed: int = 7, **args: Any) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = timm.create_model(ARCH, num_classes=classes, **args)
    return module.eval()


def loaded(folder: Path, content: object, **spec: Any) -> Network:
    torch.save(content, folder / "w.pth")
    return load_model(ModelSpec(ARCH, checkpoint=str(folder / "w.pth"), **spec))


def under(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}


def scores(module: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = module(PICTURES)
        return found


Case = tuple[Callable[[], dict[str, Tensor]], str]

#: Checkpoints whose other tensors 0.1.0 ignored.
REFUSED: dict[str, Case] = {
    "a margin head": (
        lambda: under("backbone.", trained(16)) | {"arc_face.weight": torch.rand(5, 16)},
        r"arc_face\.\* \(weight 5×16\) would be left over.*ignore_tensors=arc_face\.\*",
    ),
    "an ensemble": (
        lambda: under("a.", trained()) | under("b.", timm.create_model("test_vit")),
        r"b\.\* \(.*would be left over",
    ),
    "a second head": (
        lambda: under("", trained()) | under("colour.", nn.Linear(FEATURES + 1, 3)),
        r"colour\.\* \(weight 3×\d+, bias 3\) would be left over",
    ),
    "a part under a key of its own": (
        lambda: {"state_dict": trained().state_dict(), "neck": {"weight": torch.rand(4, 4, 3, 3)}},  # type: ignore[dict-item]
        r"neck\.\* \(weight 4×4×3×3\) would be left over",
    ),
    "a prototype matrix": (
        lambda: under("", trained(16)) | {"prototypes": torch.rand(5, 16)},
        "prototypes 5×16 would be left over",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_scores_may_depend_on_is_named_and_refused(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(CamxError, match=message):
        loaded(tmp_path, make())


def test_the_user_can_vouch_for_what_is_left_over(tmp_path: Path) -> None:
    module = trained()
    content = under("net.", module) | {"prototypes.weight": torch.rand(5, 4), "decoder.weight": torch.rand(2, 4, 3, 3)}
    with pytest.raises(CamxError, match="prototypes"):
        loaded(tmp_path, content, ignore_tensors=("decoder.*",))
    network = loaded(tmp_path, content, ignore_tensors=("decoder.*", "proto*"))
    assert torch.equal(scores(network.module), scores(module))
    assert network.idle_tensors == ("prototypes.weight", "decoder.weight")


IDLE = {
    "criterion.pos_weight": torch.ones(4),
    "loss_fn.weight": torch.ones(4),
    "val_acc.tp": torch.zeros(4, dtype=torch.long),
    "metrics.confmat": torch.zeros(4, 4, dtype=torch.long),
    "n_averaged": torch.tensor(3),
    "total_ops": torch.zeros(1),
    "placeholder": torch.zeros(0),
}


@pytest.mark.parametrize("name", IDLE)
def test_what_plays_no_part_is_listed(name: str, tmp_path: Path) -> None:
    module = trained()
    network = loaded(tmp_path, {"state_dict": under("model.", module) | {name: IDLE[name]}})
    assert network.idle_tensors == (name,)
    assert torch.equal(scores(network.module), scores(module))


def test_a_margin_in_a_loss_is_no_idle_tensor(tmp_path: Path) -> None:
    with pytest.raises(CamxError, match="criterion"):
        loaded(tmp_path, under("model.", trained()) | {"criterion.weight": torch.rand(5, 4)})


def test_numbers_beside_the_weights_are_listed(tmp_path: Path) -> None:
    """The ImageNet example script saves its best accuracy as a tensor."""
    network = loaded(tmp_path, {"state_dict": trained().state_dict(), "best_acc1": torch.tensor(76.1)})
    assert network.idle_tensors == ("best_acc1",)


@pytest.mark.parametrize("key", ["model_state", "net_dict", "student", "encoder", "weights_only", "my.model"])
def test_weights_are_found_by_what_they_are(key: str, tmp_path: Path) -> None:
    module = trained()
    optimizer = torch.optim.Adam(module.parameters())
    scores(module).sum()
    network = loaded(tmp_path, {key: module.state_dict(), "opt": optimizer.state_dict(), "epoch": 3})
    assert torch.equal(scores(network.module), scores(module))


def test_averaged_weights_under_a_prefix(tmp_path: Path) -> None:
    plain, averaged = trained(), trained(seed=8)
    content = under("model.", plain) | under("model_ema.module.", averaged)
    assert torch.equal(scores(loaded(tmp_path, content).module), scores(averaged))
    network = loaded(tmp_path, content, ema=False)
    assert torch.equal(scores(network.module), scores(plain))
    assert len(network.idle_tensors) == len(averaged.state_dict())
