"""Explanations as HTML without scripts for notebooks, so that GitHub and nbviewer show them too."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image

from ..errors import CamxError
from ..maps.explanation import ClassMap, Explanation
from ..sentences import counted
from .drawing import overlay

#: Long side of an image in pixels, alone and in a grid.
_SIDE, _SMALL = 512, 224
#: Most maps of an explanation, and most explanations of a list, that are drawn.
_MOST_MAPS, _MOST = 6, 24
_ROW = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start"
_BAR = "display:inline-block;height:0.7em;background:#4477aa;vertical-align:middle"


def explanation_html(explanation: Explanation) -> str:
    """HTML of the image, its overlays with their classes, and the top-k classes as bars."""
    figures = [_figure(Image.fromarray(explanation.picture.canvas), explanation.picture.source.key, _SIDE)]
    figures += [_drawn(explanation, place, _SIDE) for place in range(min(len(explanation.maps), _MOST_MAPS))]
    if (left := len(explanation.maps) - _MOST_MAPS) > 0:
        figures.append(f"<p>{escape(counted(left, 'map'))} more</p>")
    return f'<div style="{_ROW}">{"".join(figures)}{_ranking(explanation)}</div>'


def explanations_html(explanations: Sequence[Explanation]) -> str:
    """HTML of a grid of the first overlays, each with its class and, for the predicted class, whether it is right."""
    shown = [
        _drawn(one, 0, _SMALL) if one.maps else _figure(None, f"{one.picture.source.key}: {one.problem}", _SMALL)
        for one in explanations[:_MOST]
    ]
    left = len(explanations) - len(shown)
    more = f"<p>{escape(counted(left, 'explanation'))} more</p>" if left > 0 else ""
    return f'<div style="{_ROW}">{"".join(shown)}</div>{more}'


def _drawn(explanation: Explanation, place: int, side: int) -> str:
    one = explanation.maps[place]
    try:
        image = overlay(explanation, place)
    except CamxError as error:  # a map with nothing to show
        return _figure(None, str(error), side)
    return _figure(image, _caption(explanation, one), side)


def _caption(explanation: Explanation, one: ClassMap) -> str:
    if (value := one.prediction.value) is not None:
        return f"{explanation.picture.source.key}: {_name(one)} {value:.4g} ({one.method})"
    right = {True: ", right", False: f", is {explanation.truth.text}" if explanation.truth else "", None: ""}
    verdict = right[explanation.correct] if one.prediction.index == explanation.ranking[0].index else ""
    return f"{explanation.picture.source.key}: {_name(one)} {one.prediction.probability:.0%}{verdict} ({one.method})"


def _name(one: ClassMap) -> str:
    return one.prediction.name or str(one.prediction.index)


def _figure(image: Image.Image | None, caption: str, side: int) -> str:
    shown = f'<img style="max-width:100%" src="{_inline(image, side)}" alt="{escape(caption)}">' if image else ""
    text = f'<figcaption style="font-size:0.85em;overflow-wrap:anywhere">{escape(caption)}</figcaption>'
    return f'<figure style="margin:0;max-width:{side}px">{shown}{text}</figure>'


def _inline(image: Image.Image, side: int) -> str:
    """`data:` address of the image as WebP, at most `side` pixels long."""
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _ranking(explanation: Explanation) -> str:
    if explanation.problem:
        return f"<p>{escape(explanation.problem)}</p>"
    rows = "".join(
        f"<tr><td>{escape(one.name or str(one.index))}</td><td>{one.probability:.1%}</td>"
        f'<td><span style="{_BAR};width:{120 * one.probability:.0f}px"></span></td></tr>'
        for one in explanation.ranking
    )
    return f"<table>{rows}</table>"
