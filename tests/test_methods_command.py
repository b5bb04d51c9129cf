"""`camx methods`: the table of the registry, and for a network the cost or the error of each method."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.method_survey import survey_methods
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.methods.registry import METHODS
from cam_cli.cams.tracing.network_state import as_if_trained
from cam_cli.errors import CamxError
from cam_cli.models.network import Network
from cli.methods import fitted

from .methods_support import Small, small
from .test_method_runs import WorksBetweenModules

Camx = Callable[..., int]


class WithoutGradient(Small):
    def forward(self, pictures: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(pictures)


class Pixels(nn.Module):
    """A segmentation of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        scores = self.head(self.body(pictures))
        return {"out": nn.functional.interpolate(scores, pictures.shape[2:], mode="bilinear", align_corners=False)}


def of(module: nn.Module, side: int, task: str = "auto") -> Network:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.1)
    return Network.of(module.eval(), image_size=side, mean=(0.5,) * 3, std=(0.5,) * 3, task=task)


NETWORKS: dict[str, Callable[[], Network]] = {
    "convolutions": lambda: of(timm.create_model("test_resnet", num_classes=5), 96),
    "transformer": lambda: of(timm.create_model("test_vit", num_classes=5), 160),
    "no relu": lambda: of(timm.create_model("test_convnext", num_classes=5), 64),
    "no gradient": lambda: of(WithoutGradient(), 24),
    "segmentation": lambda: of(Pixels(), 64),
    "values": lambda: of(small(), 24, "regression"),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_method_works_where_a_run_takes_it_and_is_refused_in_the_same_words(kind: str) -> None:
    network = NETWORKS[kind]()
    survey = survey_methods(network)
    assert [report.name for report in survey.methods] == list(METHODS)
    targets = ("0",) if kind == "values" else ("predicted",)
    working = tuple(report.name for report in survey.methods if report.usable)
    Explainer(network, ExplainOptions(methods=working, targets=targets, device="cpu"))
    for report in survey.methods:
        assert (report.cost is not None) == report.usable
        if not report.usable:
            with pytest.raises(CamxError) as refused:
                Explainer(network, ExplainOptions(methods=(report.name,), targets=targets, device="cpu"))
            assert report.reason == str(refused.value)
    assert {report.usable for report in survey.methods} == {True, False}, "the network tells them apart"


def costs(network: Network, *layers: str) -> dict[str, tuple[int, int] | None]:
    found = survey_methods(network, layers or ("auto",)).methods
    return {report.name: report.cost and tuple(report.cost) for report in found}


def test_costs_are_those_of_the_network() -> None:
    resnet, vit = (costs(NETWORKS[kind]()) for kind in ("convolutions", "transformer"))
    assert (resnet["gradcam"], resnet["scorecam"], resnet["rise"]) == ((1, 0), (97, 0), (1001, 0))
    assert (resnet["ablationcam"], resnet["reciprocam"], resnet["legrad"]) == ((2, 96), (2, 9), None)
    assert (vit["reciprocam"], vit["legrad"], vit["scorecam"]) == ((2, 100), (2, 6), (65, 0))


def test_several_layers_cost_their_sum() -> None:
    layers = ("layer3", "layer4")
    found = costs(NETWORKS["convolutions"](), *layers)
    assert (found["gradcam"], found["scorecam"], found["ablationcam"]) == ((1, 0), (1 + 192 + 96, 0), (3, 288))
    assert found["saliency"] == (2, 0), "it reads no layer"


def test_where_the_head_does_not_run_alone_its_forwards_are_those_of_the_network() -> None:
    assert costs(of(Small(), 24), "first")["ablationcam"] == (2, 6)
    assert costs(of(WorksBetweenModules(), 24), "first")["ablationcam"] == (8, 0)


def test_a_layer_that_cannot_be_the_target_is_an_error_of_the_command(
    camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("methods", "test_resnet", "--layer", "layer9") == 2
    assert "layer9" in capsys.readouterr().err


def test_the_network_is_left_as_it_was() -> None:
    network = NETWORKS["transformer"]()
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    survey_methods(network)
    assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())
    assert all(not module._forward_hooks for module in network.module.modules())


def untrained_vit() -> nn.Module:
    """torchvision's ViT, whose head is zero before training."""
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    return VisionTransformer(64, 16, 2, 2, 16, 32, num_classes=5).eval()


def test_weights_of_zero_count_as_trained_ones_and_stay_zero() -> None:
    """The question is for the network, not for the random weights that stand in for its own."""
    module = untrained_vit()
    assert not module.heads.head.weight.any()  # type: ignore[union-attr]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = Network.of(module, mean=(0.5,) * 3, std=(0.5,) * 3, image_size=64)
    found = {report.name: report for report in survey_methods(network).methods}
    for name in ("tis", "legrad", "attention-rollout", "attention-gradient"):
        assert found[name].reason == ""
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with pytest.raises(CamxError) as refused:
        Explainer(network, ExplainOptions(methods=("tis",), device="cpu"))
    assert str(refused.value) == (
        "The scores of VisionTransformer do not depend on its last attention: its weights 'heads.head.weight' are zero, "
        "as before training. Give trained weights: `checkpoint=FILE`."
    )


class Gated(nn.Module):
    """A scalar gate that is zero before training."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=4)
        self.branch = nn.Conv2d(4, 4, 3, padding=1)
        self.gamma = nn.Parameter(torch.zeros(()))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.stem(x).relu()
        found: torch.Tensor = self.head((maps + self.gamma * self.branch(maps)).mean((2, 3)))
        return found


def test_a_scalar_of_zero_counts_as_a_trained_one_and_stays_zero() -> None:
    module = Gated().eval()
    network = Network.of(module, mean=(0.5,) * 3, std=(0.5,) * 3, image_size=64)
    assert {report.name: report.reason for report in survey_methods(network).methods}["gradcam"] == ""
    assert not module.gamma.any()


def test_parameters_without_values_are_no_weights_of_zero() -> None:
    with as_if_trained(nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 2, device="meta"))) as nothing:
        assert nothing is None


class InDictionary(nn.Module):
    """A network without ReLU and attention, whose scores are one of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.GELU(), nn.Conv2d(8, 8, 3, 1, 1), nn.GELU())
        self.head = nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = self.body(pictures)
        return {"logits": self.head(features.mean((2, 3))), "features": features}


@pytest.mark.parametrize("name", ["tis", "legrad", "attention-rollout", "guided-backprop", "deconvnet"])
def test_a_network_is_called_by_the_name_of_its_class_whatever_it_returns(name: str) -> None:
    """One whose scores are part of its output is wrapped on the way."""
    with pytest.raises(CamxError, match="InDictionary"):
        Explainer(of(InDictionary(), 64), ExplainOptions(methods=(name,), device="cpu"))


@pytest.mark.parametrize("command", ["layers", "methods"])
def test_random_weights_may_be_asked_for_as_in_a_run(
    command: str, camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for words in ((), ("--no-pretrained",)):
        assert camx(command, "test_resnet", "--json", *words) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert camx(command, "demo", "--no-pretrained") == 2
    assert "--no-pretrained asks for random weights, but MODEL 'demo'" in " ".join(capsys.readouterr().err.split())


def test_all_methods_are_listed_without_a_network(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("methods") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["METHOD", "GRADIENTS", "FORWARDS", "WORKS", "WITH"]
    assert [line.split()[0] for line in lines] == list(METHODS)
    for line, method in zip(lines, METHODS.values()):
        assert line.endswith(f"  {method.summary} ({method.paper})")
    assert camx("methods", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["methods"]
    assert [one["name"] for one in listed] == list(METHODS)
    assert listed[0] == {
        "name": "gradcam",
        "summary": METHODS["gradcam"].summary,
        "paper": "Selvaraju et al. 2017",
        "equation": METHODS["gradcam"].equation,
        "gradients": True,
        "forwards": "1",
        "works_with": "CNN, ViT",
    }


def test_a_network_marks_what_does_not_work_and_why(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("methods", "test_resnet") == 0
    layer, _, _, *lines = capsys.readouterr().out.splitlines()
    assert layer.startswith("→ layer4 (5×5, 96 channels, NCHW): ")
    refused = [line for line in lines if line.startswith("×")]
    instead = {
        "refinecam": "Give --layer several times",
        "tis": "Use --method gradcam",
        "attention-rollout": "Use --method gradcam",
        "attention-gradient": "Use --method gradcam",
        "attnlrp": "Use --method lrp",
        "legrad": "Use --method gradcam",
    }
    assert [line.split()[1] for line in refused] == [*instead]
    for line, advice in zip(refused, instead.values(), strict=True):
        assert advice in line
        assert "`" not in line.replace("`camx layers`", ""), "flags, not fields"
    assert camx("methods", "test_resnet", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["task"]) == ("timm/test_resnet", "classification")
    assert found["layers"] == [{"name": "layer4", "grid": [5, 5], "channels": 96}]
    by_name = {one["name"]: one for one in found["methods"]}
    assert by_name["scorecam"]["cost"] == {"network": 97, "head": 0}
    assert by_name["legrad"]["usable"] is False
    assert by_name["legrad"]["cost"] is None
    assert "no sequence of tokens" in by_name["legrad"]["reason"]


@pytest.mark.parametrize("words", [("--task", "regression"), ("--layer", "layer4"), ("--image-size", "64")])
def test_options_of_a_network_need_one(words: tuple[str, ...], camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("methods", *words) == 2
    assert "MODEL is missing" in capsys.readouterr().err


def test_lines_are_broken_between_words_on_a_terminal_and_stay_whole_elsewhere() -> None:
    rows = [("METHOD", "COST", ""), ("short", "1", "one two three four five six"), ("a-longer-name", "1,000", "seven")]
    assert list(fitted(rows, None)) == [
        "METHOD         COST",
        "short          1      one two three four five six",
        "a-longer-name  1,000  seven",
    ]
    assert list(fitted(rows, 46)) == [
        "METHOD         COST",
        "short          1      one two three four five",
        "                      six",
        "a-longer-name  1,000  seven",
    ]
    assert list(fitted(rows, 30)) == [
        "METHOD         COST",
        "short          1",
        "    one two three four five",
        "    six",
        "a-longer-name  1,000  seven",
    ]
