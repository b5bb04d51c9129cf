"""Writes the census: the page `docs/coverage.md`, and a table with one CSV line per network."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from .kinds import with_section
from .specimens import Specimen
from .verdict import Row

COLUMNS = (
    *("library", "name", "family", "parameters", "how", "mended", "input_size", "layer", "layout", "height", "width"),
    *("channels", "prefix", "gradient", "placed", "verdict"),
)
#: Verdict on a network that is no classifier.
_NO_CLASSIFIER = "not one score per image and class"
HEADLESS = "the vision towers `eva02_*` without a head, `qwen3_vit_*`, `gemma4_vit_*`, `deepseek_vit_*` and alike"
_INTRODUCTION = """# Coverage

For which networks is the automatic target layer (`--layer auto`) right? This page tests every classifier of timm
{timm} and torchvision {torchvision}, with random weights, on a photo. The layer is *right* if

* it is a map with more than one position, found by the probe ([how](design.md#which-layer));
* the gradients of the top-5 classes reach at least 95 % of its positions;
* the map of the top class is finite and not constant;
* its positions match the image: noise in one quarter of the photo changes the features most in the same quarter of
  the map. (In {even} networks noise changes all quarters equally, because attention of random weights is uniform;
  for these the test says nothing.)

The probe chooses the last such map by definition; this page does not test later maps. A few names of timm have no
classifier ({headless}); this page uses their features as class scores, and `camx explain` takes them only with
`--task similarity`.
"""
_HOW = """
## How it was run

```bash
python -m benchmarks.coverage --work FOLDER --limit-gmacs {limit} --limit-parameters 60e6     # again to continue
python -m benchmarks.coverage --work FOLDER --limit-gmacs {limit} --limit-parameters 60e6 --rivals
python -m benchmarks.coverage --work FOLDER --page docs/coverage.md --table docs/coverage.csv
```

One process, one network at a time. Networks above the limits are built with fewer blocks (`depth=4`) or for a smaller
image (`160 px`); the column `how` of [coverage.csv](coverage.csv) says so for each. Weights are random; large ones repeat a
million draws. Weights that are zero at initialisation (heads, last normalisations of a branch), and layer scales that are
nearly so, get ordinary values, because they would hide what a layer does; where the signal of a random network fades, batch
normalisation takes its statistics from four photos. The column `mended` says where. Trained weights are not part of this page.
"""


def write_table(path: Path, rows: Mapping[tuple[str, str], Row]) -> None:
    """Writes one line per network."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for _, row in sorted(rows.items()):
            known = {**vars(row), "height": row.grid[0], "width": row.grid[1], "gradient": f"{row.gradient:.3f}"}
            writer.writerow([known[column] for column in COLUMNS])


def write_page(path: Path, plan: Sequence[Specimen], rows: Mapping[tuple[str, str], Row], limit: float) -> None:
    """Writes totals, wrong networks, the other libraries, and one line per family."""
    found = list(rows.values())
    text = _INTRODUCTION.format(
        timm=version("timm"),
        torchvision=version("torchvision"),
        even=sum(r.placed == "even" for r in found),
        headless=HEADLESS,
    )
    text += _totals(plan, found) + _wrong(found) + _rivals(found) + _families(plan, found) + _HOW.format(limit=limit)
    path.write_text(with_section(text), encoding="utf-8")


def _totals(plan: Sequence[Specimen], rows: Sequence[Row]) -> str:
    lines = ["", "| | names | examined | whole | smaller | right |", "|---|---|---|---|---|---|"]
    for library in ("timm", "torchvision"):
        names = sum(s.library == library for s in plan)
        mine = [r for r in rows if r.library == library]
        whole, right = sum(r.how == "whole" for r in mine), sum(r.verdict == "right" for r in mine)
        lines.append(f"| {library} | {names} | {len(mine)} | {whole} | {len(mine) - whole} | {right} |")
    if len(rows) < len(plan):
        families = {(s.library, s.family) for s in plan} - {(r.library, r.family) for r in rows}
        left = f"{len(plan) - len(rows)} names, the largest, have not been examined yet; "
        lines += ["", left + ("every family has" if not families else f"{len(families)} families have not") + " been."]
    return "\n".join(lines) + "\n"


def _wrong(rows: Sequence[Row]) -> str:
    others = sorted((r for r in rows if r.verdict != "right"), key=lambda r: (r.library, r.name))
    encoders = [f"`{r.library}/{r.name}`" for r in others if _NO_CLASSIFIER in r.verdict]
    wrong = [f"* `{r.library}/{r.name}` ({r.how}): {r.verdict}\n" for r in others if _NO_CLASSIFIER not in r.verdict]
    text = f"\nRefused, because they return maps or tokens and no scores: {', '.join(encoders)}.\n" if encoders else ""
    return text + ("\nNot right:\n\n" + "".join(wrong) if wrong else "")


def _rivals(rows: Sequence[Row]) -> str:
    compared = [r for r in rows if r.rivals]
    if not compared:
        return ""
    lines = [
        "\n## Other libraries\n",
        f"On one network of each family ({len(compared)}; the smallest). torch-cam {version('torchcam')} chooses a layer "
        "itself: *the same map* as camx, *an earlier map* that is alive, or none that works. grad-cam "
        f"{version('grad-cam')} wants a layer; it gets the one that camx found, without a `reshape_transform`, and its "
        "map is compared with that of `--method gradcam`.\n",
        "| | same map | another map, alive | wrong axes, dead, not a map, or an error |",
        "|---|---|---|---|",
        f"| camx | {sum(r.verdict == 'right' for r in compared)} | | {sum(r.verdict != 'right' for r in compared)} |",
    ]
    for library in ("torch-cam", "grad-cam"):
        kinds = Counter(_kind(r.rivals[library]) for r in compared if library in r.rivals)
        lines.append(f"| {library} | {kinds['right']} | {kinds['alive']} | {kinds['wrong']} |")
    return "\n".join(lines) + "\n"


def _kind(verdict: str) -> str:
    return "right" if verdict == "right" else "alive" if verdict.endswith("another map, alive") else "wrong"


def _families(plan: Sequence[Specimen], rows: Sequence[Row]) -> str:
    lines = [
        "\n## Families\n",
        "A family is a module of timm or torchvision. Numbers in the name of the layer are written N; the grid is that of the "
        "smallest network. `right` counts networks examined of all names.\n",
        "| family | target | layout | grid | right | torch-cam | grad-cam |",
        "|---|---|---|---|---|---|---|",
    ]
    names = Counter((s.library, s.family) for s in plan)
    by_family = defaultdict(list)
    for row in rows:
        by_family[row.library, row.family].append(row)
    for (library, family), mine in sorted(by_family.items()):
        smallest = min(mine, key=lambda r: r.parameters)
        rivals = next((r.rivals for r in mine if r.rivals), {})
        right = f"{sum(r.verdict == 'right' for r in mine)}/{names[library, family]}"
        if len(mine) < names[library, family]:
            right += f" ({len(mine)} examined)"
        cells = (
            f"{library} {family}",
            _most(f"`{re.sub(r'[0-9]+', 'N', r.layer)}`" for r in mine if r.layer),
            _most(f"{r.layout}+{r.prefix}" if r.prefix else r.layout for r in mine if r.layout),
            f"{smallest.grid[0]}×{smallest.grid[1]}",
            right,
            _short(rivals.get("torch-cam", "")),
            _short(rivals.get("grad-cam", "")),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n`NLC+1`: tokens after one prefix token.\n"


def _most(values: Iterable[str]) -> str:
    """The values, most frequent first; at most three."""
    found = [value for value, _ in Counter(values).most_common()]
    return ", ".join(found[:3]) + (" …" if len(found) > 3 else "")


def _short(verdict: str) -> str:
    kind = _kind(verdict) if verdict else ""
    if kind == "wrong":
        return re.sub(r"^[\w.]+: ", "", verdict)
    return {"right": "same", "alive": "another map", "": ""}[kind]
