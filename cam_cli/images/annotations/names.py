"""Names of the formats of ground truth, for help texts and checks of options. Imports nothing."""

from __future__ import annotations

AUTO = "auto"
#: The keys of `formats.READERS`.
TRUTH_FORMATS = ("coco", "voc", "yolo", "csv", "masks")
