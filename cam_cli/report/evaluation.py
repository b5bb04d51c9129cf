"""Builds the page of an evaluation: figures with baselines, curves, and the worst images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.cases import cases
from ..evaluation.drawn import Figure, faithfulness_figures, localisation_figures
from ..evaluation.faithful_files import Faithfulness, summary
from ..evaluation.faithful_scores import SCORES
from ..evaluation.figures import columns
from ..evaluation.files import summary as localisation_summary
from ..evaluation.records import Localisation, MapSet
from ..evaluation.scores import CaseInfo
from ..gates import GateResult
from ..images.annotations.truth import Problems
from ..maps.sketch import decode
from ..outputs.derived import write_derived
from ..outputs.rows import MapRow
from ..outputs.run_folder import RunFolder
from ..run_layout import EVALUATE
from ..sentences import counted
from .chunks import InlineChunks
from .marked import marked_picture
from .page import assembled
from .plots import HEIGHT, WIDTH, Plot, curves, histogram
from .rounding import number

PAGE = "index.html"
#: Number of worst images of each method.
MOST = 12
STYLES = ("base", "header", "table", "training", "compare", "evaluation", "narrow", "print")


@dataclass(frozen=True)
class WorstImage:
    """An image with its map and truth as a `data:` address, and its scores as text."""

    image: str
    words: str
    address: str


@dataclass(frozen=True)
class Section:
    """One method: rows of its table (name, value, interval, baselines…), plots, and its worst images."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    plots: Sequence[Plot]
    worst_by: str
    worst: Sequence[WorstImage]


def build_localisation(folder: str, found: Localisation) -> str:
    """Writes the page of scores against a truth into `folder` and returns its file. Raises `CamxError` if that
    fails."""
    figures = localisation_summary(found)
    sections = [_localised(found, one, content) for one, content in zip(found.sets, figures["maps"], strict=True)]
    count = counted(found.images, "image")
    notes = [f"{count} with truth ({found.truth_format})", *_left_out(figures["left_out"]), *found.notes]
    content = _page("Do the maps lie on the objects?", found.run.record.get("plan", {}), notes, found.gates, sections)
    write_derived(folder, {PAGE: content}, below=folder)
    return f"{folder}/{PAGE}"


def build_faithfulness(found: Faithfulness) -> str:
    """Writes the page of a run of `camx evaluate` into OUT/evaluate and returns its file. Raises `CamxError` if that
    fails."""
    figures = summary(found)
    sections = [_measured(found, content, figures["curves"]) for content in figures["methods"]]
    count = counted(figures["images"], "image")
    notes = [f"{count}, intervals of {100 * found.confidence:g} %", *_left_out(figures["left_out"])]
    content = _page("Are the maps faithful?", found.run.record.get("plan", {}), notes, found.gates, sections)
    folder = found.run.file(EVALUATE)
    write_derived(folder, {PAGE: content}, below=found.run.path)
    return f"{folder}/{PAGE}"


def _page(
    heading: str, plan: Any, notes: Sequence[str], gates: Sequence[GateResult], sections: Sequence[Section]
) -> bytes:
    return assembled(
        "evaluation.html.j2",
        {},
        InlineChunks(),
        (),
        STYLES,
        heading=heading,
        model=plan.get("model") or "",
        notes=notes,
        gates=gates,
        sections=sections,
        width=WIDTH,
        height=HEIGHT,
    )


def _left_out(counts: dict[str, int]) -> list[str]:
    return ["left out: " + ", ".join(f"{name} {count}" for name, count in counts.items())] if counts else []


def _localised(found: Localisation, one: MapSet, content: dict[str, Any]) -> Section:
    some = content["own"]["metrics"] if content["own"]["maps"] else content["other"]["metrics"]
    rows = [
        [name, number(figure["value"]), _interval(figure), number(figure["baseline"]), str(figure["n"])]
        for name, figure in some.items()
        if figure["n"]
    ]  # fmt: skip
    plots = [_plot(figure) for figure in localisation_figures(content)]
    value = content["threshold"]["value"]
    how = content["threshold"]["how"]
    note = f"threshold {number(value)} of the peak, {how}" if value is not None else "no threshold"
    return Section(
        f"{one.method}, {one.layer}", note, ("score", "maps", "interval", "centre", "n"), rows, plots,
        "least energy in the object", _worst_localised(found, one),
    )  # fmt: skip


def _worst_localised(found: Localisation, one: MapSet) -> list[WorstImage]:
    """Maps with the least energy in their objects, with the outlines of the truth."""
    scores = one.scores if one.scores.cases else one.other
    energy = columns(scores, one.chosen)["energy"].ours
    places = [int(i) for i in np.argsort(energy, kind="stable") if np.isfinite(energy[i])][:MOST]
    wanted = {_key(scores.cases[i]): float(energy[i]) for i in places}
    run, shown = RunFolder.read(found.run.path), {}
    ground = found.ground.with_problems(Problems())
    rows = {row["image"]: row for row in run.rows(dict.fromkeys(image for image, _, _ in wanted))}
    for case in cases(rows.values(), ground):
        key = (case.record.image, case.name or case.map.name, case.map.method)
        if key in wanted:
            words = f"{key[1]}: energy {number(wanted[key])}"
            row = rows[case.record.image]
            shown[key] = WorstImage(case.record.image, words, marked_picture(run, row, case.map.cells, case.truth))
    return [shown[key] for key in wanted if key in shown]


def _key(case: CaseInfo) -> tuple[str, str, str]:
    return case.image, case.name, case.method


def _measured(found: Faithfulness, content: dict[str, Any], all_curves: dict[str, Any]) -> Section:
    rows = []
    for name, figure in content["scores"].items():
        better = {True: "higher", False: "lower", None: ""}[SCORES[name].higher]
        rows.append(
            [
                *(name, better, number(figure["value"]), _interval(figure)),
                *(number(figure["random"]), number(figure["centre"]), str(figure["n"])),
            ]
        )
    method = content["method"]
    plots = [_plot(figure) for figure in faithfulness_figures(method, all_curves)]
    place = content["place"]
    note = "; ".join(
        [*([f"mean place {place:.1f}"] if place and len(found.figures.methods) > 1 else []), *content["flags"]]
    )
    worst_by, worst = _worst_measured(found, method)
    header = ("score", "better", "maps", "interval", "random", "centre", "n")
    return Section(f"{method}, {content['layer']}", note, header, rows, plots, worst_by, worst)


def _plot(figure: Figure) -> Plot:
    if figure.counts:
        return histogram(figure.title, figure.note, figure.counts, figure.baseline)
    return curves(figure.title, figure.note, figure.lines)


def _worst_measured(found: Faithfulness, method: str) -> tuple[str, list[WorstImage]]:
    """Images with the least gain of a method over the random map, by the first ranking score."""
    ranked = [name for name in found.figures.scores if SCORES[name].ranks]
    if not ranked:
        return "", []
    score = ranked[0]
    gains, images = found.figures.gains(method, score), found.figures.columns.images
    places = [int(i) for i in np.argsort(gains, kind="stable") if np.isfinite(gains[i])][:MOST]
    values = found.figures.columns.scores[method][score]
    rows = {row["image"]: row for row in found.run.rows([images[i] for i in places])}
    shown = []
    for i in places:
        row = rows.get(images[i])
        if row is None:
            continue
        one = next((some for some in row.get("maps", ()) if some.get("method") == method), MapRow())
        cells = decode(one["sketch"]) if "sketch" in one else None
        words = f"{one.get('target_name', '')}: {score} {number(values[i])}"
        shown.append(WorstImage(images[i], words, marked_picture(found.run, row, cells)))
    return f"least gain in {score} over the random map", shown


def _interval(figure: dict[str, Any]) -> str:
    low, high = figure["low"], figure["high"]
    return "–" if low is None or high is None else f"{number(low)} – {number(high)}"
