"""Evidence, several layers, smoothing and concepts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.methods.fusion import fused
from cam_cli.cams.methods.names import SMOOTHINGS
from cam_cli.cams.methods.registry import METHODS
from cam_cli.errors import CamxError

from .methods_support import Pooled, explainer, small
from .networks import network
from .test_engine import batch, shown


def test_methods_without_a_sign_are_refused_as_evidence_against() -> None:
    for name, method in METHODS.items():
        if not method.signed:
            with pytest.raises(CamxError, match=f"the maps of {name} do not separate evidence"):
                ExplainOptions(methods=(name,), evidence="against")


def test_several_layers_are_cut_at_the_earliest_and_fused() -> None:
    """Each layer's map equals that of the layer alone; together the maximum of both, relative to their peaks, at the
    finest grid."""
    module, pictures, classes = small(), batch(2, side=24), torch.tensor([[1], [2]])
    runs: list[int] = []
    module.first[0].register_forward_hook(lambda *_: runs.append(1))  # type: ignore[index]
    names = ("mix", "first.1")
    engine = explainer(module, "layercam", "gradcam", layers=names)
    runs.clear()
    _, maps = engine.explain_tensor(pictures, classes)
    assert len(runs) == 1
    for method in ("layercam", "gradcam"):
        alone = [
            explainer(module, method, layers=(name,)).explain_tensor(pictures, classes)[1][method] for name in names
        ]
        assert [one.shape[2:] for one in alone] == [(6, 6), (12, 12)]
        assert torch.allclose(maps[method], fused(alone), atol=1e-6)
        assert 0.99 < float(maps[method].max()) <= 1.0
    one = engine.explain(shown(1))[0].maps[0]
    assert one.layer == "mix+first.1"
    assert [layer for layer, _ in one.energies] == list(names)
    assert all(energy > 0 for _, energy in one.energies)


def test_maps_of_a_mirrored_image_are_turned_back_exactly() -> None:
    """A network that is symmetric under mirroring: the mean equals each map."""
    module = small(Pooled)
    with torch.no_grad():
        for convolution in (module.first[0], module.first[2]):  # type: ignore[index]
            convolution.padding, convolution.stride = (0, 0), (1, 1)  # type: ignore[union-attr]
            weight = convolution.weight  # type: ignore[union-attr]
            weight.copy_((weight + weight.flip(3)) / 2)
    pictures, classes = batch(2, side=24), torch.tensor([[1], [2]])
    plain, flip = (
        explainer(module, "gradcam", smooth=smooth).explain_tensor(pictures, classes)[1]["gradcam"]
        for smooth in ("none", "flip")
    )
    assert torch.allclose(plain, flip, atol=1e-6)
    other = explainer(small(), "gradcam", smooth="flip").explain_tensor(pictures, classes)[1]["gradcam"]
    mirrored = explainer(small(), "gradcam").explain_tensor(pictures.flip(-1), classes)[1]["gradcam"]
    clean = explainer(small(), "gradcam").explain_tensor(pictures, classes)[1]["gradcam"]
    assert torch.allclose(other, (clean + mirrored.flip(-1)) / 2, atol=1e-6)


@pytest.mark.parametrize("smooth", [name for name in SMOOTHINGS if name != "none"])
def test_smoothing_keeps_the_class_of_the_clean_image(smooth: str) -> None:
    class Sided(nn.Module):
        """Class 0 is light on the left, class 1 light on the right: the mirror image has the other class."""

        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(3, 1, 4, 4)
            nn.init.constant_(self.maps.weight, 1 / 48)

        def forward(self, pictures: Tensor) -> Tensor:
            left, right = self.maps(pictures).mean(2).flatten(1).chunk(2, dim=1)
            return torch.stack([left.mean(1) - right.mean(1), right.mean(1) - left.mean(1)], dim=1)

    picture = np.zeros((24, 24, 3), dtype=np.uint8)
    picture[:, :12] = 255
    from PIL import Image

    engine = explainer(Sided().eval(), "hirescam", smooth=smooth)
    (explanation,) = engine([Image.fromarray(picture)])
    (one,) = explanation.maps
    assert one.prediction.index == 0


def test_concepts_are_a_factorisation_with_classes() -> None:
    module = small()
    engine = explainer(module, "dff", layers=("first",))
    pictures = batch(2, side=24)
    traced, maps = engine.explain_tensor(pictures)
    assert maps["dff"].shape == (2, 4, 6, 6)
    assert (maps["dff"] >= 0).all()
    features = traced.features.flatten(2).transpose(1, 2)
    for image in range(2):
        places = maps["dff"][image].flatten(1).T
        parts = torch.linalg.lstsq(places, features[image]).solution
        rest = (features[image] - places @ parts).norm() / features[image].norm()
        *_, values, _ = torch.linalg.svd(features[image])
        best = values[4:].norm() / values.norm()
        assert rest <= best + 0.05, "nearly as good as any four maps can be"
    explanation = engine.explain(shown(1))[0]
    assert [m.concept for m in explanation.maps] == [1, 2, 3, 4]
    assert all(m.prediction == m.concept_classes[0] for m in explanation.maps)
    strength = [float(m.values.sum()) for m in explanation.maps]
    assert len(set(strength)) == 4


def test_a_concept_has_the_class_that_an_image_full_of_it_has() -> None:
    """Two colours, two channels, two classes: red is class 0 everywhere."""
    from PIL import Image

    from .networks import RedDetector, seeded

    picture = Image.new("RGB", (64, 64), "red")
    picture.paste("blue", (32, 0, 64, 64))
    found = Explainer(network(seeded(RedDetector)), ExplainOptions(methods=("dff",), device="cpu"))([picture])
    strong = [m for m in found[0].maps if m.values.max() > 0.1 * max(n.values.max() for n in found[0].maps)]
    for one in strong:
        left, right = one.values[:, :4].sum(), one.values[:, 4:].sum()
        assert one.prediction.index == (0 if left > right else 1)
    assert {one.prediction.index for one in strong} == {0, 1}
