"""Metrics of faithfulness against captum, pytorch-grad-cam and Quantus, on equal inputs; needs the extra `parity`."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cam_cli import ModelSpec, load_model
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.faithfulness.cells import enlarged, generator, heat, random_maps, ranks
from cam_cli.faithfulness.evaluator import Evaluator
from cam_cli.faithfulness.imputation import NOISE, imputed
from cam_cli.faithfulness.measures import ROAD_SHARES, adcc_scores, sensitivity_max
from cam_cli.faithfulness.options import FaithfulOptions

from .conftest import picture
from .networks import PLAIN, RedDetector, network
from .test_faithfulness import evaluated, normalised, scored

pytestmark = pytest.mark.extras


def imported(name: str) -> Any:
    """Imports the library, whose own deprecated imports are no errors here; skips the test without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


@pytest.mark.slow
def test_imputation_is_that_of_pytorch_grad_cam() -> None:
    road = imported("pytorch_grad_cam.metrics.road")
    torch.manual_seed(0)
    image, kept = torch.rand(3, 17, 13), torch.rand(17, 13) > 0.5
    kept[3:9, 2:8] = False
    # The public call does not run with NumPy 2.
    system, right = road.NoisyLinearImputer.setup_sparse_system(
        kept.float().numpy(), image.numpy(), road.neighbors_weights
    )
    theirs = np.linalg.solve(system.toarray(), right)
    found = imputed(image[None], ~kept[None, None])[0][:, ~kept]
    assert np.abs(found.T.numpy() - theirs).max() < 3e-3  # the noise that hides it has 0.01


def test_average_drop_and_increase_are_those_of_pytorch_grad_cam() -> None:
    """Theirs is the loss of probability; the paper's and ours is that loss as a share of the probability."""
    module = imported("pytorch_grad_cam.metrics.cam_mult_image")
    net = RedDetector().eval()
    x = torch.cat([normalised(picture(64, 64, seed=seed)) for seed in range(4)])
    cams = torch.rand(4, 1, 64, 64)

    def probability(pictures: Tensor) -> Tensor:
        with torch.no_grad():
            return net(pictures).softmax(1)[:, 0]

    before, after = probability(x), probability(x * cams)
    targets = [lambda scores: scores.softmax(-1)[0]] * 4
    with torch.no_grad():
        theirs = module.DropInConfidence()(x, cams[:, 0].numpy(), targets, net)
        raised = module.IncreaseInConfidence()(x, cams[:, 0].numpy(), targets, net)
    found = adcc_scores(before, after, torch.ones(4), torch.zeros(4)).scores
    assert (found["drop"] * before).numpy() == pytest.approx(theirs, abs=1e-6)
    assert found["increase"].tolist() == raised.tolist()


def test_sensitivity_is_that_of_captum() -> None:
    metrics = imported("captum.metrics")
    x = torch.rand(3, 1, 8, 8)
    noisy = [x + 0.02 * torch.rand(3, 1, 8, 8) for _ in range(4)]

    def explain(pictures: tuple[Tensor]) -> tuple[Tensor]:
        return (heat(pictures[0].square().sum(1))[:, None],)

    theirs = torch.stack(
        [
            metrics.sensitivity_max(explain, x, perturb_func=lambda _x, _radius, one=one: (one,), n_perturb_samples=1)
            for one in noisy
        ]
    ).amax(0)
    ours = sensitivity_max(heat(x[:, 0].square()), heat(torch.stack([one[:, 0].square() for one in noisy])))
    assert ours.numpy() == pytest.approx(theirs.numpy(), rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_deletion_with_the_mean_colour_is_pixel_flipping_of_quantus() -> None:
    """With as many features per step as a cell has pixels; Quantus leaves out the unchanged image."""
    quantus = imported("quantus")
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 4, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    grey = dataclasses.replace(PLAIN, mean=(0.5,), std=(0.5,))
    image = picture(64, 64, seed=3).convert("L").convert("RGB")
    engine = Evaluator(network(net, grey), FaithfulOptions(metrics=("deletion-mean",), steps=8, device="cpu"))
    found = scored(evaluated(engine, image)[0], "random")
    attributions = found.values.repeat(8, 0).repeat(8, 1)[None, None]
    metric = quantus.PixelFlipping(
        features_in_step=64 * 64 // 8, normalise=False, perturb_baseline=0.0, disable_warnings=True
    )
    (theirs,) = metric(
        model=net,
        x_batch=normalised(image)[:, :1].numpy(),
        y_batch=np.array([found.prediction.index]),
        a_batch=attributions,
        softmax=True,
        device="cpu",
    )
    assert found.curves["deletion_mean"][1:] == pytest.approx(theirs, abs=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_road_on_real_photos_is_that_of_the_equations_of_pytorch_grad_cam(data: Path) -> None:
    """EfficientNet-Lite0: every scored image, imputed by their sparse system and SciPy's solver, with our noise: the
    noise alone moves the probability of such smooth images by up to 0.06."""
    road, solver = imported("pytorch_grad_cam.metrics.road"), imported("scipy.sparse.linalg")
    weights = data / "weights" / "tf_efficientnet_lite0.safetensors"
    net = load_model(ModelSpec("tf_efficientnet_lite0", checkpoint=str(weights)))
    engine = Evaluator(net, FaithfulOptions(metrics=("road",), device="cpu"))
    files = sorted((data / "photos").glob("*.png"))[:2]
    photos = [Image.open(file).convert("RGB") for file in files]
    pictures = as_pictures(photos, net.preprocessing)
    mean, std = (torch.tensor(one)[:, None, None] for one in (net.preprocessing.mean, net.preprocessing.std))
    for photo, key, found in zip(photos, (one.source.key for one in pictures), engine.evaluate(pictures), strict=True):
        pixels = torch.from_numpy(np.array(net.preprocessing.apply(photo)[0])).permute(2, 0, 1).float() / 255
        x = (pixels - mean) / std
        own = scored(found)
        ties = random_maps([key], (7, 7), engine.options.seed, -1)
        order = ranks(torch.from_numpy(own.values)[None], ties)
        noise = NOISE * torch.randn(x.shape, generator=generator(key, engine.options.seed, -2))
        curves: dict[str, list[float]] = {"road_most": [], "road_least": []}
        for name, rank in zip(curves, (order, 48 - order)):
            for share in ROAD_SHARES:
                kept = ~enlarged(rank < round(share * 49), (224, 224))[0, 0]
                system, right = road.NoisyLinearImputer.setup_sparse_system(
                    kept.float().numpy(), x.numpy(), road.neighbors_weights
                )
                filled = x.clone()
                filled[:, ~kept] = torch.from_numpy(solver.spsolve(system.tocsc(), right).T).float()
                ours = imputed(x[None], ~kept[None, None])[0]
                assert (ours - filled).abs().max() < 0.005, (name, share)
                assert (ours - filled).abs().mean() < 0.001, (name, share)
                filled[:, ~kept] += noise[:, ~kept]
                with torch.no_grad():
                    curves[name].append(float(net.module(filled[None]).softmax(1)[0, own.prediction.index]))
        for name, values in curves.items():
            assert own.curves[name] == pytest.approx(values, abs=0.02)
        theirs = (np.mean(curves["road_least"]) - np.mean(curves["road_most"])) / 2
        assert own.scores["road"] == pytest.approx(theirs, abs=0.01)
