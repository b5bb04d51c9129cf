"""The census of transformers: does camx explain every image classifier, with the probabilities of the library?

    python -m benchmarks.hub_census --work FOLDER                       # ten minutes; run it again to continue
    python -m benchmarks.hub_census --work FOLDER --page docs/hub.md    # writes its table into the page

Builds each family small with random weights, saves it with its processor in the format of the library, reads it with
camx, and compares its probabilities with those of the library's own pipeline (Pillow images) on four drawn images.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
import warnings
from pathlib import Path

import torch
import transformers
from PIL import Image

from cam_cli import Explainer, ExplainOptions
from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model

from .hub.families import families, pictures, saved

#: Largest difference of a probability that counts as equal.
EQUAL = 1e-4
_BEGIN, _END = "<!-- census -->\n", "<!-- /census -->"


@dataclasses.dataclass
class Row:
    """Result of one family. difference: largest difference of a probability to that of the pipeline."""

    kind: str
    name: str
    layer: str = ""
    layout: str = ""
    grid: tuple[int, int] = (0, 0)
    difference: float = -1.0
    placed: bool = False
    verdict: str = ""
    seconds: float = 0.0


def examine(kind: str, name: str, folder: Path) -> Row:
    """The verdict on one family; an error becomes the verdict."""
    row, began = Row(kind, name), time.monotonic()
    try:
        saved(transformers, kind, name, folder)
    except Exception as error:  # a family that needs another package, or no small form of it
        row.verdict = f"not built: {type(error).__name__}: {str(error).strip().partition('.')[0][:100]}"
        return row
    try:
        network = load_model(f"hf:{folder}")
        images = [Image.fromarray(pixels) for pixels in pictures()]
        explainer = Explainer(network, ExplainOptions(top_k=7, device="cpu"))
        found = explainer(images)
        layout = explainer.layer.layout
        row.layer, row.layout, row.grid = explainer.layer.name, layout.kind, (layout.height, layout.width)
        row.placed = "not proven" not in explainer.layer.reason
        row.difference = max(map(_difference, found, _pipeline(folder, images)))
        exact = not network.warnings
        row.verdict = "right" if row.difference <= EQUAL else "right, its processor resizes tensors" * (not exact)
        row.verdict = row.verdict or "other probabilities"
        row.verdict += ", its place is not proven" * (not row.placed)
    except CamxError as error:
        row.verdict = (
            f"refused: {error}".replace(str(folder), "FOLDER").partition(": camx has no")[0].partition(". Give")[0]
        )
    except Exception as error:
        row.verdict = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    row.seconds = round(time.monotonic() - began, 1)
    return row


def _pipeline(folder: Path, images: list[Image.Image]) -> list[dict[str, float]]:
    """Probabilities by label as the library computes them, from Pillow images where its processor can."""
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    except ValueError:
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
    classify = transformers.pipeline("image-classification", model=str(folder), image_processor=processor, device=-1)
    return [{one["label"]: one["score"] for one in classify(image, top_k=7)} for image in images]


def _difference(found: object, own: dict[str, float]) -> float:
    return max(abs(one.probability - own[one.name]) for one in found.ranking)  # type: ignore[attr-defined]


def table(rows: list[Row]) -> str:
    """The rows as Markdown, those that are right first."""
    lines = ["| class | target layer | layout | grid | largest difference | |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: (not row.verdict.startswith("right"), row.name)):
        grid = f"{row.grid[0]}×{row.grid[1]}" if row.layer else ""
        off = f"{row.difference:.0e}" if row.difference >= 0 else ""
        lines.append(
            f"| {row.name} | {f'`{row.layer}`' if row.layer else ''} | {row.layout} | {grid} | {off} | {row.verdict} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of rows.jsonl")
    parser.add_argument("--names", nargs="*", help="examine only these kinds, even if they have a row")
    parser.add_argument("--page", type=Path, help="write the table into this page, and stop")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "rows.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = {row.name: row for row in (Row(**json.loads(line)) for line in lines)}
    if options.page:
        before, _, rest = options.page.read_text("utf-8").partition(_BEGIN)
        after = rest.partition(_END)[2]
        options.page.write_text(before + _BEGIN + table(list(rows.values())) + _END + after, "utf-8")
        return
    for kind, name in families(transformers):
        if kind not in options.names if options.names else name in rows:
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = examine(kind, name, Path(folder))
        with path.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(row)) + "\n")
        print(
            f"{row.name}: {row.layer} {row.layout} {row.grid} {row.difference:.2g} {row.verdict} {row.seconds} s",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
