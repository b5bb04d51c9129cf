"""Words below a panel: prediction, true class, target of the map, and name of the image."""

from __future__ import annotations

from dataclasses import dataclass

from .rows import ImageRow, MapRow, Prediction

#: Most classes that the caption of a concept names.
_MOST_CLASSES = 2


@dataclass(frozen=True)
class Named:
    """A text, and a plain one for a font without its letters."""

    text: str
    plain: str = ""


@dataclass(frozen=True)
class Caption:
    """Words below a panel.

    first: words of the first line: the prediction, or the target of a map that is for no class. more: words of the
    second line. image: name of the image. correct: whether the prediction is the true class; None if unknown.
    """

    first: tuple[Named, ...]
    more: tuple[Named, ...]
    image: Named
    correct: bool | None = None


def caption_of(row: ImageRow, one: MapRow, *, several: bool = False, shares: bool = False) -> Caption:
    """Words for a map of an image.

    several: whether the image has more maps; then the caption names the method. shares: whether the numbers of classes
    are shares of the pixels instead of probabilities.
    """
    top = next(iter(row.get("top", ())), None)
    what = "of the pixels" if shares else ""
    own = _of_map(one, what)
    if top is None or "target_value" in one:
        first, more = own, []
    else:
        first = [_class(top["name"], top["index"]), Named(_share(top["prob"], what))]
        more = _truth(row)
        if several or one["target_index"] != top["index"] or "concept" in one:
            more += [Named("·")] * bool(more) + [Named("map of"), *own, Named(f"({one['method']})")]
    return Caption(tuple(first), tuple(more), Named(row["image"]), row.get("correct"))


def _of_map(one: MapRow, what: str) -> list[Named]:
    """Words for the target of a map: a concept, a value, or a class."""
    if "concept" in one:
        classes: list[Prediction] = one.get("concept_classes", [])[:_MOST_CLASSES]
        return [Named(f"concept {one['concept']},"), *(_class(each["name"], each["index"]) for each in classes)]
    named = _class(one["target_name"], one["target_index"])
    if "target_value" in one:
        return [named, Named(f"{one['target_value']:.4g}")]
    return [named, Named(_share(one["target_prob"], what))]


def _truth(row: ImageRow) -> list[Named]:
    """Words for the true class, if another one was predicted."""
    if not row.get("label") or row.get("correct"):
        return []
    plain = f"class {row['label_index']}" if "label_index" in row else ""
    known = [Named(_share(row["label_prob"]))] if "label_prob" in row else []
    return [Named("label"), Named(row["label"], plain), *known]


def _class(name: str, index: int) -> Named:
    return Named(name or f"class {index}", f"class {index}")


def _share(value: float, what: str = "") -> str:
    """A share as percentage; values next to 0 or 1 as `<0.1 %` or `>99.9 %`."""
    shown = "<0.1" if 0 < value < 0.0005 else ">99.9" if 0.9995 < value < 1 else f"{100 * value:.1f}"
    return f"{shown} % {what}".rstrip()
