"""Feature maps while a network is trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cam_cli import CamxError, FeatureLogger, WandbSink

from .activations_support import TwoBranches

DOCS = Path(__file__).parents[1] / "docs" / "activations.md"


class Kept:
    """A sink that stores its input."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.sheets: list[Image.Image] = []

    def write(self, sheets: Sequence[Image.Image], step: int) -> None:
        self.sheets += sheets
        self.steps.append((step, len(sheets)))


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_every_other_step_is_logged_and_training_is_the_same() -> None:
    def trained(with_logger: bool) -> tuple[Tensor, Kept]:
        torch.manual_seed(0)
        model, kept = TwoBranches(), Kept()
        with FeatureLogger(model, every=2, to=kept) if with_logger else torch.enable_grad():
            for _ in range(5):
                loss = model(torch.randn(6, 3, 8, 8)).square().sum()
                gradients = torch.autograd.grad(loss, list(model.parameters()))
                with torch.no_grad():
                    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                        parameter.sub_(0.01 * gradient)
        return model.early.weight.detach(), kept

    weight, kept = trained(True)
    assert torch.equal(weight, trained(False)[0])
    assert kept.steps == [(0, 4), (2, 4), (4, 4)]


@pytest.mark.parametrize("layer", ["auto", "late"])
def test_both_ways_of_logging_show_the_same(layer: str) -> None:
    model, images = TwoBranches(), torch.randn(2, 3, 8, 8)
    during, after = Kept(), Kept()
    with FeatureLogger(model, layer=layer, to=during):
        model(images)
    FeatureLogger(model, layer=layer, to=after).log(images, step=0)
    assert len(during.sheets) == 2
    for one, other in zip(during.sheets, after.sheets, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def _raise(model: nn.Module) -> None:
    raise KeyError("the loop broke")


def _wrong_shape(model: nn.Module) -> None:
    model(torch.randn(1, 5, 8, 8))


@pytest.mark.parametrize(("breaks", "error"), [(_raise, KeyError), (_wrong_shape, RuntimeError)])
def test_no_hook_is_left_when_the_loop_breaks(breaks: Callable[[nn.Module], None], error: type[Exception]) -> None:
    model, kept = TwoBranches(), Kept()

    def loop() -> None:
        with FeatureLogger(model, to=kept):
            model(torch.randn(2, 3, 8, 8))
            assert hooks_on(model) > 0
            breaks(model)

    with pytest.raises(error):
        loop()
    assert hooks_on(model) == 0
    assert kept.steps == [(0, 2)]
    model(torch.randn(2, 3, 8, 8))
    assert kept.steps == [(0, 2)]


def test_as_a_callback_it_leaves_the_network_as_it_was() -> None:
    model, kept = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)), Kept()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with FeatureLogger(model, to=Kept()) as open_one:
        logger = FeatureLogger(model, layer="1", every=2, images=3, to=kept)
        for epoch in range(4):
            logger.log(torch.randn(8, 3, 8, 8), step=epoch)
        open_one.log(torch.randn(8, 3, 8, 8), step=0)
    assert kept.steps == [(0, 3), (2, 3)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert hooks_on(model) == 0


def test_a_layer_without_a_map_is_an_error_at_the_first_step() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(CamxError, match="no convolution"), FeatureLogger(model, to=Kept()):
        model(torch.randn(2, 3, 2, 2))
    with pytest.raises(CamxError, match="no layer 'stem'"):
        FeatureLogger(model, layer="stem")
    assert hooks_on(model) == 0


def test_a_wandb_run_takes_the_sheets() -> None:
    pytest.importorskip("wandb")

    logged: list[tuple[dict[str, Any], bool]] = []

    class Run:
        def log(self, content: dict[str, Any], commit: bool) -> None:
            logged.append((content, commit))

    FeatureLogger(TwoBranches(), to=WandbSink(Run())).log(torch.randn(2, 3, 8, 8), step=0)
    ((content, commit),) = logged
    assert len(content["activations"]) == 2
    assert not commit


def test_the_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    surroundings: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL):
        exec(compile(code, str(DOCS), "exec"), surroundings)
    steps = sorted(path.parent.name for path in tmp_path.glob("activations/*/0.png"))
    assert steps == ["step-000000", "step-000010", "step-000020"]
    assert sorted(path.name for path in tmp_path.glob("epochs/*")) == ["step-000000", "step-000002"]
    assert hooks_on(surroundings["model"]) == 0
