"""The classes, with the function that draws each; a new class is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .animals import bird, fish
from .buildings import house
from .insects import butterfly
from .palette import Palette
from .pets import cat, dog, rabbit
from .plants import flower, mushroom, tree
from .shapes import Part
from .vehicles import boat, car

Drawing = Callable[[np.random.Generator, Palette], list[Part]]

DRAWINGS: dict[str, Drawing] = {
    "bird": bird,
    "boat": boat,
    "butterfly": butterfly,
    "car": car,
    "cat": cat,
    "dog": dog,
    "fish": fish,
    "flower": flower,
    "house": house,
    "mushroom": mushroom,
    "rabbit": rabbit,
    "tree": tree,
}
CLASSES: tuple[str, ...] = tuple(DRAWINGS)
AIRBORNE = frozenset({"bird", "butterfly", "fish"})
