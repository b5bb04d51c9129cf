"""`Task`: the interface of a command over images. Every command implements it in one class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ..cams.tracing.replay import StepCallback
from ..images.listing import Inputs, Source
from ..images.picture import Decodable, Picture, TooLarge, Unreadable
from ..outputs.renderer import Rendered
from ..outputs.rows import ImageRow
from .job import RunOptions
from .progress import Engine
from .relabel import Naming


class Result(Protocol):
    """Result of an engine for one image."""

    @property
    def picture(self) -> Picture: ...


J = TypeVar("J", bound=RunOptions)
E = TypeVar("E", bound=Engine)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Work(Generic[R]):
    """Functions for worker processes, before and after the network. Both can be pickled.

    load: decodes an image (see `Decoder`). render: draws its result.
    """

    load: Callable[..., Decodable | Unreadable | TooLarge]
    render: Callable[[R], Rendered]


class Table(NamedTuple):
    """A file of OUT that derives from the journal: name, and function from rows to pieces. more: further files."""

    name: str
    render: Callable[[Iterable[ImageRow]], Iterator[bytes]]
    more: tuple[tuple[str, Callable[[Iterable[ImageRow]], Iterator[bytes]]], ...] = ()


class Task(Protocol[J, E, R]):
    """One command over images. Can be pickled, to run in other processes."""

    @property
    def job(self) -> J: ...

    @property
    def device(self) -> str:
        """Requested device: `auto`, one, or several with commas."""
        ...

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        """Table of all images of a run with this fingerprint."""
        ...

    def with_job(self, job: J) -> Task[J, E, R]:
        """Task of the same command with another job."""
        ...

    def on_device(self, device: str) -> Task[J, E, R]:
        """Task of the same job on another device."""
        ...

    def find(self) -> Inputs:
        """Finds the images of the job with their labels. Raises `CamxError` if there are none."""
        ...

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> E:
        """Loads the network for a run over `images` images.

        on_step: called with (done, total) by methods with many forwards per image. Raises `CamxError` for an impossible
        model, layer, device or method.
        """
        ...

    def fingerprint(self, engine: E, base: str) -> dict[str, Any]:
        """Values on which results depend, by key. base: folder to which names of images are relative."""
        ...

    def run_batch(self, engine: E, images: Sequence[Decodable]) -> Sequence[R]:
        """Returns one result per image, in order."""
        ...

    def work(self, engine: E, images: int) -> Work[R]:
        """Functions for the worker processes of a run over `images` images."""
        ...

    def naming(self, engine: E) -> Naming | None:
        """Class names of the engine for `relabel`; None if rows have no class names."""
        ...

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """Finished row with the current label and class names, the same object if unchanged; None if the image must be
        processed again."""
        ...

    def warnings(self, engine: E, inputs: Inputs) -> Iterable[str]:
        """Warnings before the first image, and before the output folder is begun.

        Raises `CamxError` for inputs that the engine cannot take.
        """
        ...

    def cost(self, engine: E, images: int) -> str:
        """Returns a line about forwards per image and total time; "" if an image takes one forward."""
        ...


AnyTask = Task[Any, Any, Any]
