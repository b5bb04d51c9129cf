"""The words below a panel: what was predicted, what is true, what the map is for, and the name of the image."""

from __future__ import annotations

from dataclasses import dataclass

from .rows import ImageRow, MapRow, Prediction

#: Classes that are named for a concept.
_MOST_CLASSES = 2


@dataclass(frozen=True)
class Named:
    """A text, and another one for where a font has no letters for it."""

    text: str
    plain: str = ""


@dataclass(frozen=True)
class Caption:
    """Words below a panel. `correct`: whether the prediction is the true class; None where that is not known.

    said: what was predicted, or what the map is for where that is no class. more: a line beside it, each with its words
    in order. image: the name of the image.
    """

    said: tuple[Named, ...]
    more: tuple[Named, ...]
    image: Named
    correct: bool | None = None


def caption_of(row: ImageRow, one: MapRow, *, several: bool = False, shares: bool = False) -> Caption:
    """The words for a map of an image.

    several: the image has other maps, so that the method is named. shares: the numbers of classes are shares of the
    pixels, not probabilities.
    """
    top = next(iter(row.get("top", ())), None)
    what = "of the pixels" if shares else ""
    own = _of_map(one, what)
    if top is None or "target_value" in one:
        said, more = own, []
    else:
        said = [_class(top["name"], top["index"]), Named(_share(top["prob"], what))]
        more = _truth(row)
        if several or one["target_index"] != top["index"] or "concept" in one:
            more += [Named("·")] * bool(more) + [Named("map of"), *own, Named(f"({one['method']})")]
    return Caption(tuple(said), tuple(more), Named(row["image"]), row.get("correct"))


def _of_map(one: MapRow, what: str) -> list[Named]:
    """Words for what a map shows: a concept, a value, or a class."""
    if "concept" in one:
        classes: list[Prediction] = one.get("concept_classes", [])[:_MOST_CLASSES]
        return [Named(f"concept {one['concept']},"), *(_class(each["name"], each["index"]) for each in classes)]
    named = _class(one["target_name"], one["target_index"])
    if "target_value" in one:
        return [named, Named(f"{one['target_value']:.4g}")]
    return [named, Named(_share(one["target_prob"], what))]


def _truth(row: ImageRow) -> list[Named]:
    """Words for the true class where it was not predicted."""
    if not row.get("label") or row.get("correct"):
        return []
    plain = f"class {row['label_index']}" if "label_index" in row else ""
    known = [Named(_share(row["label_prob"]))] if "label_prob" in row else []
    return [Named("label"), Named(row["label"], plain), *known]


def _class(name: str, index: int) -> Named:
    return Named(name or f"class {index}", f"class {index}")


def _share(value: float, what: str = "") -> str:
    """A share of 1 in percent; one that is not quite 0 or 1 is not shown as 0 or 1."""
    shown = "<0.1" if 0 < value < 0.0005 else ">99.9" if 0.9995 < value < 1 else f"{100 * value:.1f}"
    return f"{shown} % {what}".rstrip()
