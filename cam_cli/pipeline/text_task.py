"""Base of the tasks of `camx caption` and `camx ask`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ..errors import CamxError
from ..images.listing import Inputs, find
from ..images.picture import load
from ..options import results
from ..outputs.renderer import Rendered
from ..report import thumbnail_side
from .earlier import named_as_before
from .fingerprint import common_fingerprint, rendering_fingerprint
from .frames import with_frames
from .relabel import Naming
from .task import Work
from .text_jobs import AskJob, CaptionJob

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..text.engine import TextEngine
    from ..text.options import TextOptions

J = TypeVar("J", CaptionJob, AskJob)


@dataclass(frozen=True)
class TextTask(Generic[J]):
    """A task whose engine writes text about images.

    command: its name, and that of the field of the job with the options of the engine.
    """

    job: J
    command: ClassVar[str]

    @property
    def _options(self) -> TextOptions:
        found: TextOptions = getattr(self.job, self.command)
        return found

    @property
    def device(self) -> str:
        return self._options.device

    def with_job(self, job: J) -> Self:
        return type(self)(job)

    def on_device(self, device: str) -> Self:
        options: dict[str, Any] = {self.command: dataclasses.replace(self._options, device=device)}
        return self.with_job(dataclasses.replace(self.job, **options))

    def _images(self) -> Inputs:
        """Images of the job, without texts."""
        job = self.job
        return named_as_before(with_frames(find(job.sources, job.filters, limit=job.limit), job), job)

    def _checked(self, engine: TextEngine) -> None:
        """Raises `CamxError` for a job with a decoding that the engine does not support."""
        if self.job.decode == "device" and engine.network.preprocessing.divisor:
            raise CamxError(
                "`decode=device` decodes all images to one input size, and this network takes each at its own size.",
                "Leave `decode=device` out.",
                field="decode",
            )

    def _fingerprint(self, engine: TextEngine, base: str, **own: Any) -> dict[str, Any]:
        """own: values of the command."""
        options = results(self._options) | {"method": engine.method}
        options.pop("precision")
        return {
            "command": self.command,
            **common_fingerprint(self.job, engine, base),
            **options,
            "layers": [layer.name for layer in engine.layers],
            **own,
            "rendering": rendering_fingerprint(self.job.rendering),
        }

    def _work(self, engine: TextEngine, images: int, renderer: Callable[[int], Callable[[Any], Rendered]]) -> Work[Any]:
        """renderer: makes the drawing function from the side of a thumbnail, 0 for none."""
        job = self.job
        read = partial(
            load,
            preprocessing=engine.network.preprocessing,
            canvas=job.rendering.size,
            max_pixels=job.max_pixels,
            pixels=job.pixels,
            decoding=job.decode,
        )
        return Work(load=read, render=renderer(thumbnail_side(images) if job.report else 0))

    def naming(self, engine: TextEngine) -> Naming | None:
        """None: rows of texts have no class names."""
        return None

    def cost(self, engine: TextEngine, images: int) -> str:
        """Returns "": a text takes a few forwards of the parts after the image encoder."""
        return ""
