"""Writes the figure of the README from `sample_images/`: `python tools/readme_picture.py docs/overlays.jpg`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.cams.engine.targets import Target
from cam_cli.maps.explanation import Explanation
from cam_cli.maps.heatmap import normalised
from cam_cli.outputs.drawing import Drawing, draw_overlay
from cam_cli.outputs.options import Rendering

ROWS = (("cat-and-dog.jpg", "fish-and-boat.jpg"), ("car-and-house.jpg", "rabbit-and-mushroom.jpg"))
WIDTH, HEIGHT, GAP, TEXT = 256, 192, 6, 24


def tiles(explanation: Explanation) -> list[tuple[str, Image.Image]]:
    """The image, and its maps for its top-2 classes."""
    picture = explanation.picture
    canvas = Image.fromarray(picture.canvas)
    shown = [(Path(picture.source.key).name, canvas)]
    for one in explanation.maps:
        heat = normalised(one.values)
        if heat is not None:
            frame = picture.frame.scaled(canvas.width / picture.width, canvas.height / picture.height)
            overlay = draw_overlay(Drawing(picture.canvas, heat, one.values, frame), Rendering())
            shown.append((f"{one.prediction.name} {one.prediction.probability:.0%}", overlay))
    return [(text, image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)) for text, image in shown]


def main(target: str) -> None:
    folder = Path(__file__).parents[1] / "sample_images"
    options = ExplainOptions(methods=("cam",), targets=(Target("top", 2),), device="cpu")
    explainer = Explainer(load_model("demo"), options)
    size = (6 * (WIDTH + GAP) - GAP + 2 * GAP, len(ROWS) * (HEIGHT + TEXT + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for row, names in enumerate(ROWS):
        explanations = explainer([Image.open(folder / name) for name in names])
        for block, (name, explanation) in enumerate(zip(names, explanations)):
            for column, (text, image) in enumerate(tiles(explanation)):
                x = (3 * block + column) * (WIDTH + GAP) + 2 * GAP * block
                y = row * (HEIGHT + TEXT + GAP)
                sheet.paste(image, (x, y))
                draw.text((x + 2, y + HEIGHT + 4), text if column else name, "#333", font)
    sheet.save(target, quality=88)


if __name__ == "__main__":
    main(sys.argv[1])
