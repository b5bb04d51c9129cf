"""Networks of TorchScript: layers and maps equal those of the original network; other features are errors by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli import CamxError, Network

from .odd_networks import SIDE, Small, quantised
from .test_variants import built, explainer, own

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit", "ignore:torch.ao", "ignore:.*reduce_range", "ignore:.*quant"
)
PICTURE = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
#: Methods that read only activations, gradients or scores.
METHODS = ("gradcam", "layercam", "eigencam", "fem", "scorecam", "ablationcam", "reciprocam", "dff", "saliency")
HIDDEN = (
    *("cam", "guided-backprop", "deconvnet", "guided-gradcam", "lrp"),
    *("tis", "attention-rollout", "attention-gradient", "attnlrp", "legrad"),
)


class Reused(Small):
    """One ReLU runs twice, and a part of the forward is its own method."""

    def __init__(self) -> None:
        super().__init__()
        self.act2 = self.act1

    def features(self, pictures: Tensor) -> Tensor:
        return self.conv(self.act1(self.stem(pictures))).tanh()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(nn.functional.relu(self.act1(self.features(pictures))).mean((2, 3)))


def traced(module: nn.Module) -> nn.Module:
    return torch.jit.trace(module, PICTURE)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "a sequence": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    ),
    "methods and a ReLU that runs twice": Reused,
    "a residual network": lambda: timm.create_model("test_resnet"),
    "a transformer": lambda: timm.create_model("test_vit", img_size=SIDE, patch_size=8),
}


@pytest.mark.parametrize("script", [torch.jit.script, traced])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_scripted_network_has_the_layers_and_maps_of_its_own(
    name: str, script: Callable[[nn.Module], nn.Module]
) -> None:
    if name == "a transformer" and script is torch.jit.script:
        pytest.skip("it calls functions of timm, which TorchScript hides")
    module = built(NETWORKS[name])
    expected, found = explainer(own(module), *METHODS), explainer(own(script(module)), *METHODS)
    assert (found.layer.name, found.layer.layout) == (expected.layer.name, expected.layer.layout)
    assert found(PICTURE)[0].problem == expected(PICTURE)[0].problem == ""
    for ours, theirs in zip(found(PICTURE)[0].maps, expected(PICTURE)[0].maps, strict=True):
        scale = float(np.abs(theirs.values).max())
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-3 * scale, err_msg=ours.method)
    replica = found.replica()(PICTURE)[0].maps
    np.testing.assert_allclose(replica[0].values, found(PICTURE)[0].maps[0].values, atol=1e-6)


@pytest.mark.parametrize("method", HIDDEN)
def test_methods_that_a_scripted_network_hides_are_refused_by_name(method: str) -> None:
    with pytest.raises(CamxError, match=f"`methods={method}` reads functions and weights .* hides: it is scripted"):
        explainer(own(traced(built(Small))), method)


def test_a_scripted_network_of_integers_runs_what_needs_no_gradient() -> None:
    module = quantised()
    methods = ("eigencam", "scorecam", "ablationcam", "reciprocam", "fem", "dff", "rise")
    expected, found = explainer(own(module), *methods), explainer(own(torch.jit.script(module)), *methods)
    assert found.layer.layout == expected.layer.layout
    for ours, theirs in zip(found(PICTURE)[0].maps, expected(PICTURE)[0].maps, strict=True):
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-4 * float(np.abs(theirs.values).max()))


def test_a_frozen_network_is_explained_from_outside() -> None:
    module = built(Small)
    frozen = torch.jit.freeze(torch.jit.script(module))

    def network() -> Network:
        return own(frozen)

    with pytest.raises(
        CamxError, match="scripted, so its layers cannot be observed.*rise`, saliency, smoothgrad or integrated"
    ):
        explainer(network())
    outside = ("saliency", "smoothgrad", "integrated-gradients", "rise")
    for ours, theirs in zip(
        explainer(network(), *outside)(PICTURE)[0].maps, explainer(own(module), *outside)(PICTURE)[0].maps
    ):
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-3 * float(np.abs(theirs.values).max()))
