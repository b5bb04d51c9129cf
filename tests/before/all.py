"""All cases, in one list."""

from __future__ import annotations

from .case import Case
from .labels import LABELS
from .layers import LAYERS
from .library import LIBRARY
from .pixels import PIXELS

CASES: list[Case] = [*PIXELS, *LABELS, *LIBRARY, *LAYERS]
