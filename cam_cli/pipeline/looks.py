"""Counts suspicious images of a run, and warns once at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..outputs.rows import FAILED, ImageRow
from ..sentences import counted

_LOOKS = {"dark": "are nearly black", "white": "are nearly white", "flat": "use less than 1/16 of the levels"}
#: Ranges of levels that depend on the largest level of an image.
_RANGES = ((0.0, 255.0), (0.0, 1023.0), (0.0, 4095.0), (0.0, 65535.0))


@dataclass
class Looks:
    """Counts properties of images in rows."""

    images: int = 0
    looks: Counter[str] = field(default_factory=Counter)
    transparent: int = 0
    several_frames: int = 0
    levels: Counter[tuple[float, ...]] = field(default_factory=Counter)

    def counting(self, rows: Iterable[ImageRow]) -> Iterator[ImageRow]:
        """Yields the rows unchanged, and counts them."""
        for row in rows:
            if row["status"] != FAILED:
                self._note(row)
            yield row

    def _note(self, row: ImageRow) -> None:
        self.images += 1
        if look := row.get("look"):
            self.looks[look] += 1
        pixels = row.get("pixels", {})
        self.transparent += not pixels.get("opaque", True)
        if levels := pixels.get("levels"):
            self.levels[tuple(levels)] += 1
        self.several_frames += "frames" in pixels and not row["image"].endswith(f"#{pixels.get('frame')}")

    def sentences(self) -> Iterator[str]:
        """Warnings about properties of half of the images or more, and about any ignored frames or differing levels."""
        for look, words in _LOOKS.items():
            if self._most(self.looks[look]):
                yield (
                    f"{self._of(self.looks[look])} {words}. If the files look different, set the scaling of levels "
                    "with `levels`, or the bands with `bands`."
                )
        if self._most(self.transparent):
            yield (
                f"{self._of(self.transparent)} have a transparent alpha channel. The network sees the colours under "
                "it, as with timm and torchvision. Choose other bands with `bands`."
            )
        if self.several_frames:
            files = "file has" if self.several_frames == 1 else "files have"
            yield (
                f"{self.several_frames} {files} several frames, but only the first is explained. `frames=all` explains "
                "each."
            )
        ranges = {one: self.levels[one] for one in _RANGES if one in self.levels}
        if len(ranges) > 1:
            counts = ", ".join(f"0 to {high:g} in {count}" for (_, high), count in ranges.items())
            yield f"Levels are scaled differently: {counts}. `levels=0,4095` scales all images alike."

    def _most(self, count: int) -> bool:
        return 0 < self.images <= 2 * count

    def _of(self, count: int) -> str:
        return f"{count} of {counted(self.images, 'image')}"
