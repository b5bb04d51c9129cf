"""Runs every method and engine path on the stand-in device of `away_device`: `python -m tests.away_cases PREFIX…`.

Prints JSON: the error of each case whose name begins with one of the prefixes, "" for a case without one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor

from cam_cli import Explainer, ExplainOptions
from cam_cli.cams.engine import batches
from cam_cli.cams.engine.device_overlays import OverlayRenderer
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.cams.methods import coalitions, guided_path, perturbation, token_sampling
from cam_cli.cams.methods.names import METHOD_NAMES
from cam_cli.errors import CamxError
from cam_cli.evaluation.faithful_scores import METRICS
from cam_cli.faithfulness.evaluator import Evaluator
from cam_cli.faithfulness.options import FaithfulOptions
from cam_cli.features.options import ReadOptions
from cam_cli.features.reader import FeatureReader
from cam_cli.images.geometry import Preprocessing
from cam_cli.images.picture import Picture
from cam_cli.maps.colormaps import palette
from cam_cli.models.network import Network
from cam_cli.training import settings
from cam_cli.training.job import TrainJob
from cam_cli.training.run import train

from .away_device import NAME, Away, Present, register
from .training_support import RESNET, make_data

_SIDES = {"test_resnet": 64, "test_vit": 160}
#: Methods that need the attention of a transformer, or differ on one.
_TOKENS = ("gradcam", "attention-rollout", "attention-gradient", "attnlrp", "legrad", "reciprocam", "tis")


def model(name: str, classes: int = 7) -> Network:
    torch.manual_seed(0)
    square, half = (_SIDES[name],) * 2, (0.5,) * 3
    module = timm.create_model(name, num_classes=classes).eval()
    return Network(module, name, Preprocessing(square, square, "squash", "bilinear", half, half))


def batch(name: str) -> Tensor:
    return torch.randn(2, 3, _SIDES[name], _SIDES[name], generator=torch.Generator().manual_seed(1))


def explainer(name: str, device: str, **options: Any) -> Explainer:
    return Explainer(model(name), ExplainOptions(device=device, **{"precision": "fp32", **options}))


def photos(network: Network) -> list[Picture]:
    chance = np.random.default_rng(0)
    images = [Image.fromarray(chance.integers(0, 256, (90, 120, 3), np.uint8)) for _ in range(3)]
    return as_pictures(images, network.preprocessing)


def maps_of(name: str, method: str, precision: str = "fp32") -> Callable[[], None]:
    """Maps of two classes on the device; in float32 equal to those of the CPU, which computes them."""

    def case() -> None:
        inputs, classes = batch(name), torch.tensor([[1, 4], [2, 0]])
        ours = explainer(name, NAME, methods=(method,), precision=precision)
        trace, maps = ours.explain_tensor(inputs.to(NAME), classes.to(NAME))
        assert isinstance(trace.logits, Away), "logits have left the device"
        assert isinstance(maps[method], Away), "maps have left the device"
        found = maps[method].cpu()
        if precision != "fp32":
            assert found.dtype == torch.float32, found.dtype
            assert bool(found.isfinite().all())
            return
        other = explainer(name, "cpu", methods=(method,))
        wanted = other.explain_tensor(inputs, classes)[1][method]
        torch.testing.assert_close(found, wanted, rtol=0, atol=max(1e-6, 1e-5 * float(wanted.abs().max())))

    return case


def explained(**options: Any) -> Callable[[], None]:
    """Explanations of images, with maps and probabilities on the host and equal to those of the CPU."""

    def case() -> None:
        spots = options.pop("spots", False)
        found, wanted = (
            Explainer(one, ExplainOptions(device=device, precision="fp32", **options), spots=spots).explain(photos(one))
            for device, one in ((NAME, model("test_resnet")), ("cpu", model("test_resnet")))
        )
        for ours, other in zip(found, wanted, strict=True):
            assert not ours.problem, ours.problem
            assert [one.index for one in ours.ranking] == [one.index for one in other.ranking]
            assert len(ours.maps) == len(other.maps) > 0
            for mine, known in zip(ours.maps, other.maps, strict=True):
                top = float(np.abs(known.values).max())
                np.testing.assert_allclose(mine.values, known.values, rtol=0, atol=1e-5 * top)

    return case


def replica() -> None:
    ours = explainer("test_resnet", NAME)
    inputs = batch("test_resnet").to(NAME)
    wanted, found = (one.explain_tensor(inputs)[1]["gradcam"].cpu() for one in (ours, ours.replica()))
    assert torch.equal(wanted, found)


def overlays() -> None:
    """Draws maps over canvases on the device; one canvas is upright."""
    network = model("test_resnet")
    ours = Explainer(network, ExplainOptions(device=NAME, precision="fp32"))
    pictures = photos(network)
    found = ours.explain(pictures)
    canvases = [torch.tensor(picture.canvas).to(NAME) for picture in pictures]
    drawn = OverlayRenderer(palette("turbo"), 0.5, 32)(found, canvases)
    assert all(isinstance(one.maps[0].overlay, np.ndarray) for one in drawn)


def evaluated() -> None:
    network = model("test_resnet")
    options = FaithfulOptions(
        methods=("gradcam", "reciprocam"), metrics=tuple(METRICS), steps=4, draws=2, device=NAME, precision="fp32"
    )
    for one in Evaluator(network, options).evaluate(photos(network)):
        assert not one.problem, one.problem


def read() -> None:
    network = model("test_resnet")
    for one in FeatureReader(network, ReadOptions(device=NAME, precision="fp32")).read(photos(network)):
        assert not one.problem, one.problem


def several_labels() -> None:
    explained(multi_label=True, threshold=0.3)()


def one_logit() -> None:
    ours = Explainer(model("test_resnet", 1), ExplainOptions(device=NAME, precision="fp32"))
    assert all(not one.problem for one in ours.explain(photos(ours.network)))


def trained() -> None:
    """Trains a head on cached features, from features to the best epoch."""
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), {"blue": 8, "red": 8}, {"blue": 2, "red": 2})
        made = train(TrainJob(folder, RESNET, f"{folder}/out", epochs=2, batch_size=8, device=NAME, workers=1))
        assert len(made.history) == 2


def misplaced() -> None:
    """The device rejects a tensor on the host next to one on the device, and reading its pixels on the host."""
    there, here = torch.ones(3, device=NAME), torch.ones(3)
    for wrong in (lambda: there + here, lambda: here[there > 0], lambda: there.numpy(), lambda: np.asarray(there)):
        try:
            wrong()
        except (RuntimeError, TypeError):
            continue
        raise AssertionError("it was not refused")
    assert (there * 2).tolist() == [2, 2, 2] == (there + torch.tensor(1.0)).cpu().numpy().tolist()


def cases() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "device", misplaced
    for precision in ("fp32", "bf16", "fp16"):
        yield from ((f"{precision} {one}", maps_of("test_resnet", one, precision)) for one in METHOD_NAMES)
        yield from ((f"{precision} vit {one}", maps_of("test_vit", one, precision)) for one in _TOKENS)
    yield "path explain", explained(targets=("top:2",))
    yield "path smooth", explained(smooth="aug")
    yield "path both", explained(evidence="both")
    yield "path against", explained(evidence="against", methods=("gradcam", "layercam"))
    yield "path layers", explained(layers=("layer3", "layer4"), methods=("gradcam", "scorecam"))
    yield "path spots", explained(spots=True)
    yield "path labels", several_labels
    yield "path one logit", one_logit
    yield "path concepts", explained(methods=("dff", "saliency"))
    yield "path replica", replica
    yield "path overlays", overlays
    yield "path evaluate", evaluated
    yield "path activations", read
    yield "path training", trained


def main(prefixes: tuple[str, ...]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    device, find = register(), batches.find_device
    for module in (batches, settings):
        module.find_device = lambda name: device if name.startswith(NAME) else find(name)
    perturbation.MASKS, token_sampling.MASKS, coalitions.SAMPLES, guided_path.STEPS = 16, 16, 200, 4
    results = {}
    for name, case in cases():
        if name.startswith(prefixes):
            try:
                with Present():
                    case()
                results[name] = ""
            except CamxError as error:
                # A method that does not apply to this network; the test knows which.
                results[name] = f"refused: {error}"
            except Exception as error:
                steps = [f"{one.filename}:{one.lineno}" for one in traceback.extract_tb(error.__traceback__)]
                results[name] = f"{type(error).__name__}: {str(error)[:300]}, {steps[-6:]}"
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
