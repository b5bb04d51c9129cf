"""Measures the pointing of maps of small text networks on drawn shapes: `python -m benchmarks.hub_pointing`.

Prints the tables of docs/hub.md: for each method the shares of peaks in the named shape, near it, and in another one;
for the small CLIP the fall of the score when a cell is covered; for the network that answers questions the share of
right answers. 200 scenes, minutes of one core.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cam_cli import Explainer, ExplainOptions
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.images.geometry import Frame
from cam_cli.maps.heatmap import normalised, placed
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec
from cam_cli.text.answerer import Answerer
from cam_cli.text.captioner import Captioner
from cam_cli.text.options import METHODS, AskOptions, CaptionOptions
from cam_cli.text.questions import NO, YES
from cam_cli.text.records import Captioned
from tools.tiny_answerer import questions
from tools.tiny_captioner import captions as texts_of
from tools.tiny_clip import COLOURS, PROMPT, SIDE, scenes

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures"
SCENES, SEED, NEAR = 200, 3, 0.05 * SIDE
Scene = tuple[np.ndarray, dict[str, np.ndarray]]


def hits(values: np.ndarray, name: str, masks: dict[str, np.ndarray]) -> tuple[bool, bool, bool]:
    """Whether the peak of a map is in the mask of a name, at most `NEAR` pixels from it, and in another mask."""
    heat = normalised(values)
    if heat is None:
        return False, False, False
    large = placed(heat, Frame(0, 0, SIDE, SIDE), SIDE, SIDE)
    y, x = np.unravel_index(int(large.argmax()), large.shape)
    near = ((np.argwhere(masks[name]) - (y, x)) ** 2).sum(1).min() <= NEAR**2
    return bool(masks[name][y, x]), bool(near), any(bool(m[y, x]) for other, m in masks.items() if other != name)


def line(name: str, found: list[tuple[bool, bool, bool]]) -> str:
    inside, near, other = np.mean(found, axis=0)
    return f"{name:20s} n={len(found)} in the shape {inside:.3f}, near {near:.3f}, in the other shape {other:.3f}"


def clip(drawn: list[Scene], saved: Path = FIXTURES / "tiny_clip") -> Iterator[str]:
    """Pointing of the small CLIP by method, then the fall of the score when a cell is covered."""
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder, "names.txt")
        names.write_text("\n".join(COLOURS))
        network = load_model(ModelSpec(f"hf:{saved}", class_names=str(names), prompts=(PROMPT,)))
    for method in ("gradcam", "hirescam", "layercam"):
        explainer = Explainer(network, ExplainOptions(methods=(method,), device="cpu"))
        found = explainer([Image.fromarray(pixels) for pixels, _ in drawn])
        named = [(one, scene) for one, scene in zip(found, drawn) if one.ranking[0].name in scene[1]]
        yield line(method, [hits(one.maps[0].values, one.ranking[0].name, masks) for one, (_, masks) in named])
        if method == "hirescam":
            yield from covered(
                network.module, [(one.ranking[0].index, one.maps[0].values, *scene) for one, scene in named]
            )


def covered(
    module: torch.nn.Module, cases: list[tuple[int, np.ndarray, np.ndarray, dict[str, np.ndarray]]]
) -> Iterator[str]:
    """Covers one cell with the colour of the ground, and reports the relative fall of the score above the mean."""
    rng, drops, perfect = np.random.default_rng(0), {True: [], False: []}, []
    for index, values, pixels, masks in cases:
        name, cells = list(COLOURS)[index], len(values)
        step = SIDE // cells
        share = masks[name].reshape(cells, step, cells, step).mean((1, 3))
        perfect.append(hits(share, name, masks)[0])
        union = np.any([*masks.values()], axis=0)
        free = np.argwhere(~union.reshape(cells, step, cells, step).any((1, 3)))
        peak, full = (np.unravel_index(int(one.argmax()), one.shape) for one in (values, share))
        pictures = [pixels]
        for row, column in (peak, full, free[rng.integers(len(free))]):
            picture = pixels.copy()
            picture[row * step : (row + 1) * step, column * step : (column + 1) * step] = pixels[~union].mean(0)
            pictures.append(picture)
        batch = (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
        with torch.no_grad():
            scores = module.plain(batch)  # type: ignore[operator]
        more = (scores - scores.mean(1, keepdim=True))[:, index]
        drops[bool(share[peak] > 0)].append((1 - more[1:] / more[0]).tolist())
    yield f"  a map with the share of the shape in each cell: in the shape {np.mean(perfect):.3f}"
    for touches, found in drops.items():
        if not found:
            continue
        own, fullest, other = np.mean(found, axis=0)
        place = "in a cell that the shape touches" if touches else "elsewhere"
        yield f"  peak {place} n={len(found)}: its cell takes {own:.3f}, the fullest {fullest:.3f}, another {other:.3f}"


def captions(drawn: list[Scene]) -> Iterator[str]:
    """Pointing of the small captioner by method, over its words for colours of the scene, and over the second ones."""
    for method in METHODS:
        engine = Captioner.load(f"hf:{FIXTURES / 'tiny_captioner'}", CaptionOptions(method=method, device="cpu"))
        found = written(engine, [pixels for pixels, _ in drawn])
        points: list[tuple[bool, bool, bool]] = []
        seconds: list[tuple[bool, bool, bool]] = []
        named = 0
        for one, (_, masks) in zip(found, drawn):
            colours = [made for made in one.maps if made.prediction.name in COLOURS]
            named += len(colours)
            for place, made in enumerate(colours):
                if made.prediction.name in masks:
                    points.append(hits(made.values, made.prediction.name, masks))
                    seconds += points[-1:] * (place == 1)
        exact = np.mean([one.text in texts_of(masks) for one, (_, masks) in zip(found, drawn)])
        yield line(method, points)
        yield "  " + line("second colours", seconds)
        yield f"  captions exact {exact:.3f}, colours in the scene {len(points) / named:.3f}"
    two = [
        (*scene, one.text) for one, scene in zip(found, drawn) if len(scene[1]) == 2 and one.text in texts_of(scene[1])
    ]
    for name, lost in zip(("first", "second"), lost_colours(engine, two)):
        first, second = np.median(lost, axis=0)
        yield f"  {name} shape covered, n={len(two)}: the first colour loses {first:.2f} nats, the second {second:.2f}"


def lost_colours(engine: Captioner, two: list[tuple[np.ndarray, dict[str, np.ndarray], str]]) -> np.ndarray:
    """2×N×2: the log-probability that both colours of a caption lose when the shape of the first is covered, or of the
    second.

    two: images with two shapes, their masks and captions. The shape is filled with the mean colour of the ground, and
    the caption stays that of the whole scene.
    """
    texts = [text for *_, text in two]
    orders = [[word for word in text.split() if word in masks] for _, masks, text in two]
    before = colour_scores(engine, [pixels for pixels, *_ in two], texts)
    lost = []
    for place in range(2):
        pictures = [pixels.copy() for pixels, *_ in two]
        for picture, (pixels, masks, _), order in zip(pictures, two, orders):
            picture[masks[order[place]]] = pixels[~np.any([*masks.values()], axis=0)].mean(0)
        lost.append(before - colour_scores(engine, pictures, texts))
    return np.array(lost)


def colour_scores(engine: Captioner, pictures: list[np.ndarray], texts: list[str]) -> np.ndarray:
    """N×2 log-probabilities of both colours of given captions."""
    found = written(engine, pictures, texts)
    return np.array([[word.logprob for word in one.words if word.word in COLOURS] for one in found])


def written(engine: Captioner, pictures: list[np.ndarray], texts: list[str] | None = None) -> list[Captioned]:
    """Captions of pictures, the network's own or the given ones."""
    images = as_pictures([Image.fromarray(one) for one in pictures], engine.network.preprocessing, [""] * len(pictures))
    given = {one.source.key: text for one, text in zip(images, texts or [])}
    return [one for start in range(0, len(images), 20) for one in engine.caption(images[start : start + 20], given)]


def answers(drawn: list[Scene]) -> Iterator[str]:
    """Pointing of the small network that answers questions, over its right answers about present shapes."""
    rng = np.random.default_rng(SEED)
    asked = [questions(masks, rng) for _, masks in drawn]
    for method, contrast in itertools.product(METHODS, (True, False)):
        options = AskOptions(method=method, contrast=contrast, device="cpu")
        engine = Answerer.load(f"hf:{FIXTURES / 'tiny_answerer'}", options)
        pictures = as_pictures(
            [Image.fromarray(pixels) for pixels, _ in drawn], engine.network.preprocessing, [""] * len(drawn)
        )
        texts = {one.source.key: [question.text for question in some] for one, some in zip(pictures, asked)}
        found = [
            one for start in range(0, len(pictures), 50) for one in engine.ask(pictures[start : start + 50], texts)
        ]
        right: dict[str, list[bool]] = {}
        points: dict[str, list[tuple[bool, bool, bool]]] = {}
        for one, some, (_, masks) in zip(found, asked, drawn):
            for answer, question in zip(one.answers, some):
                kind = question.answer if question.answer in (YES, NO) else question.text.split()[0]
                right.setdefault(kind, []).append(answer.answer == question.answer)
                if right[kind][-1] and question.about and answer.map is not None:
                    name = f"{kind}, on the side" if kind == YES and " on the " in question.text else kind
                    points.setdefault(name, []).append(hits(one.maps[answer.map].values, question.about, masks))
        yield f"{method}, {'yes against no' if contrast else 'log-probability'}"
        for name, some_points in points.items():
            yield "  " + line(name, some_points)
    yield "  right: " + ", ".join(f"{kind} {np.mean(one):.3f} (n={len(one)})" for kind, one in right.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--clip", type=Path, help="measure only the network in this folder of tools.tiny_clip")
    part.add_argument("--only", choices=("clip", "captions", "answers"), help="measure one of the networks")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--seed", type=int, default=SEED, help="of the scenes; seed 1 drew those of the training")
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn = scenes(options.scenes, options.seed)
    parts = {"clip": clip(drawn, options.clip or FIXTURES / "tiny_clip")}
    if not options.clip:
        parts |= {"captions": captions(drawn), "answers": answers(drawn)}
    for text in itertools.chain(*(lines for name, lines in parts.items() if options.only in (None, name))):
        print(text, flush=True)
