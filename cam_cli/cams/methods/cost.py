"""The cost of a method, read from its entry: forwards of the network and of its head for given sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

#: The letters of a cost: C channels and h×w positions of the target layer, L blocks with attention, T classes.
SIZES = ("C", "h", "w", "L", "T")
_HEAD = " head"


class Cost(NamedTuple):
    """Forwards per image. network: of the whole network. head: of the layers behind the target layer."""

    network: int
    head: int

    def __str__(self) -> str:
        return f"{self.network} + {self.head} head" if self.head else str(self.network)


def cost_of(forwards: str, sizes: Mapping[str, int]) -> Cost:
    """Reads the `forwards` of a method, such as `1 + 8·C head`: terms joined by +, factors joined by ·.

    A factor is a number or a letter of `SIZES`. Raises `ValueError` for another word, `KeyError` for a letter without a
    size.
    """
    network = head = 0
    for term in forwards.split(" + "):
        words, of_head = term.removesuffix(_HEAD), term.endswith(_HEAD)
        count = math.prod(sizes[word] if word in SIZES else int(word) for word in words.split("·"))
        network, head = (network, head + count) if of_head else (network + count, head)
    return Cost(network, head)
