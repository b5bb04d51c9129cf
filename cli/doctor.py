"""`camx doctor`: describes the installation, for bug reports."""

from __future__ import annotations

from dataclasses import dataclass

from .bind import Command
from .models import PrintJson
from .terminal import out, out_json, status


@dataclass(frozen=True)
class DoctorJob:
    """Options of `camx doctor`."""

    as_json: PrintJson = False


def doctor(job: DoctorJob) -> int:
    """Show versions, devices, decoders, caches and extras of this installation, for a bug report.

    Exit code 1 if a required part does not work. Shows neither keys nor passwords.
    """
    from cam_cli.doctor import diagnose

    with status("looking at devices and packages …"):
        found = diagnose()
    if job.as_json:
        out_json({**found.sections, "problems": list(found.problems)})
    else:
        for title, facts in found.sections.items():
            if facts:
                out(title)
                width = max(len(name) for name in facts)
                out("\n".join(f"  {name:{width}}  {value}" for name, value in facts.items()))
        out("\n".join(f"problem: {text}" for text in found.problems) or "No problems found.")
    return 1 if found.problems else 0


COMMAND = Command(
    doctor,
    examples={
        "camx doctor": "paste it into a bug report",
        "camx doctor --json": "for scripts",
    },
)
