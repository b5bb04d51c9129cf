"""Builds the HTML file around the data, with script and style inside, and a policy that allows nothing else to run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from ..outputs.epoch_rows import EpochRow
from ..outputs.run_folder import RunFolder
from ..run_layout import ACTIVATIONS_TABLE, ANSWERS_TABLE, CAPTIONS_TABLE, METRICS, TABLE
from .chart import HEIGHT, WIDTH, Chart
from .chunks import Chunks, script_safe
from .failures import LISTED, Failures
from .provenance import provenance, reproduce_commands
from .rounding import number, percent

_FOLDER = Path(__file__).with_name("page")
#: Scripts of the page, in the order of concatenation. Functions may call any other file, but top-level code may use
#: only earlier files.
SCRIPTS = (
    *("elements", "figures", "store"),
    *("views", "address", "order", "filters"),
    *("colours", "legend", "canvas", "opacity", "stage", "virtual-list"),
    *("tags", "files", "toolbar", "sentence", "answers", "gallery", "table", "side-by-side", "zoom", "viewer"),
    *("mean-maps", "classes", "class-page", "groups", "group-maps", "confusion", "distribution", "epochs"),
    *("svg", "calibration", "scatter"),
    *("keyboard", "print", "start"),
)
#: Style sheets in the order of concatenation: a later rule wins.
STYLES = (
    *(
        "base",
        "header",
        "gallery",
        "table",
        "viewer",
        "sentence",
        "classes",
        "groups",
        "confusion",
        "distribution",
        "plots",
        "training",
    ),
    *("narrow", "print"),
)
_WORDS = {
    "explain": "Explained images",
    "activations": "Feature maps",
    "caption": "Captions",
    "ask": "Answers",
    "train-gap": "Training",
}
_TABLES = {
    "explain": TABLE,
    "activations": ACTIVATIONS_TABLE,
    "caption": CAPTIONS_TABLE,
    "ask": ANSWERS_TABLE,
}


class Figure(NamedTuple):
    """A figure in the head of the page: value, text, and the address fragment that shows its images."""

    value: str
    words: str
    address: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Content:
    """Content of a page. data, parts: for the script; everything else for the template."""

    data: Mapping[str, Any]
    parts: Chunks
    headline_figures: Sequence[Figure]
    failures: Failures
    charts: Sequence[Chart] = ()
    metrics: Sequence[EpochRow] = ()


def page(run: RunFolder, content: Content) -> bytes:
    """The page in UTF-8. Texts of the run are escaped by the template, or are JSON data."""
    model = run.record.get("plan", {}).get("model") or run.record.get("model") or ""
    return assembled(
        "page.html.j2",
        {**content.data, "kind": run.command},
        content.parts,
        SCRIPTS,
        STYLES,
        title=" · ".join(part for part in (_WORDS[run.command], model) if part),
        heading=_WORDS[run.command],
        model=model,
        content=content,
        best=content.data.get("bestEpoch"),
        state=run.state,
        table=_TABLES.get(run.command, METRICS),
        columns=[name for name in EpochRow.__annotations__ if any(name in row for row in content.metrics)],
        provenance=provenance(run),
        reproduce_commands=reproduce_commands(run.record),
    )


def assembled(
    template: str,
    data: Mapping[str, Any],
    parts: Chunks,
    scripts: tuple[str, ...],
    styles: tuple[str, ...],
    **context: object,
) -> bytes:
    """A page in UTF-8 from a template with data, scripts, styles, and the policy for them."""
    style, script = _joined("styles", ".css", styles), _joined("scripts", ".js", scripts)
    html = _template(template).render(
        policy=policy(script, style, inside=not parts.base),
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_safe({**data, "base": parts.base, "parts": parts.inside})),
        elements={name: Markup(text) for name, text in parts.elements.items()},
        **context,
    )
    return html.encode("utf-8", "replace")


def policy(script: str, style: str, *, inside: bool) -> str:
    """Content-Security-Policy of a page: only this script and style, and images.

    A page that loads data as scripts trusts the scripts that its own script loads ('strict-dynamic'): 'self' means
    nothing on file://. A self-contained page never creates markup from text.
    """
    trusted = f"'{_digest(script)}'"
    rules = {
        "default-src": "'none'",
        "script-src": trusted if inside else f"{trusted} 'strict-dynamic'",
        "style-src": f"'{_digest(style)}'",
        "img-src": "data:" if inside else "data: 'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if inside:
        rules |= {"require-trusted-types-for": "'script'", "trusted-types": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


@cache
def _joined(folder: str, suffix: str, names: tuple[str, ...]) -> str:
    """Concatenated files `folder/<name><suffix>` of the page."""
    return "\n".join((_FOLDER / folder / f"{name}{suffix}").read_text("utf-8") for name in names)


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals |= {"chart_width": WIDTH, "chart_height": HEIGHT, "listed": LISTED}
    environment.filters |= {"percent": percent, "number": number}
    environment.filters["quoted"] = lambda text: quote(text.encode("utf-8", "replace"), safe="")
    return environment.get_template(name)
