"""Names of the formats of ground truth, for the help and for checks of options; imports nothing."""

from __future__ import annotations

AUTO = "auto"
#: The keys of `formats.READERS`.
TRUTH_FORMATS = ("coco", "voc", "yolo", "csv", "masks")
