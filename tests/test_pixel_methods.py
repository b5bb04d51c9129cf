"""Methods on the pixels: their shared work, and the sums that their papers promise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cam_cli.cams.methods import paths
from cam_cli.cams.methods.occlusion import WINDOWS, _windows
from cam_cli.cams.methods.segmented import reduced
from cam_cli.cams.methods.xrai import ranked
from cam_cli.cams.tracing import replay

from .definitions.pixels import diffused
from .methods_support import explainer, few_masks, small  # noqa: F401 - fixtures are found by their names
from .test_engine import batch

CLASSES = torch.tensor([[1, 3], [2, 0]])


def images_run(*names: str) -> int:
    """Runs the methods on two images; returns the number of images that the network has run."""
    module = small()
    engine, counts = explainer(module, *names), []
    module.first[0].register_forward_hook(lambda _m, inputs, _o: counts.append(len(inputs[0])))  # type: ignore[index]
    engine.explain_tensor(batch(2, side=24), CLASSES)
    return sum(counts)


@pytest.mark.parametrize(
    ("alone", "together"),
    [
        (("smoothgrad",), ("smoothgrad", "smoothgrad-squared", "vargrad")),
        (("xrai",), ("xrai", "integrated-gradients")),
    ],
)
def test_methods_that_share_work_share_forwards(alone: tuple[str, ...], together: tuple[str, ...]) -> None:
    assert images_run(*together) == images_run(*alone) > 2


def test_what_is_shared_is_that_of_the_classes_asked_for() -> None:
    trace = explainer(small(), "smoothgrad", "vargrad").trace(batch(2, side=24))
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        return len(calls)

    first = trace.replay.shared("x", torch.tensor([[1], [2]]), count)
    again = trace.replay.shared("x", torch.tensor([[1], [2]]), count)
    other = trace.replay.shared("x", torch.tensor([[1], [3]]), count)
    assert (first, again, other) == (1, 1, 2)
    assert trace.replay.shared("y", torch.tensor([[1], [3]]), count) == 3


def sums(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Sums B×T of the maps of two images, scores of the images, scores of black."""
    module, pictures = small(), batch(2, side=24)
    traced, maps = explainer(module, name).explain_tensor(pictures, CLASSES)
    with torch.no_grad():
        black = module(traced.replay.black.expand_as(pictures)).gather(1, CLASSES)  # type: ignore[union-attr]
    return maps[name].sum((2, 3)), traced.logits.gather(1, CLASSES), black


def test_guided_integrated_gradients_sum_to_the_difference_of_the_scores() -> None:
    found, scores, black = sums("guided-ig")
    assert torch.allclose(found, scores - black, atol=0.05 * float((scores - black).abs().max()))


def test_blur_integrated_gradients_sum_to_what_the_blur_takes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STEPS", 200)
    found, scores, _ = sums("blur-ig")
    module = small()
    with torch.no_grad():
        soft = module(paths.blurred(batch(2, side=24), 24 / 6)).gather(1, CLASSES)
    assert torch.allclose(found, scores - soft, atol=0.02 * float((scores - soft).abs().max()))


def test_gradient_shap_sums_to_the_mean_difference_from_images_of_one_colour() -> None:
    """Exact if the gradient is equal everywhere: in a linear network."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)).eval()
    pictures = batch(2, side=24)
    traced, maps = explainer(module, "gradient-shap").explain_tensor(pictures, CLASSES)
    colours = torch.rand(32, 1, 3, 1, 1, generator=torch.Generator().manual_seed(0))[:, 0] * 2 - 1
    with torch.no_grad():
        start = module(colours.expand(-1, -1, 24, 24)).mean(0)[CLASSES]
    wanted = traced.logits.gather(1, CLASSES) - start
    assert torch.allclose(maps["gradient-shap"].sum((2, 3)), wanted, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("deviation", [0.3, 1.0, 5.0])
def test_a_blur_is_heat_that_spreads_between_pixels(deviation: float) -> None:
    pictures = batch(2, side=24)[:, :, :17]
    slow = torch.stack([diffused(one.double(), deviation) for one in pictures])
    found = paths.blurred(pictures, deviation)
    assert torch.allclose(found, slow.float(), atol=1e-5)
    assert torch.allclose(found.mean((2, 3)), pictures.mean((2, 3)), atol=1e-6)
    dot = torch.zeros(1, 1, 101, 101)
    dot[..., 50, 50] = 1
    row = paths.blurred(dot, deviation)[0, 0].sum(0)
    assert float(row.min()) > -1e-6
    spread = (row * (torch.arange(101) - 50) ** 2).sum()
    assert float(spread) == pytest.approx(deviation**2, rel=1e-3)


@pytest.mark.parametrize("side", [4, 11, 24, 224, 299])
def test_windows_reach_from_edge_to_edge_and_leave_no_pixel_out(side: int) -> None:
    windows = _windows(side)
    assert windows.shape == (WINDOWS, side)
    assert windows.sum(1).unique().tolist() == [max(1, round(side / 8))]
    assert (windows.sum(0) > 0).all()
    assert windows[0, 0] == windows[-1, -1] == 1


def test_the_best_region_comes_first_and_a_worse_one_gets_what_is_left() -> None:
    values = torch.tensor([4.0, 2.0, 0.0, -2.0, 6.0, 1.0]).double()
    masks = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0]]).bool()
    assert ranked(values, masks, 1).tolist() == [4, 1, 1, -2, 6, 1]
    assert ranked(values, masks, 2).tolist() == [2, 2, 2, 5 / 3, 5 / 3, 5 / 3]


class Turned(nn.Module):
    """A network whose scores have the opposite sign."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pictures: Tensor) -> Tensor:
        return -self.module(pictures)


#: Their maps are odd functions of the score, or of the probability.
ODD = ("occlusion", "kernel-shap", "lime", "integrated-gradients", "gradient-shap", "blur-ig", "guided-ig")


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("name", [*ODD, "xrai"])
def test_evidence_against_is_that_of_the_score_with_its_sign_turned(name: str) -> None:
    module, pictures = small(), batch(2, side=24)
    against, both, plain = (
        explainer(module, name, evidence=evidence).explain_tensor(pictures, CLASSES)[1][name]
        for evidence in ("against", "both", "for")
    )
    assert torch.allclose(both, plain.clamp_min(0) - against.clamp_min(0))
    if name in ODD:
        assert torch.allclose(against, -plain, atol=1e-5 * float(plain.abs().max()))
    else:
        turned = explainer(Turned(module).eval(), name).explain_tensor(pictures, CLASSES)[1][name]
        assert torch.allclose(against, turned, atol=1e-5 * float(plain.abs().max()))
        assert not torch.allclose(against, -plain, atol=0.1 * float(plain.abs().max()))


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("name", ["occlusion", "lime"])
def test_several_labels_have_probabilities_of_their_own(name: str) -> None:
    """With sigmoids, a class does not gain by what another one loses."""
    pictures = batch(1, side=24)
    shares, own = (
        explainer(small(), name, multi_label=several).explain_tensor(pictures, torch.tensor([[0, 1, 2, 3, 4]]))[1][name]
        for several in (False, True)
    )
    assert float(shares.sum(1).abs().max()) < 1e-4 * float(shares.abs().max())
    assert float(own.sum(1).abs().max()) > 0.1 * float(own.abs().max())


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("name", ["occlusion", "kernel-shap", "lime"])
def test_never_more_images_at_once_than_memory_allows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, pictures = small(), batch(2, side=24)
    engine = explainer(module, name)
    whole = engine.explain_tensor(pictures, CLASSES)[1][name]
    sizes: list[int] = []
    module.mix.register_forward_hook(lambda _m, inputs, _o: sizes.append(len(inputs[0])))  # type: ignore[operator]
    monkeypatch.setattr(replay, "BUDGET", 5 * 3 * 24 * 24 * 4 * 32)
    parts = engine.explain_tensor(pictures, CLASSES)[1][name]
    assert max(sizes) == 5
    assert torch.allclose(parts, whole, atol=1e-4 * float(whole.abs().max()))


def test_a_large_image_is_segmented_at_224_pixels() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5))
    pictures = batch(1, side=448)[:, :, :320]
    found = reduced(pictures)
    assert found.shape == (1, 3, 160, 224)
    assert torch.allclose(found, pictures.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)), atol=1e-6)
    maps = explainer(module.eval(), "xrai", side=448).explain_tensor(batch(1, side=448), torch.tensor([[1]]))[1]["xrai"]
    assert maps.shape == (1, 1, 224, 224)
    assert maps.isfinite().all()
