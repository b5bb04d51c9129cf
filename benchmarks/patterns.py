"""Measures whether `camx patterns` flags planted marks, and only those. (docs/patterns.md)

    python -m benchmarks.patterns photos --data CAMX_TEST_DATA --work FOLDER [--trunks A,B] [--marks A,B]
    python -m benchmarks.patterns drawn --work FOLDER [--starts brief,longer,demo] [--doses 0.5,0 0.3,0.1]

photos: 720 photos of cats and dogs, with a mark pasted into a share of the cats and of the dogs. A linear head on the
pooled features of a trained trunk learns them, as in `camx train-gap`; features are computed once and kept in FOLDER.
drawn: scenes of the demo, and a network with all weights trained by `camx train-gap`.

For each setting, by pairs of images with the mark and without: the share of dogs that become cats, and the mean rise of
the log-odds of cat (whether the network uses it). Of the images predicted as cats the share with the mark, and the
share of those with a spot on it. Then precision and recall of the search for these images: by all patterns with the
flag for one place together; by the best cluster of maps (SpRAy: Lapuschkin et al. 2019, spectral clustering of pooled
maps, clusters by the eigengap); by a threshold on the share of the map at the border. The last two choose cluster and
threshold with the truth, the first does not.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from cam_cli import load_model
from cam_cli.audit.image_table import ImageTable
from cam_cli.maps.spots import peaks, projection, quantised
from cam_cli.models.options import ModelSpec
from cam_cli.outputs.spots import packed
from cam_cli.patterns.find import patterns_of
from cam_cli.patterns.spots import SpotTable

from .pattern_scores import Found, Use, doses_text, found_in, header, line, reach
from .patterns_drawn import STARTS, drawn_lines
from .planted_marks import DOSES, MARKS, SIDE

#: Folders without marks for each trunk: draws of seven tenths of the photos.
CLEAN = 5


class Trunk(NamedTuple):
    """A trained network: name, file, arguments, function of its features, mean and deviation of its pixels."""

    model: str
    checkpoint: str
    args: dict[str, str]
    features: Callable[[Any, torch.Tensor], torch.Tensor]
    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]


TRUNKS = {
    "squeezenet1_0": Trunk(
        "torchvision/squeezenet1_0", "squeezenet1_0.pth", {}, lambda module, x: module.features(x),
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
    ),
    "mobilenetv2_100": Trunk(
        "mobilenetv2_100", "mobilenetv2_100.safetensors", {"pad_type": "same"},
        lambda module, x: module.forward_features(x), 0.5, 0.5,
    ),
}  # fmt: skip


def features(work: Path, data: Path, name: str, marks: Sequence[str]) -> dict[str, np.ndarray]:
    """Features N×C×h×w of all photos with each mark and without, float16 on the disk."""
    trunk, found = TRUNKS[name], {}
    files = photos(data)
    network = None
    for mark in ("clean", *marks):
        path = work / f"{name}-{mark}.npy"
        if not path.exists():
            file = str(data / "weights" / trunk.checkpoint)
            network = network or load_model(ModelSpec(trunk.model, checkpoint=file, args=trunk.args))
            rng, parts = np.random.default_rng(5), []
            for start in range(0, len(files), 16):
                batch = [MARKS[mark](squashed(one), rng) for one in files[start : start + 16]]
                pixels = np.stack([np.asarray(one) for one in batch]).astype(np.float32) / 255
                x = torch.from_numpy((pixels - np.float32(trunk.mean)) / np.float32(trunk.std)).permute(0, 3, 1, 2)
                with torch.inference_mode():
                    parts.append(trunk.features(network.module.eval(), x).half().numpy())
            np.save(path, np.concatenate(parts))
        found[mark] = np.load(path, mmap_mode="r")
    return found


def squashed(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def photos(data: Path) -> list[Path]:
    return [path for part in ("train", "val") for path in sorted((data / "catsdogs" / part).glob("*/*"))]


class Head(NamedTuple):
    """A linear head on pooled features: weights 2×C, bias 2."""

    weight: np.ndarray
    bias: np.ndarray


def fitted(pooled: torch.Tensor, label: np.ndarray, train: np.ndarray) -> Head:
    """Cross-entropy with a little weight decay, to its minimum, on standardised features."""
    mean, std = pooled[train].mean(0), pooled[train].std(0) + 1e-2
    head = torch.nn.Linear(pooled.shape[1], 2)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimiser, target = torch.optim.LBFGS(head.parameters(), max_iter=60), torch.from_numpy(label)

    def step() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(((pooled - mean) / std)[train]), target[train])
        loss = loss + 1e-3 * head.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(step)
    weight = (head.weight / std).detach()
    return Head(weight.numpy(), (head.bias.detach() - (weight * mean).sum(1)).numpy())


def setting(
    stored: dict[str, np.ndarray], pooled: dict[str, torch.Tensor], mark: str, doses: tuple[float, float],
    label: np.ndarray, train: np.ndarray, chosen: np.ndarray, seed: int = 1,
) -> tuple[Use, Found]:  # fmt: skip
    """Plants the mark, fits a head, explains all chosen photos predicted as cats, and searches for the mark."""
    draws = np.random.default_rng(seed).random(len(label))
    has = np.where(label == 0, draws < doses[0], draws < doses[1])
    mixed = torch.where(torch.from_numpy(has)[:, None], pooled[mark], pooled["clean"])
    head = fitted(mixed, label, train & chosen)
    scores = {name: pooled[name].numpy() @ head.weight.T + head.bias for name in ("clean", mark)}
    dogs = ~train & (label == 1)
    flips = float((scores[mark][dogs].argmax(1) == 0).mean() - (scores["clean"][dogs].argmax(1) == 0).mean())
    predicted = (mixed.numpy() @ head.weight.T + head.bias).argmax(1)
    images = np.flatnonzero((predicted == 0) & chosen)
    maps, table = explained(stored, mark, has, head, images, (predicted == label).astype(float))
    odds = (scores[mark] - scores["clean"])[images][has[images]] @ (1, -1)
    use = Use(flips, float(odds.mean()) if len(odds) else 0.0)
    return use, found_in(patterns_of(table), maps, has[images], reach(table, 0, has[images], mark))


def explained(
    stored: dict[str, np.ndarray], mark: str, has: np.ndarray, head: Head, images: np.ndarray, correct: np.ndarray
) -> tuple[np.ndarray, SpotTable]:
    """CAMs for the class cat, N×h×w, and their spots as `camx explain --save spots` stores them."""
    matrix, maps = projection(head.weight.shape[1]), []
    owner, x, y, share, vectors = [], [], [], [], []
    for place, image in enumerate(images):
        one = np.asarray((stored[mark] if has[image] else stored["clean"])[image], np.float32)
        cam = np.einsum("chw,c->hw", one, head.weight[0])
        maps.append(cam)
        mean = one.mean((1, 2))
        found = peaks(cam, cam.shape)
        for peak in found:
            row, column = peak.cell(*cam.shape)
            vectors.append((head.weight[0] * (one[:, row, column] - mean)) @ matrix)
            owner.append(place)
            x.append(peak.x)
            y.append(peak.y)
            share.append(peak.strength / found[0].strength)
    count = len(images)
    none = np.zeros(count, bool)
    table = ImageTable(
        [str(image) for image in images], none, none, none, np.zeros(count, int), np.zeros(count, int),
        correct[images], ("cat", "dog"), {},
    )  # fmt: skip
    columns = (np.array(column, np.float32) for column in (x, y, share))
    bytes_ = np.stack([np.frombuffer(packed(one), np.uint8) for one in quantised(np.array(vectors))])
    return np.array(maps), SpotTable(
        table, np.array(owner), np.zeros(len(owner), int), *columns, bytes_, {0: np.arange(count)}, {0: 0}, "cam", 0
    )  # fmt: skip


def photo_lines(work: Path, data: Path, trunks: Sequence[str], marks: Sequence[str]) -> Iterator[str]:
    files = photos(data)
    label = np.array([0 if path.parent.name == "cat" else 1 for path in files])
    train = np.array([path.parents[1].name == "train" for path in files])
    for name in trunks:
        stored = features(work, data, name, marks)
        pooled = {mark: torch.from_numpy(np.asarray(one, np.float32).mean((2, 3))) for mark, one in stored.items()}
        everything = np.ones(len(label), bool)
        yield f"\n{name}\n\n" + header("mark", "cats, dogs with it")
        for mark in marks:
            for doses in DOSES:
                found = setting(stored, pooled, mark, doses, label, train, everything)
                yield line((mark, doses_text(doses)), *found)
        alarms = 0
        for seed in range(CLEAN):
            chosen = np.random.default_rng(seed).random(len(label)) < 0.7
            for turned in (label, 1 - label):
                alarms += setting(stored, pooled, "clean", (0, 0), turned, train, chosen)[1].flagged
        yield f"\nclean: {alarms} flagged patterns in {2 * CLEAN} folders"


def _some(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A parser of comma-separated known names."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        if not {*names} <= {*known}:
            raise argparse.ArgumentTypeError(f"{text!r}: give some of {','.join(known)}")
        return names

    return read


def _doses(text: str) -> tuple[float, float]:
    cats, dogs = text.split(",")
    return float(cats), float(dogs)


def main() -> None:
    marks = [name for name in MARKS if name != "clean"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("photos", "drawn"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CAMX_TEST_DATA", "")))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--trunks", type=_some(list(TRUNKS)), default=list(TRUNKS))
    parser.add_argument("--marks", type=_some(marks), default=marks)
    parser.add_argument("--starts", type=_some(list(STARTS)), default=list(STARTS))
    parser.add_argument("--doses", type=_doses, nargs="+", default=[*DOSES, (0.0, 0.0)])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    lines = (
        photo_lines(options.work, options.data, options.trunks, options.marks)
        if options.which == "photos"
        else drawn_lines(options.work, options.starts, options.doses)
    )
    for text in lines:
        print(text, flush=True)


if __name__ == "__main__":
    main()
