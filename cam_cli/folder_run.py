"""Runs `camx explain` from Python: options by name, a progress bar in notebooks, rows as the result."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import MISSING, dataclass
from html import escape
from typing import Any, Literal, cast

from . import distributed
from .errors import CamxError, nearest
from .notebook import notebook_observer
from .options import Option, annotations_of, default_of, options_of
from .pipeline.job import ExplainJob
from .pipeline.progress import Observer
from .pipeline.stop import Stop
from .results import read_results
from .run_layout import REPORT
from .sentences import counted


@dataclass(frozen=True)
class FolderRun:
    """A run that has ended. output: its folder. summary: the content of `camx explain --json`."""

    output: str
    summary: Mapping[str, Any]

    def results(self, of: Literal["images", "maps"] = "images", *, rows: bool = False) -> Any:
        """Rows of images or maps; see `read_results`."""
        return read_results(self.output, of, rows=rows)

    @property
    def report(self) -> str:
        """The path of the report."""
        return os.path.join(self.output, REPORT)

    def __repr__(self) -> str:
        found = self.summary
        images = counted(int(found["images"]), "image")
        return f"FolderRun({self.output!r}: {found['ok']} of {images} explained, {found['failed']} failed)"

    def _repr_html_(self) -> str:
        accuracy = self.summary.get("accuracy")
        right = f", top-1 accuracy {accuracy:.1%}" if accuracy is not None else ""
        page = f' · <a href="{escape(self.report)}">report</a>' if os.path.exists(self.report) else ""
        return f"<p>{escape(repr(self))}{right}{page}</p>"


def explain_folder(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    model: str,
    *,
    observer: Observer | None = None,
    **options: Any,
) -> FolderRun:
    """Explains images into an output folder, as `camx explain` does.

    sources, model and options: as on the command line, with names as identifiers, and values as text or Python
    values: `explain_folder("photos", "resnet50", target="top:3", top_k=3, output="out")`. The same call continues an
    interrupted run. observer: gets plan, progress and warnings; without one, a notebook shows a bar. Raises
    `CamxError` for an unknown option, and wherever the command ends with exit code 2.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    job = _job({"sources": tuple(map(os.fspath, given)), "model": model, **options})
    # Only the main thread receives signals.
    stops = Stop() if threading.current_thread() is threading.main_thread() else nullcontext(Stop())
    with stops as stop, notebook_observer(observer) as shown:
        summary = distributed.run(job, shown, stop)
    failures = [failure._asdict() for failure in summary.progress.failures]
    return FolderRun(job.output, {**summary.as_dict(), "failures": failures})


def _job(options: Mapping[str, Any]) -> ExplainJob:
    """Job from options by the names of their flags or fields."""
    known = {option.field: option for option in options_of(ExplainJob)}
    known |= {option.key: option for option in options_of(ExplainJob)}
    values: dict[tuple[str, ...], Any] = {}
    for name, value in options.items():
        if name not in known:
            raise CamxError(f"There is no option `{name}`.{nearest(name, known)}", field=name)
        option = known[name]
        off = option.flag.only_off and name == option.key
        values[option.path] = not value if off else _value(option, value)
    return cast(ExplainJob, _built(ExplainJob, MISSING, (), values))


def _value(option: Option, value: Any) -> Any:
    """Value of an option for its field. Parses text as the command line does."""
    if isinstance(value, str) and not option.switch:
        return (option.read(value),) if option.several else option.read(value)
    if option.several and isinstance(value, (list, tuple)):
        return tuple(option.read(one) if isinstance(one, str) else one for one in value)
    return tuple(value) if isinstance(value, list) else value


def _built(part: type, start: Any, path: tuple[str, ...], values: Mapping[tuple[str, ...], Any]) -> Any:
    """Builds a dataclass with nested ones from values. start: an instance with defaults, or MISSING."""
    given = {}
    for field in dataclasses.fields(part):
        kind, place = annotations_of(part)[field.name][0], (*path, field.name)
        if place in values:
            given[field.name] = values[place]
        elif dataclasses.is_dataclass(kind) and any(one[: len(place)] == place for one in values):
            inner = default_of(field) if start is MISSING else getattr(start, field.name)
            given[field.name] = _built(cast(type, kind), inner, place, values)
    return part(**given) if start is MISSING else dataclasses.replace(start, **given)
