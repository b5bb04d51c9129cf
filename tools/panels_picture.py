"""Writes the figure of panels from `sample_images/`: `python tools/panels_picture.py docs/panels.jpg`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from cam_cli.models.options import ModelSpec
from cam_cli.outputs.options import Rendering
from cam_cli.pipeline import ExplainJob, run

SAMPLES = Path(__file__).parents[1] / "sample_images"
#: An image with a right prediction, and one of two objects whose label is not the predicted one.
LABELS = {"rabbit.jpg": "rabbit", "cat-and-dog.jpg": "cat"}


def main(target: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder, "labels.csv")
        labels.write_text("image,label\n" + "".join(f"{image},{label}\n" for image, label in LABELS.items()))
        rendering = Rendering(panel=("image", "overlay", "map"), size=360, scale="run")
        sources = tuple(str(SAMPLES / image) for image in LABELS)
        out = Path(folder, "out")
        run(
            ExplainJob(
                sources=sources,
                model=ModelSpec("demo"),
                labels=str(labels),
                rendering=rendering,
                output=str(out),
                report=False,
            )
        )
        panels = [Image.open(out / "panels" / f"{image}.png").convert("RGB") for image in LABELS]
    sheet = Image.new("RGB", (max(one.width for one in panels), sum(one.height for one in panels)), "white")
    top = 0
    for one in panels:
        sheet.paste(one, (0, top))
        top += one.height
    sheet.save(target, quality=88, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
