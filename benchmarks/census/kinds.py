"""Every name of torchvision with its kind, and whether camx explains it: the last section of `docs/coverage.md`."""

from __future__ import annotations

import torchvision

from cam_cli.models.libraries import other_kind
from cam_cli.models.names import is_name

HEADING = "## Every name of torchvision\n"
#: Modules of torchvision whose names share a kind, the name of the kind on the page, and the task that explains it.
_KINDS = (
    ("", "classifier", "`classification`"),
    ("segmentation", "segmentation", "`segmentation`"),
    ("detection", "detection", "`detection`"),
    ("video", "classifier of clips", ""),
    ("optical_flow", "optical flow", ""),
    ("quantization", "quantized classifier", ""),
)


def minor_version() -> str:
    """The version of torchvision without its last number: names change only with minor versions."""
    return ".".join(torchvision.__version__.split(".")[:2])


def kinds_section() -> str:
    """The section: a row per kind with all names, and the decision of camx on `--model torchvision/NAME`."""
    names = torchvision.models.list_models()
    lines = [f"\n{HEADING}", "", "", "| kind | count | `--task`, or why it is refused | names |", "|---|---|---|---|"]
    seen: list[str] = []
    for module, kind, task in _KINDS:
        home = getattr(torchvision.models, module) if module else torchvision.models
        own = torchvision.models.list_models(module=home)
        for decision, some in _by_decision(own, task).items():
            listed = ", ".join(f"`{name}`" for name in some)
            lines.append(f"| {kind} | {len(some)} | {decision} | {listed} |")
        seen += own
    if sorted(seen) != sorted(names):
        raise RuntimeError(f"names of no kind: {set(names) ^ set(seen)}")
    taken = sum(is_name(f"torchvision/{name}") for name in names)
    lines[1] = (
        f"`torchvision.models.list_models()` of {minor_version()} has {len(names)} names; "
        f"camx takes {taken} of them. This section is written by "
        "`python -m benchmarks.census.kinds`."
    )
    return "\n".join(lines) + "\n"


def _by_decision(names: list[str], task: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        served = is_name(f"torchvision/{name}")
        decision = task if served else f"refused: {other_kind(name)}"
        found.setdefault(decision, []).append(name)
    return found


def with_section(page: str) -> str:
    """Replaces the section at the end of a page, or appends it."""
    return page.partition(f"\n{HEADING}")[0].rstrip("\n") + "\n" + kinds_section()


if __name__ == "__main__":
    from pathlib import Path

    place = Path(__file__).parents[2] / "docs" / "coverage.md"
    place.write_text(with_section(place.read_text("utf-8")), "utf-8")
