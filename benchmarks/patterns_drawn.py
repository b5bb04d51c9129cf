"""Measures `camx patterns` on drawn scenes with a tag, explained by networks that `camx train-gap` trains on them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cam_cli import load_model
from cam_cli.demo import render
from cam_cli.models.options import ModelSpec
from cam_cli.patterns.find import find_patterns

from .pattern_scores import Use, doses_text, found_in, header, line, reach
from .planted_marks import tagged

#: Scenes of each class and first seed of the three parts.
PARTS = {"train": (110, 6_000_000), "val": (20, 6_100_000), "test": (120, 6_200_000)}
CLASSES = ("cat", "dog")
#: Flags of the training: from random weights, briefly, or longer on small images; or from the weights of the demo
#: network, which knows cats and dogs.
STARTS = {
    "brief": ("--no-pretrained", "--epochs", 8, "--lr", 0.003),
    "longer": ("--no-pretrained", "--image-size", 112, "--epochs", 20, "--lr", 0.005),
    "demo": ("--epochs", 4, "--lr", 0.001),
}


def camx(*argv: object) -> None:
    subprocess.run([sys.executable, "-m", "cam_cli", *map(str, argv)], check=True)


def scene(work: Path, part: str, number: int) -> Image.Image:
    """A scene without a tag, drawn once and kept."""
    path = work / "scenes" / part / f"{number:05}.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        render(PARTS[part][1] + number, (160, 160), (CLASSES[number % 2],)).image.convert("RGB").save(path)
    with Image.open(path) as image:
        return image.convert("RGB")


def write_scenes(work: Path, folder: Path, doses: Sequence[float]) -> dict[str, bool]:
    """Writes 220 scenes to train on, 40 to validate, 240 to explain. Returns whether each of the last has the tag."""
    rng, marked = np.random.default_rng(7), {}
    for part, (count, _) in PARTS.items():
        for number in range(2 * count):
            name, image = CLASSES[number % 2], scene(work, part, number)
            has = bool(rng.random() < doses[number % 2])
            path = folder / ("test" if part == "test" else f"data/{part}") / name / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            (tagged(image, rng) if has else image).save(path)
            if part == "test":
                marked[f"{name}/{number:05}.png"] = has
    return marked


def use_of_tag(work: Path, gap: Path) -> Use:
    """Changes of the scores of all test scenes when each gets the tag."""
    network, rng = load_model(ModelSpec(str(gap))), np.random.default_rng(11)
    seen = network.preprocessing
    plain = [scene(work, "test", number) for number in range(2 * PARTS["test"][0])]
    margins = []
    for images in (plain, [tagged(one.copy(), rng) for one in plain]):
        pixels = np.stack([seen.apply(one)[0] for one in images]).astype(np.float32) / 255
        x = torch.from_numpy((pixels - np.float32(seen.mean)) / np.float32(seen.std)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            scores = torch.cat([network.module.eval()(some) for some in x.split(40)])
        margins.append((scores[:, 0] - scores[:, 1]).numpy())
    before, after = margins
    return Use(float((after[1::2] > 0).mean() - (before[1::2] > 0).mean()), float((after - before)[0::2].mean()))


def drawn_lines(work: Path, starts: Sequence[str], every: Sequence[Sequence[float]]) -> Iterator[str]:
    """Trains all weights of a network from each start, explains and searches; yields the lines of the table."""
    trunk = [sys.executable, "-m", "tools.planted_bias", str(work / "trunk"), "--per-kind", "0", "--tested", "0"]
    subprocess.run(trunk, check=True, stdout=subprocess.DEVNULL)
    written = (work / "trunk" / "train.toml").read_text().splitlines()
    alone = [one for one in written if "checkpoint" not in one]
    yield header("training", "cats, dogs with the tag", "accuracy")
    for start in starts:
        config = work / f"{start}.toml"
        config.write_text("\n".join(written if start == "demo" else alone) + "\n")
        for doses in every:
            folder = work / f"{start}-{doses[0]}-{doses[1]}"
            marked = write_scenes(work, folder, doses)
            again = ("--device", "cpu", "-q", "--overwrite")
            trained = ("--config", config, "--freeze", "none", "--augment", "none", *STARTS[start])
            camx("train-gap", folder / "data", *trained, "-o", folder / "gap", *again)
            method = ("--method", "cam", "--labels", "folder", "--save", "array,spots", "--no-report")
            camx("explain", folder / "test", "--model", folder / "gap", *method, "-o", folder / "out", *again)
            yield _line(work, folder, start, doses, marked)


def _line(work: Path, folder: Path, start: str, doses: Sequence[float], marked: Mapping[str, bool]) -> str:
    found = find_patterns(str(folder / "out"))
    table, target = found.spots.table, found.spots.table.classes.index("cat")
    cats = found.spots.maps.get(target, np.zeros(0, int))
    places = {int(image): place for place, image in enumerate(cats)}
    maps = np.array([np.load(next((folder / "out" / "arrays").glob(f"{table.images[i]}*.npy"))) for i in cats])
    mine = [one for one in found.patterns if one.target == target]
    own = tuple(replace(one, images=np.array([places[int(i)] for i in one.images])) for one in mine)
    has = np.array([marked[name] for name in table.images]) & np.isin(np.arange(len(table)), cats)
    scores = found_in(own, maps, has[cats], reach(found.spots, target, has, "tag"))
    names = (start, doses_text((doses[0], doses[1])), f"{float(np.nanmean(table.correct)):.2f}")
    return line(names, use_of_tag(work, folder / "gap"), scores)
