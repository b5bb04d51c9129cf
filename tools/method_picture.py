"""Writes the figure of docs/methods.md: every method on one sample image.

`python tools/method_picture.py docs/methods.jpg`
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.cams.engine.targets import Target
from cam_cli.cams.methods.registry import METHODS
from cam_cli.maps.explanation import ClassMap, Explanation
from cam_cli.models.catalog import Network
from cam_cli.outputs.drawing import draw_overlay, drawing_of
from cam_cli.outputs.options import Rendering

SAMPLE = Path(__file__).parents[1] / "sample_images" / "cat-and-dog.jpg"
CLASS, COLUMNS, SIDE, GAP, TEXT = "cat", 7, 200, 6, 22
#: A method that needs several layers, and a layer before the target layer for it.
SEVERAL, EARLIER = "refinecam", "backbone.layer2"


def tile(explanation: Explanation, one: ClassMap) -> Image.Image:
    drawing = drawing_of(explanation.picture, one)
    return draw_overlay(drawing, Rendering()) if drawing else Image.fromarray(explanation.picture.canvas)


def tiles(network: Network) -> list[tuple[str, Image.Image]]:
    """The image, a map of every method, and a map of evidence for and against."""
    image = Image.open(SAMPLE)
    target = (Target("class", name=CLASS),)
    names = tuple(name for name, method in METHODS.items() if method.works != "ViT" and name != SEVERAL)
    explainer = Explainer(network, ExplainOptions(names, target, device="cpu"))
    (explanation,) = explainer([image])
    (of_several,) = Explainer(network, ExplainOptions((SEVERAL,), target, device="cpu", layers=("auto", EARLIER)))(
        [image]
    )
    shown = [(SAMPLE.name, Image.fromarray(explanation.picture.canvas))]
    for one in sorted((*explanation.maps, *of_several.maps), key=lambda one: [*METHODS].index(one.method)):
        concept = f" {one.concept}: {one.prediction.name}" if one.concept else ""
        shown.append((one.method + concept, tile(explanation, one)))
    both = Explainer(network, ExplainOptions(("cam",), target, evidence="both", device="cpu"))
    (explanation,) = both([image])
    shown.append(("cam, --evidence both", tile(explanation, explanation.maps[0])))
    return shown


def main(target: str) -> None:
    shown = tiles(load_model("demo"))
    rows = -(-len(shown) // COLUMNS)
    height = round(SIDE * shown[0][1].height / shown[0][1].width)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (height + TEXT + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (text, image) in enumerate(shown):
        left, top = index % COLUMNS * (SIDE + GAP), index // COLUMNS * (height + TEXT + GAP)
        sheet.paste(image.resize((SIDE, height), Image.Resampling.LANCZOS), (left, top))
        draw.text((left + 2, top + height + 3), text, fill="black", font=font)
    sheet.save(target, quality=85, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
