"""`camx export`: writes boxes, polygons and masks of maps as files for labelling tools."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from cam_cli.export.options import ExportOptions
from cam_cli.options import OUTPUT, Flag
from cam_cli.sentences import counted

from .bind import Command
from .config import CONFIG, ISOLATED
from .remote_folders import fetched, require_local
from .run_command import AsJson, Quiet
from .terminal import out, out_json, warn


@dataclass(frozen=True)
class ExportJob:
    """Options of `camx export`."""

    run: Annotated[str, Flag("Output folder of `camx explain`.", argument=True, metavar="OUT")]
    export: ExportOptions = ExportOptions()
    output: Annotated[str | None, Flag("Folder for the files; default: OUT/export.", short="-o", panel=OUTPUT)] = None
    overwrite: Annotated[
        bool, Flag("Replace files in the output folder that camx did not write, or that changed since.", panel=OUTPUT)
    ] = False
    config: Annotated[str | None, CONFIG] = None
    isolated: Annotated[bool, ISOLATED] = False
    as_json: AsJson = False
    quiet: Quiet = False


@fetched("run")
def export(job: ExportJob) -> int:
    """Write boxes, polygons, points or masks of the maps as COCO, YOLO, Label Studio, CSV or PNG; needs no model."""
    require_local(job.output)
    from cam_cli.export.findings import findings
    from cam_cli.export.formats import FORMATS, check_formats
    from cam_cli.export.stems import unnamed
    from cam_cli.export.write import named, write_formats
    from cam_cli.outputs.versions import own_version

    check_formats(job.export)
    exported = findings(job.run, job.export, own_version())
    folder = job.output or os.path.join(job.run, "export")
    written = write_formats(exported, folder, overwrite=job.overwrite)
    left_out = unnamed(exported) if any(FORMATS[name].stems for name in job.export.format) else []
    if job.as_json:
        about = {"output": folder, "files": written.files, "removed": written.removed, "kept": written.kept}
        out_json({**about, "left_out": left_out, **exported.provenance})
    elif not job.quiet:
        value = exported.threshold.value
        shown = "" if value is None else f"{value:g} of the peak, "
        out(f"threshold: {shown}{exported.threshold.origin}")
        if left_out:
            having = counted(len(left_out), "image has no file of its own", "images have no file of their own")
            out(f"{having}, because another image has the same name: {named(left_out)}")
        if written.removed:
            out(f"{counted(len(written.removed), 'file')} of an earlier export removed: {named(written.removed)}")
        for name in written.files:
            out(os.path.join(folder, name))
        if written.kept:
            warn(
                f"{counted(len(written.kept), 'file')} in {folder} that this export did not write: "
                f"{named(written.kept)}. Delete outdated files, or choose another --output."
            )
    return 0


COMMAND = Command(
    export,
    examples={
        "camx export camx-out --format coco,yolo": "boxes for labelling tools",
        "camx export camx-out --format label-studio --shape polygon --threshold 0.3": "predictions to correct by hand",
    },
    page="export.md",
)
