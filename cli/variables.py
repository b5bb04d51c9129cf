"""Variables `CAMX_…` of the environment that no command reads, and the ones that were probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from cam_cli.options import Option

#: Variables that are read elsewhere than by an option.
_OTHERS = frozenset({"CAMX_CACHE", "CAMX_TEST_DATA"})
#: Likeness from which on a name is a slip of the pen; below, the variable may belong to another program.
_ALIKE = 0.8


def mistyped(environment: Mapping[str, str], options: Iterable[Iterable[Option]]) -> Iterator[str]:
    """A sentence on each variable whose name is close to one that is read."""
    given = sorted(name for name in environment if name.startswith("CAMX_") and name not in _OTHERS)
    if not given:
        return
    known = {option.variable.removeprefix("CAMX_") for some in options for option in some} - {""}
    for name in given:
        word = name.removeprefix("CAMX_")
        if word not in known and (close := difflib.get_close_matches(word.upper(), sorted(known), n=1, cutoff=_ALIKE)):
            yield f"No option reads the variable {name}. Did you mean CAMX_{close[0]}?"
