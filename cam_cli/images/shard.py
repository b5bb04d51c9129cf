"""Divides the images of a run among shards by a hash of the image name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import CamxError
from .listing import Source


@dataclass(frozen=True)
class Shard:
    """Shard `number` (from 1) of `count`. The shard of an image does not depend on other images.

    local_rank: rank of this process on its machine, if a scheduler has started several.
    """

    number: int
    count: int
    local_rank: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise CamxError(
                f"There is no shard {self.number}/{self.count}. "
                f"Give i/n with i from 1 to n, such as 1/{max(1, self.count)}."
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parses `2/8` as the second of eight."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if found is None:
            raise CamxError(
                f"`shard` {text!r} is no shard. Give i/n such as 2/8, or auto to take it from the scheduler."
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, key: str) -> bool:
        """Whether an image of this name belongs to the shard."""
        return shard_number(key, self.count) == self.number

    def of(self, sources: Iterable[Source]) -> tuple[Source, ...]:
        """Sources of this shard, in their order."""
        return tuple(source for source in sources if self.holds(source.key))


def name_hash(key: str) -> int:
    """64-bit hash of an image name. Must never change: shards and merged folders depend on it."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def shard_number(key: str, count: int) -> int:
    """Number, from 1, of the shard of an image."""
    return name_hash(key) % count + 1
