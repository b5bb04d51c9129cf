"""Draws the images of `sample_images/`: `python tools/sample_images.py sample_images`."""

from __future__ import annotations

import sys
from pathlib import Path

from cam_cli.demo.samples import draw_samples

if __name__ == "__main__":
    draw_samples(Path(sys.argv[1]))
