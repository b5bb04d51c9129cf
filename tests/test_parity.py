"""Maps equal those of pytorch-grad-cam and torch-cam where those are right (docs/methods.md lists where not).

They are not needed to use or test camx: `pip install '.[parity]'`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.methods import refined

from .test_engine import batch
from .test_methods import Small, explainer, small

CLASSES = [1, 4, 2]
SIDE = 24


def ours(name: str, layers: tuple[str, ...] = ("first",)) -> np.ndarray:
    engine: Explainer = explainer(parity_net(), name, layers=layers)
    maps = engine.explain_tensor(batch(3, side=SIDE), torch.tensor(CLASSES)[:, None])[1][name]
    return maps[:, 0].numpy()


def parity_net() -> nn.Module:
    """Scores as large as those of a trained network, because both libraries add constants to small numbers."""

    class TooLarge(Small):
        def forward(self, pictures: Tensor) -> Tensor:
            return super().forward(pictures) * 50

    return small(TooLarge)


def by_range(maps: np.ndarray) -> np.ndarray:
    """ReLU, then each map scaled to [0, 1], as in both libraries."""
    shown = np.maximum(maps, 0)
    low, high = (ends(axis=(1, 2), keepdims=True) for ends in (shown.min, shown.max))
    found: np.ndarray = (shown - low) / np.maximum(high - low, 1e-12)
    return found


GRAD_CAM = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "elementwise": "GradCAMElementWise",
    "kpcacam": "KPCA_CAM",
    "segeigencam": "SegEigenCAM",
}


@pytest.mark.extras
@pytest.mark.parametrize("name", [*GRAD_CAM, "ablationcam", "shapleycam"])
@pytest.mark.filterwarnings("ignore")
def test_maps_are_those_of_pytorch_grad_cam(name: str) -> None:
    library = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    module = parity_net()
    if name == "ablationcam":
        method = library.AblationCAM(module, [module.first])
    elif name == "shapleycam":
        method = library.ShapleyCAM(module, [module.first])
    else:
        method = getattr(library, GRAD_CAM[name])(module, [module.first])
    target = targets.ClassifierOutputReST if name == "shapleycam" else targets.ClassifierOutputTarget
    inputs, found = batch(3, side=SIDE), []
    for picture, wanted in zip(inputs, CLASSES):
        raw = captured(method, lambda p=picture, w=wanted: method(p[None], [target(w)]))
        sign = 1.0
        if name == "ablationcam":  # pytorch-grad-cam divides by the score
            sign = float(torch.sign(module(picture[None])[0, wanted].detach()))
        found.append(sign * raw)
    assert np.abs(by_range(np.stack(found)) - by_range(ours(name))).max() < 1e-4


def captured(method: Any, run: Any) -> np.ndarray:
    """The map of the library on the grid, before it is enlarged."""
    kept: list[np.ndarray] = []
    original = method.get_cam_image

    def keep(*args: Any, **more: Any) -> np.ndarray:
        kept.append(original(*args, **more))
        return kept[-1]

    method.get_cam_image = keep
    run()
    return np.asarray(kept[0][0])


TORCH_CAM = {"gradcam": "GradCAM", "xgradcam": "XGradCAM", "layercam": "LayerCAM"}


@pytest.mark.extras
@pytest.mark.parametrize("name", TORCH_CAM)
@pytest.mark.filterwarnings("ignore")
def test_maps_are_those_of_torch_cam(name: str) -> None:
    library = pytest.importorskip("torchcam.methods")
    module, found = parity_net(), []
    for picture, wanted in zip(batch(3, side=SIDE), CLASSES):
        with (
            warnings.catch_warnings(),
            getattr(library, TORCH_CAM[name])(module, "first", input_shape=(3, SIDE, SIDE)) as method,
        ):
            warnings.simplefilter("ignore")
            scores = module(picture[None].requires_grad_())
            found.append(method(wanted, scores, normalized=False)[0][0].detach().numpy())
    assert np.abs(by_range(np.stack(found)) - by_range(ours(name))).max() < 1e-4


class Fine(nn.Module):
    """A network with a target layer as fine as its images: the order of enlarging does not matter."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, 1, 1), nn.ReLU())
        self.fc = nn.Linear(6, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.first(pictures).tanh().mean((2, 3)) * 8)


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_sscam_is_that_of_torch_cam_under_the_same_noise() -> None:
    library = pytest.importorskip("torchcam.methods")
    module, inputs = small(Fine), batch(2, side=SIDE)
    noise = iter(torch.randn(10, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2)

    class Drawn:
        def sample(self, size: tuple[int, ...]) -> Tensor:
            return next(noise).expand(size)

    maps = explainer(module, "sscam", layers=("first",)).explain_tensor(inputs, torch.tensor([[1], [4]]))[1]["sscam"]
    with library.SSCAM(module, "first", input_shape=(3, SIDE, SIDE), num_samples=10, std=2.0) as method:
        method._distrib = Drawn()
        scores = module(inputs[:1])
        theirs = method(1, scores, normalized=False)[0].detach().numpy()
    assert np.abs(by_range(theirs) - by_range(maps[:1, 0].numpy())).max() < 1e-4


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_iscam_of_torch_cam_goes_on_beyond_the_masked_image() -> None:
    """torch-cam multiplies its masks by the running sum of n/N, up to 5.5 for ten steps: compared with ours with these
    factors."""
    library = pytest.importorskip("torchcam.methods")
    module, inputs = small(Fine), batch(2, side=SIDE)[:1]
    with library.ISCAM(module, "first", input_shape=(3, SIDE, SIDE)) as method:
        theirs = method(1, module(inputs), normalized=False)[0].detach().numpy()
    found = explainer(module, "iscam", layers=("first",)).explain_tensor(inputs, torch.tensor([[1]]))[0]

    def map_with(factors: list[float]) -> np.ndarray:
        channels = found.features[0]
        low, high = channels.amin((1, 2), keepdim=True), channels.amax((1, 2), keepdim=True)
        masks = ((channels - low) / (high - low))[:, None]
        with torch.no_grad():
            scores = torch.stack([module(inputs * masks * factor)[:, 1] for factor in factors]).mean(0)
        return (scores.softmax(0)[:, None, None] * channels).sum(0)[None].numpy()

    running = np.cumsum(np.arange(1, 11) / 10)
    assert running[-1] == pytest.approx(5.5)
    assert np.abs(by_range(theirs) - by_range(map_with(list(running)))).max() < 1e-4
    ours = explainer(module, "iscam", layers=("first",)).explain_tensor(inputs, torch.tensor([[1]]))[1]["iscam"]
    assert np.abs(by_range(ours[:, 0].numpy()) - by_range(map_with([n / 10 for n in range(1, 11)]))).max() < 1e-4


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kept", [13, 122])
def test_sess_is_that_of_pytorch_grad_cam_but_for_the_edges_of_windows(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """28 pixels have equal scales in both. pytorch-grad-cam mixes a map with zeros at the edges of its window; compared
    with our maps, placed so."""
    library = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    monkeypatch.setattr(refined, "KEPT", kept)
    module, inputs = small(Fine), batch(3, side=28)
    engine = explainer(module, "sess", layers=("first",), side=28)
    own = by_range(engine.explain_tensor(inputs, torch.tensor(CLASSES)[:, None])[1]["sess"][:, 0].numpy())

    class Placed(library.SESS):  # type: ignore[misc,name-defined]
        def paste_cam(self, cam: np.ndarray, place: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
            left, top, width, height = place
            found: np.ndarray = refined._placed(
                torch.from_numpy(cam)[None, None], [(height, width, top, left)], size, size
            )[0].numpy()
            return found

    def theirs(kind: type) -> np.ndarray:
        # Half a window more than are left out: pytorch-grad-cam rounds the number down.
        method = kind(module, [module.first], smooth=False, pre_filter_ratio=(122.5 - kept) / 122)
        return np.concatenate(
            [method(picture[None], [targets.ClassifierOutputTarget(c)]) for picture, c in zip(inputs, CLASSES)]
        )

    assert np.abs(theirs(Placed) - own).max() < 1e-4
    assert np.abs(theirs(library.SESS) - own).max() > 0.05


class Levels(nn.Module):
    """An early map as fine as the image, and a late one of half its size; both are zero where the image is.

    The scores are large, because the library adds 1e-6 to powers of their gradients at single positions.
    """

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(8, 6, 3, 2, 1, bias=False), nn.ReLU())
        self.fc = nn.Linear(6, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.late(self.early(pictures)).tanh().mean((2, 3))) * 5e4


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_refinecam_is_that_of_pytorch_grad_cam_where_each_map_has_a_zero() -> None:
    """It subtracts the minimum of each map, and enlarges to the size of the image: here that of the finest layer."""
    library = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    module, inputs = small(Levels), batch(3, side=SIDE)
    inputs[:, :, :8, :8] = 0
    engine = explainer(module, "refinecam", layers=("late", "early"))
    own = engine.explain_tensor(inputs, torch.tensor(CLASSES)[:, None])[1]["refinecam"][:, 0].numpy()
    assert own.shape == (3, SIDE, SIDE)
    assert all(float(one.min()) == 0 for one in own)

    def theirs(*layers: nn.Module) -> np.ndarray:
        method = library.RefineCAM(module, [*layers])
        return np.concatenate([method(x[None], [targets.ClassifierOutputTarget(c)]) for x, c in zip(inputs, CLASSES)])

    assert np.abs(theirs(module.late, module.early) - by_range(own)).max() < 1e-4
    assert np.abs(theirs(module.late) - by_range(own)).max() > 0.1, "the early layer matters"


@pytest.mark.extras
def test_where_torch_cam_is_wrong_we_do_not_follow() -> None:
    """Its Grad-CAM++ never divides by the denominator: α is g², and the map that of Σ ReLU(g)³."""
    library = pytest.importorskip("torchcam.methods")
    module, picture = parity_net(), batch(3, side=SIDE)[0]
    with warnings.catch_warnings(), library.GradCAMpp(module, "first", input_shape=(3, SIDE, SIDE)) as method:
        warnings.simplefilter("ignore")
        theirs = method(CLASSES[0], module(picture[None].requires_grad_()), normalized=False)[0].detach().numpy()
    assert np.abs(by_range(theirs) - by_range(ours("gradcam++")[:1])).max() > 1e-3
