"""Maps on the pixels equal those of captum and of PAIR's saliency, the library of the authors of Blur IG, Guided IG and XRAI."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cam_cli.cams.methods import guided_path, noisy_copies, paths, segmented, xrai

from .test_engine import batch
from .test_methods import explainer
from .test_parity import CLASSES, parity_net

SIDE = 32


def ours(name: str) -> np.ndarray:
    maps = explainer(parity_net(), name, side=SIDE).explain_tensor(batch(3, side=SIDE), torch.tensor(CLASSES)[:, None])
    return maps[1][name][:, 0].numpy()


def assert_equal(found: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-4) -> None:
    assert found.shape == theirs.shape
    assert np.abs(found - theirs).max() <= tolerance * np.abs(theirs).max() > 0


@pytest.mark.extras
def test_occlusion_is_that_of_captum() -> None:
    library = pytest.importorskip("captum.attr")
    module = parity_net()
    method = library.Occlusion(lambda x: module(x).softmax(1))
    found = [
        method.attribute(one[None], (3, 4, 4), strides=(3, 2, 2), target=wanted, baselines=0)[0, 0].detach().numpy()
        for one, wanted in zip(batch(3, side=SIDE), CLASSES)
    ]
    assert_equal(ours("occlusion"), np.stack(found))


@pytest.mark.extras
@pytest.mark.parametrize(("name", "kind"), [("smoothgrad-squared", "smoothgrad_sq"), ("vargrad", "vargrad")])
def test_moments_of_noisy_gradients_are_those_of_captum(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the mean over many copies, because captum draws others. The maximum over the colours is ours."""
    library = pytest.importorskip("captum.attr")
    monkeypatch.setattr(noisy_copies, "SAMPLES", 3000)
    torch.manual_seed(1)
    method = library.NoiseTunnel(library.Saliency(parity_net()))
    found = []
    for one, wanted in zip(batch(3, side=SIDE), CLASSES):
        noise = float(noisy_copies.NOISE * (one.max() - one.min()))
        theirs = method.attribute(
            one[None], nt_type=kind, nt_samples=3000, nt_samples_batch_size=500, stdevs=noise, target=wanted, abs=False
        )
        found.append(theirs[0].amax(0).detach().numpy())
    assert_equal(ours(name), np.stack(found), 0.2)
    for one, other in zip(ours(name), found):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99


@pytest.mark.extras
def test_gradient_shap_is_that_of_captum(monkeypatch: pytest.MonkeyPatch) -> None:
    """With equal images of one colour and equal places on the path, which captum draws itself."""
    library = pytest.importorskip("captum.attr._core.gradient_shap")
    draw = torch.Generator().manual_seed(0)
    colours = torch.rand(32, 3, 1, 1, generator=draw) * 2 - 1
    shares = ((torch.arange(32) + torch.rand(32, generator=draw)) / 32).numpy()
    monkeypatch.setattr(library.np.random, "uniform", lambda *_: shares)
    method = library.InputBaselineXGradient(parity_net())
    found = [
        method.attribute(one.expand(32, -1, -1, -1), colours.expand(-1, -1, SIDE, SIDE), target=wanted).mean(0).sum(0)
        for one, wanted in zip(batch(3, side=SIDE), CLASSES)
    ]
    assert_equal(ours("gradient-shap"), torch.stack(found).detach().numpy())


def gradients(wanted: int) -> Any:
    """A model in the form that PAIR's library calls."""
    module = parity_net().double()

    def call(values: np.ndarray, *_: object, **__: object) -> dict[str, np.ndarray]:
        leaf = torch.from_numpy(np.asarray(values, np.float64)).permute(0, 3, 1, 2).requires_grad_()
        (gradient,) = torch.autograd.grad(module(leaf)[:, wanted].sum(), leaf)
        return {"INPUT_OUTPUT_GRADIENTS": gradient.permute(0, 2, 3, 1).numpy()}

    return call


def as_theirs(picture: Tensor) -> np.ndarray:
    found: np.ndarray = picture.double().permute(1, 2, 0).numpy()
    return found


@pytest.mark.extras
def test_guided_integrated_gradients_are_those_of_its_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("saliency.core.guided_ig")
    quantile = np.quantile
    # numpy has renamed this argument.
    monkeypatch.setattr(library.np, "quantile", lambda *args, interpolation: quantile(*args, method=interpolation))
    found = [
        library.GuidedIG().GetMask(
            as_theirs(one),
            gradients(wanted),
            x_baseline=np.full((SIDE, SIDE, 3), -1.0),
            x_steps=guided_path.STEPS,
            fraction=guided_path.FRACTION,
            max_dist=guided_path.DISTANCE,
        )
        for one, wanted in zip(batch(3, side=SIDE), CLASSES)
    ]
    assert_equal(ours("guided-ig"), np.stack(found).sum(-1), 1e-3)


@pytest.mark.extras
def test_blur_integrated_gradients_are_those_of_its_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many steps, because the steps differ; with our blur, which mirrors the edges."""
    library = pytest.importorskip("saliency.core.blur_ig")

    def blur(picture: np.ndarray, deviation: float) -> np.ndarray:
        found: np.ndarray = paths.blurred(torch.from_numpy(picture.transpose(2, 0, 1))[None], deviation)[0].numpy()
        return found.transpose(1, 2, 0)

    monkeypatch.setattr(library, "gaussian_blur", blur)
    monkeypatch.setattr(paths, "STEPS", 300)
    found = [
        library.BlurIG().GetMask(as_theirs(one), gradients(wanted), max_sigma=SIDE / 6, steps=3000, grad_step=1e-3)
        for one, wanted in zip(batch(3, side=SIDE), CLASSES)
    ]
    assert_equal(ours("blur-ig"), np.stack(found).sum(-1), 0.02)


@pytest.mark.extras
def test_kernel_shap_is_the_shapley_value_of_captum(monkeypatch: pytest.MonkeyPatch) -> None:
    """captum iterates over all orders of few superpixels."""
    library = pytest.importorskip("captum.attr")
    monkeypatch.setattr(segmented, "SUPERPIXELS", 3)
    module = parity_net()
    labels = segmented.superpixels_of(
        explainer(module, "kernel-shap", side=SIDE).replay(batch(3, side=SIDE)), torch.tensor(CLASSES)
    )
    assert all(3 <= int(one.max()) + 1 <= 7 for one in labels)
    found = [
        library.ShapleyValues(module).attribute(one[None], feature_mask=mask[None, None], target=wanted)[0, 0]
        for one, mask, wanted in zip(batch(3, side=SIDE), labels, CLASSES)
    ]
    assert_equal(ours("kernel-shap"), torch.stack(found).detach().numpy())


@pytest.mark.extras
def test_lime_is_that_of_captum_with_the_samples_that_we_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("captum.attr")
    models = pytest.importorskip("captum._utils.models.linear_model")
    module, found = parity_net(), []
    masks = segmented.superpixels_of(
        explainer(module, "lime", side=SIDE).replay(batch(3, side=SIDE)), torch.tensor([0])
    )

    def similarity(_inputs: Tensor, _changed: Tensor, row: Tensor, **_: object) -> Tensor:
        distance = 1 - torch.nn.functional.cosine_similarity(row.double(), torch.ones_like(row.double()))
        return (-(distance**2) / 0.25**2).exp().sqrt()

    for one, mask, wanted in zip(batch(3, side=SIDE), masks, CLASSES):
        players = int(mask.max()) + 1
        rows = (torch.rand(1000, players, generator=torch.Generator().manual_seed(0)) < 0.5).float()
        rows[0] = 1
        drawn = iter(rows)
        method = library.LimeBase(
            lambda x: module(x).softmax(1),
            models.SkLearnRidge(alpha=1.0),
            similarity,
            lambda *_, drawn=drawn, **__: next(drawn)[None],
            perturb_interpretable_space=True,
            from_interp_rep_transform=lambda row, inputs, mask=mask, **_: inputs * row[0][mask],
            to_interp_rep_transform=None,
        )
        values = method.attribute(one[None], target=wanted, n_samples=1000)
        found.append(values[0][mask].numpy())
    assert_equal(ours("lime"), np.stack(found), 1e-3)


@pytest.mark.extras
def test_regions_are_ranked_as_their_authors_do() -> None:
    library = pytest.importorskip("saliency.core.xrai")
    draw = torch.Generator().manual_seed(3)
    values = torch.randn(64, 64, generator=draw).double()
    corners = torch.randint(0, 40, (60, 2), generator=draw)
    masks = torch.zeros(60, 64, 64, dtype=torch.bool)
    for mask, (top, left) in zip(masks, corners.tolist()):
        mask[top : top + 16, left : left + 20] = True
    theirs = library.XRAI().GetMask(values.numpy(), None, base_attribution=values.numpy(), segments=list(masks.numpy()))
    assert_equal(xrai.ranked(values.flatten(), masks.flatten(1), 50).view(64, 64).numpy(), theirs, 1e-9)
