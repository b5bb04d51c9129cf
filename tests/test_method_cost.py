"""The cost in the table of methods equals what a network runs, and a program can read every row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from cam_cli.cams.methods.cost import Cost, cost_of
from cam_cli.cams.methods.registry import METHODS
from cam_cli.cams.tracing.head import HeadRunner

from .definitions import ATTENTION
from .methods_support import Pooled, Small, explainer, few_masks, layers_of, small, vit  # noqa: F401 - a fixture is found by its name
from .test_engine import batch

SIZES = {"C": 6, "h": 3, "w": 5, "L": 2, "T": 3}


@pytest.mark.parametrize(
    ("forwards", "cost"),
    [
        ("0", (0, 0)),
        ("16", (16, 0)),
        ("C", (6, 0)),
        ("1 + C head", (1, 6)),
        ("1 + h·w head", (1, 15)),
        ("200·T", (600, 0)),
        ("2 + 10·C + 1 head + L head", (62, 3)),
    ],
)
def test_a_cost_is_read_for_sizes(forwards: str, cost: tuple[int, int]) -> None:
    assert cost_of(forwards, SIZES) == cost


def test_a_cost_is_written_as_in_the_table() -> None:
    assert str(Cost(17, 0)) == "17"
    assert str(Cost(2, 49)) == "2 + 49 head"


@pytest.mark.parametrize("forwards", ["", "many", "2C", "1+C", "X head"])
def test_another_word_is_no_cost(forwards: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        cost_of(forwards, SIZES)


@pytest.mark.parametrize("name", METHODS)
def test_every_row_can_be_read(name: str) -> None:
    found = cost_of(METHODS[name].forwards, SIZES)
    assert found.network >= 0
    assert found.head >= 0


@contextmanager
def counted(module: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the images of forwards: [whole network, head]. Every forward ends in the module's own forward."""
    runs, head = [0, 0], HeadRunner._run_head

    def run_head(self: HeadRunner, features: torch.Tensor) -> torch.Tensor:
        runs[1] += len(features)
        runs[0] -= len(features)
        return head(self, features)

    monkeypatch.setattr(HeadRunner, "_run_head", run_head)
    handle = module.register_forward_pre_hook(lambda _m, inputs: runs.__setitem__(0, runs[0] + len(inputs[0])))
    yield runs
    handle.remove()


@pytest.mark.parametrize("name", [name for name in METHODS if name not in {*ATTENTION, "rise"}])
def test_the_row_of_a_method_has_its_cost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of a head runner on two copies of the image's own activations, and their score in Ablation-CAM, are not
    in the table."""
    module = small(Pooled if name == "cam" else Small)
    engine = explainer(module, name, layers=layers_of(name))
    with counted(module, monkeypatch) as runs:
        engine.explain_tensor(batch(1, side=24), torch.tensor([[1]]))
    network, head = cost_of(f"1 + {METHODS[name].forwards}", {"C": 6, "h": 6, "w": 6, "T": 1})
    assert runs == [network, head + (2 if head else 0) + (name == "ablationcam")]


def test_rise_runs_once_for_several_layers_and_its_map_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cam_cli.cams.methods.perturbation.MASKS", 20)
    module, found = small(), []
    for layers, names in ((layers_of("rise"), 1), (layers_of("refinecam"), 2)):
        engine = explainer(module, "rise", layers=layers)
        assert len(engine.layers) == names
        with counted(module, monkeypatch) as runs:
            found.append(engine.explain_tensor(batch(1, side=24), torch.tensor([[1]]))[1]["rise"])
        assert runs == [21, 0]
    assert torch.equal(*found)
