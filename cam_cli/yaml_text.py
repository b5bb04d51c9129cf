"""Parses YAML from untrusted files: plain data only, with bounded size."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

#: Most values, with each use of an alias counted: nine lines can expand to a billion values.
_MOST_VALUES = 1_000_000
_DEEPEST = 200


def parse_yaml(data: bytes) -> Any:
    """Content of a YAML text. Raises `ValueError` in one line for a text that is broken, too deep, or expands too
    far."""
    import yaml

    if _brackets(data) > _DEEPEST:
        raise ValueError("nested too deeply")
    try:
        # The loader creates only plain values.
        content = yaml.load(data.decode("utf-8", "replace"), _loader())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
    # Constructors raise Python's errors for a list as key or an invalid date.
    except (TypeError, AttributeError, OverflowError, IndexError, KeyError) as error:
        raise ValueError(f"{type(error).__name__}: {error}"[:200]) from error
    if not _within(content, _MOST_VALUES):
        raise ValueError(f"its aliases expand to more than {_MOST_VALUES:,} values")
    return content


@cache
def _loader() -> Any:
    """Loader of plain values with a limit on merge keys (`<<`): each can double the previous ones."""
    import yaml

    class Loader(yaml.SafeLoader):
        merged = 0

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            self.merged += len(node.value)
            if self.merged > _MOST_VALUES:
                raise yaml.YAMLError(f"its merge keys expand to more than {_MOST_VALUES:,} values")

    return Loader


def _brackets(data: bytes) -> int:
    """Largest nesting of brackets: the time of the parser grows with its square."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", data):
        depth = depth + 1 if bracket in b"[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _within(content: Any, most: int) -> bool:
    """Whether a value holds at most `most` values; a repeated one counts each time."""
    waiting, count = [content], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple, set)):
            waiting.extend(one)
        if count + len(waiting) > most:
            return False
    return True
