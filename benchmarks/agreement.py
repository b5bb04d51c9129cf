"""Compares maps and scores of other backends and precisions with torch's in float32, on images with real weights.

    python -m benchmarks.agreement PHOTOS --model torchvision/squeezenet1_0 --checkpoint squeezenet1_0.pth

For each way: the number of images with the same predicted class, the least and the median correlation of their Grad-CAM
with that of float32 (for the class that float32 predicts), and the largest difference of a probability.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions

_BATCH = 8


def explained(explainer: Explainer, batches: list[Tensor], classes: list[Tensor] | None) -> tuple[Tensor, np.ndarray]:
    """Probabilities N×K and maps N×h×w of all images."""
    found = [
        explainer.explain_tensor(batch, None if classes is None else one)
        for batch, one in zip(batches, classes or [torch.empty(0)] * len(batches))
    ]
    probabilities = torch.cat([trace.logits.softmax(1) for trace, _ in found])
    return probabilities, torch.cat([maps["gradcam"][:, 0] for _, maps in found]).clamp(min=0).numpy()


def agreement(wanted: tuple[Tensor, np.ndarray], found: tuple[Tensor, np.ndarray]) -> dict[str, Any]:
    """Compares two results of `explained`."""
    same = wanted[0].argmax(1) == found[0].argmax(1)
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(wanted[1], found[1]) if a.any() and b.any()]
    correlations = [float(np.corrcoef(a, b)[0, 1]) for a, b in pairs]
    return {
        "same class": f"{int(same.sum())} of {len(same)}",
        "least correlation": round(min(correlations), 6),
        "median correlation": round(float(np.median(correlations)), 6),
        "largest difference of a probability": float(f"{(wanted[0] - found[0]).abs().max():.2g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder")
    parser.add_argument("--model", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--model-arg", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--mean", type=float, help="of every channel, and the standard deviation")
    parser.add_argument("--ways", nargs="+", default=["openvino:fp32", "torch:bf16", "openvino:bf16"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    given = {} if options.mean is None else {"mean": (options.mean,), "std": (options.mean,)}
    args = dict(one.split("=", 1) for one in options.model_arg)
    spec = ModelSpec(
        options.model, checkpoint=options.checkpoint, args=args, preprocessing=PreprocessingOptions(**given)
    )
    network = load_model(spec)
    plain = Explainer(network, ExplainOptions(device="cpu", precision="fp32", backend="torch"))
    paths = sorted(one for one in options.images.iterdir() if one.suffix in (".png", ".jpg"))
    pictures = as_pictures([Image.open(path).convert("RGB") for path in paths], network.preprocessing)
    batches = [plain._runner.inputs(pictures[i : i + _BATCH]) for i in range(0, len(pictures), _BATCH)]
    wanted = explained(plain, batches, None)
    classes = list(wanted[0].argmax(1, keepdim=True).split(_BATCH))
    for way in options.ways:
        backend, precision = way.split(":")
        engine = Explainer(network, ExplainOptions(device="cpu", precision=precision, backend=backend))
        if engine.backend != backend:
            print(f"{way}: not measured. {engine.network.warnings[-1]}", flush=True)
            continue
        print(f"{way}: {agreement(wanted, explained(engine, batches, classes))}", flush=True)


if __name__ == "__main__":
    main()
