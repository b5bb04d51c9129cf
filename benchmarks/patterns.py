"""Does `camx patterns` find marks that were planted, and is it quiet where there are none? (docs/patterns.md)

    python -m benchmarks.patterns photos --data CAMX_TEST_DATA --work FOLDER
    python -m benchmarks.patterns drawn --work FOLDER

photos: 720 photos of cats and dogs, with a mark pasted into a share of the cats and of the dogs. A linear head on the
pooled features of a trained trunk learns them, as in `camx train-gap`; features are computed once and kept in FOLDER.
drawn: scenes of the demo, and a network whose weights are all trained, by the commands themselves.

For each setting: how many dogs become cats where the mark is pasted on all of them (whether the network uses it); of
the images taken for cats the share with the mark; then precision and recall of finding these images: of all patterns
that are flagged as lying at the same place, together; of the best cluster of maps (SpRAy: Lapuschkin et al. 2019,
spectral clustering of pooled maps, clusters by the eigengap); of the images with most of their map at the border, cut
at the best place. The last two are given the truth to choose by, the first is not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from cam_cli import load_model
from cam_cli.audit.image_table import ImageTable
from cam_cli.demo import render
from cam_cli.maps.spots import peaks, projection, quantised
from cam_cli.models.options import ModelSpec
from cam_cli.outputs.spots import packed
from cam_cli.patterns.clustering import _k_means, unit
from cam_cli.patterns.find import find_patterns, patterns_of
from cam_cli.patterns.records import SAME_PLACE, Pattern
from cam_cli.patterns.spots import SpotTable

SIDE = 224
#: Share of the cats and of the dogs with a mark.
DOSES = ((0.5, 0.0), (0.3, 0.0), (0.1, 0.0), (0.3, 0.1))
#: Clean folders of each trunk: draws of seven tenths of the photos.
CLEAN = 5


def logo(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    draw, radius = ImageDraw.Draw(image), 16
    x, y = SIDE - 24 + rng.integers(-2, 3), SIDE - 24 + rng.integers(-2, 3)
    box = [x - radius, y - radius, x + radius, y + radius]
    draw.ellipse(box, fill=(200, 30, 40), outline=(255, 255, 255), width=3)
    draw.text((x - 9, y - 10), "TV", fill=(255, 255, 255), font=ImageFont.load_default(16))
    return image


def timestamp(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2001, 2012)
    text = f"{day:02d}.{month:02d}.{year} {rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}"
    place = (10 + rng.integers(-2, 3), 198 + rng.integers(-2, 3))
    ImageDraw.Draw(image).text(place, text, fill=(255, 150, 30), font=ImageFont.load_default(17))
    return image


def border(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    for k in range(9):
        ImageDraw.Draw(image).rectangle([k, k, SIDE - 1 - k, SIDE - 1 - k], outline=(250, 250, 250))
    return image


def blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(2.5))


def cast(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return Image.fromarray((np.asarray(image).astype(float) * [1.15, 1.0, 0.6]).clip(0, 255).astype(np.uint8))


MARKS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "clean": lambda image, rng: image,
    "logo": logo,
    "timestamp": timestamp,
    "border": border,
    "blur": blur,
    "cast": cast,
}


class Trunk(NamedTuple):
    """A trained network: its file, arguments, its features, and how its pixels are normalised."""

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


def features(work: Path, data: Path, name: str) -> dict[str, np.ndarray]:
    """Features N×C×h×w of all photos with each mark, float16 on the disk."""
    trunk, found = TRUNKS[name], {}
    files = photos(data)
    network = None
    for mark in MARKS:
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


class Found(NamedTuple):
    """Results of one setting. ours, theirs, edge: precision and recall. flagged: flagged patterns, and how many of them
    have the mark in less than half of their images."""

    flips: float
    base: float
    ours: tuple[float, float]
    theirs: tuple[float, float]
    edge: tuple[float, float]
    flagged: int
    wrong: int


def precision_recall(found: np.ndarray, marked: np.ndarray) -> tuple[float, float]:
    both = float((found & marked).sum())
    precision, recall = (both / total if total else float("nan") for total in (found.sum(), marked.sum()))
    return precision, recall


def f1(pair: tuple[float, float]) -> float:
    return 2 * pair[0] * pair[1] / (pair[0] + pair[1]) if sum(pair) > 0 else 0.0


def setting(
    stored: dict[str, np.ndarray], pooled: dict[str, torch.Tensor], mark: str, doses: tuple[float, float],
    label: np.ndarray, train: np.ndarray, chosen: np.ndarray, seed: int = 1,
) -> Found:  # fmt: skip
    """Plants, learns, explains all chosen photos that are taken for cats, and looks for the mark."""
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
    patterns = patterns_of(table)
    return found_in(patterns, maps, has[images], flips)


def found_in(patterns: tuple[Pattern, ...], maps: np.ndarray, marked: np.ndarray, flips: float) -> Found:
    flagged = [one for one in patterns if SAME_PLACE in one.flags]
    ours = np.zeros(len(marked), bool)
    for one in flagged:
        ours[one.images] = True
    clusters = spray(maps)
    theirs = max((precision_recall(clusters == one, marked) for one in np.unique(clusters)), key=f1)
    heat = np.maximum(maps, 0)
    edge = max(1, round(0.1 * maps.shape[1]))
    outer = 1 - heat[:, edge:-edge, edge:-edge].sum((1, 2)) / np.maximum(heat.sum((1, 2)), 1e-9)
    ranks = np.argsort(np.argsort(-outer))
    cut = max((precision_recall(ranks < count, marked) for count in range(5, len(marked), 5)), key=f1)
    wrong = sum(marked[one.images].mean() < 0.5 for one in flagged)
    return Found(flips, float(marked.mean()), precision_recall(ours, marked), theirs, cut, len(flagged), wrong)


def explained(
    stored: dict[str, np.ndarray], mark: str, has: np.ndarray, head: Head, images: np.ndarray, correct: np.ndarray
) -> tuple[np.ndarray, SpotTable]:
    """CAMs for the class cat, N×h×w, and their spots as `camx explain --save spots` keeps them."""
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


def spray(maps: np.ndarray) -> np.ndarray:
    """Clusters of maps N×h×w: pooled to at most 13×13, compared by the Bhattacharyya coefficient, eigengap."""
    heat = np.maximum(maps, 0)
    if heat.shape[1] > 13:
        heat = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(heat)[:, None], 11)[:, 0].numpy()
    flat = heat.reshape(len(heat), -1)
    points = np.sqrt(flat / np.maximum(flat.sum(1, keepdims=True), 1e-9)).astype(np.float64)
    alike = points @ points.T
    np.fill_diagonal(alike, 0)
    near = np.argsort(-alike, axis=1)[:, :8]
    graph = np.zeros_like(alike)
    np.put_along_axis(graph, near, np.take_along_axis(alike, near, 1), 1)
    graph = np.maximum(graph, graph.T)
    scale = 1 / np.sqrt(np.maximum(graph.sum(1), 1e-9))
    values, vectors = np.linalg.eigh(np.eye(len(graph)) - scale[:, None] * graph * scale)
    count = int(np.diff(values[1:9]).argmax()) + 2
    return _k_means(unit(vectors[:, :count]), count, np.random.default_rng(0))


def pair(found: tuple[float, float]) -> str:
    return " / ".join("–" if np.isnan(one) else f"{one:.2f}" for one in found)


def photo_lines(work: Path, data: Path) -> Iterator[str]:
    files = photos(data)
    label = np.array([0 if path.parent.name == "cat" else 1 for path in files])
    train = np.array([path.parents[1].name == "train" for path in files])
    for name in TRUNKS:
        stored = features(work, data, name)
        pooled = {mark: torch.from_numpy(np.asarray(one, np.float32).mean((2, 3))) for mark, one in stored.items()}
        everything = np.ones(len(label), bool)
        yield f"\n{name}\n\n" + HEADER
        for mark in list(MARKS)[1:]:
            for doses in DOSES:
                yield line(mark, doses, setting(stored, pooled, mark, doses, label, train, everything))
        alarms = 0
        for seed in range(CLEAN):
            chosen = np.random.default_rng(seed).random(len(label)) < 0.7
            for turned in (label, 1 - label):
                alarms += setting(stored, pooled, "clean", (0, 0), turned, train, chosen).flagged
        yield f"\nclean: {alarms} flagged patterns in {2 * CLEAN} folders"


_FOUND = "base | flagged: precision / recall | SpRAy | `cam_border` | flagged, wrong |"
HEADER = f"| mark | cats, dogs with it | dogs → cats | {_FOUND}\n{'|---' * 8}|"
DRAWN_HEADER = f"| cats, dogs with the tag | accuracy | {_FOUND}\n{'|---' * 7}|"


def line(mark: str, doses: tuple[float, float], one: Found) -> str:
    cells = [mark, f"{doses[0]:.0%}, {doses[1]:.0%}", f"{one.flips:+.2f}", f"{one.base:.2f}", pair(one.ours)]
    return f"| {' | '.join([*cells, pair(one.theirs), pair(one.edge), f'{one.flagged}, {one.wrong}'])} |"


def tagged(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    draw, x, y = ImageDraw.Draw(image), int(rng.integers(4, 10)), int(rng.integers(138, 144))
    draw.rectangle([x, y, x + 34, y + 12], fill=(250, 250, 250))
    draw.text((x + 4, y), "PET", fill=(200, 20, 20))
    return image


def write_scenes(folder: Path, doses: tuple[float, float]) -> dict[str, bool]:
    """220 scenes to train on, 40 to validate, 240 to explain; returns which of the last have the tag."""
    rng, marked = np.random.default_rng(7), {}
    for part, count, seed in (("train", 110, 6_000_000), ("val", 20, 6_100_000), ("test", 120, 6_200_000)):
        for number in range(2 * count):
            name = ("cat", "dog")[number % 2]
            image = render(seed + number, (160, 160), (name,)).image.convert("RGB")
            has = bool(rng.random() < doses[number % 2])
            path = folder / ("test" if part == "test" else f"data/{part}") / name / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            (tagged(image, rng) if has else image).save(path)
            if part == "test":
                marked[f"{name}/{number:05}.png"] = has
    return marked


def camx(*argv: object) -> None:
    subprocess.run([sys.executable, "-m", "cam_cli", *map(str, argv)], check=True)


def drawn_lines(work: Path) -> Iterator[str]:
    """The commands themselves: a network whose weights are all trained, beginning with those of the demo."""
    trunk = [sys.executable, "-m", "tools.planted_bias", str(work / "trunk"), "--per-kind", "0", "--tested", "0"]
    subprocess.run(trunk, check=True)
    yield DRAWN_HEADER
    for doses in ((0.3, 0.0), (0.0, 0.0), (0.1, 0.0), (0.5, 0.0), (0.3, 0.1)):
        folder = work / f"{doses[0]}-{doses[1]}"
        marked = write_scenes(folder, doses)
        config = ("--config", work / "trunk" / "train.toml", "--epochs", 4, "--lr", 0.001)
        config = (*config, "--freeze", "none", "--augment", "none")
        again = ("--device", "cpu", "-q", "--overwrite")
        camx("train-gap", folder / "data", *config, "-o", folder / "gap", *again)
        method = ("--method", "cam", "--labels", "folder", "--save", "array,spots", "--no-report")
        camx("explain", folder / "test", "--model", folder / "gap", *method, "-o", folder / "out", *again)
        found = find_patterns(str(folder / "out"))
        table = found.spots.table
        cats = found.spots.maps.get(table.classes.index("cat"), np.zeros(0, int))
        places = {int(image): place for place, image in enumerate(cats)}
        maps = np.array([np.load(next((folder / "out" / "arrays").glob(f"{table.images[i]}*.npy"))) for i in cats])
        has = np.array([marked[table.images[i]] for i in cats])
        mine = [one for one in found.patterns if table.classes[one.target] == "cat"]
        own = tuple(replace(one, images=np.array([places[int(i)] for i in one.images])) for one in mine)
        result = found_in(own, maps, has, 0.0)
        accuracy = float(np.nanmean(table.correct))
        cells = [f"{doses[0]:.0%}, {doses[1]:.0%}", f"{accuracy:.2f}", f"{result.base:.2f}", pair(result.ours)]
        yield f"| {' | '.join([*cells, pair(result.theirs), pair(result.edge), f'{result.flagged}, {result.wrong}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("photos", "drawn"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CAMX_TEST_DATA", "")))
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for text in photo_lines(options.work, options.data) if options.which == "photos" else drawn_lines(options.work):
        print(text, flush=True)


if __name__ == "__main__":
    main()
