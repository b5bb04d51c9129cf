"""`camx export`: what the maps of a run show, as files for labelling tools."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from . import flags
from .console import out, out_json
from .options import BEHAVIOUR, EXPLANATION, OUTPUT, option, words

Format = Annotated[str, option(OUTPUT, "--format", help="coco, yolo, label-studio, csv, masks; several with commas.")]
Shape = Annotated[
    str, option(EXPLANATION, "--shape", help="box, polygon, mask, point; auto: as is usual in the format.")
]
_THRESHOLD_HELP = "Share of the peak, otsu, or auto: the one that `camx evaluate` has found, else otsu."
Threshold = Annotated[str, option(EXPLANATION, "--threshold", help=_THRESHOLD_HELP)]
Parts = Annotated[str, option(EXPLANATION, "--parts", help="Of each map the largest part, or all.")]
MinArea = Annotated[str, option(EXPLANATION, "--min-area", help="Leave out parts below this share of the picture.")]
MinProb = Annotated[float, option(EXPLANATION, "--min-prob", help="Leave out maps of less probable classes.")]
Method = Annotated[str | None, option(EXPLANATION, "--method", help="Whose maps, where the run has several methods.")]
ImageRoot = Annotated[
    str, option(OUTPUT, "--image-root", help="What stands before the names of images in Label Studio: an address.")
]
Partial = Annotated[bool, option(BEHAVIOUR, "--partial", help="Take a run that is not finished.")]
Output = Annotated[str | None, option(OUTPUT, "--output", "-o", help="Folder for the files. [default: OUT/export]")]


def export(
    run: Annotated[str, typer.Argument(metavar="OUT", help="The --output of `camx explain`.")],
    formats: Format = "coco",
    shape: Shape = "auto",
    threshold: Threshold = "auto",
    parts: Parts = "largest",
    min_area: MinArea = "0.1%",
    min_prob: MinProb = 0.0,
    method: Method = None,
    image_root: ImageRoot = "/data/local-files/?d=",
    output: Output = None,
    partial: Partial = False,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> int:
    """Write boxes, polygons, points or masks of the maps as COCO, YOLO, Label Studio, CSV or PNG; needs no model."""
    from importlib.metadata import version

    from cam_cli.export.findings import findings
    from cam_cli.export.formats import FORMATS, check_formats, write_formats
    from cam_cli.export.options import ExportOptions
    from cam_cli.export.stems import unnamed

    options = ExportOptions(
        formats=words("--format", formats),
        shape=shape,
        threshold=threshold,
        parts=parts,
        min_area=min_area,
        min_prob=min_prob,
        method=method,
        image_root=image_root,
        partial=partial,
    )
    check_formats(options.formats, options.shape)
    exported = findings(run, options, version("camx"))
    folder = output or os.path.join(run, "export")
    written = write_formats(exported, folder)
    left_out = unnamed(exported) if any(FORMATS[name].stems for name in options.formats) else []
    if as_json:
        out_json({"output": folder, "files": written, "left_out": left_out, **exported.provenance})
    elif not quiet:
        value = exported.threshold.value
        shown = "" if value is None else f"{value:g} of the peak, "
        out(f"threshold {shown}{exported.threshold.origin}")
        if left_out:
            named = ", ".join(left_out[:3]) + (" …" if len(left_out) > 3 else "")
            out(f"{len(left_out)} images have no file of their own, since another one has the same name: {named}")
        for name in written:
            out(os.path.join(folder, name))
    return 0
