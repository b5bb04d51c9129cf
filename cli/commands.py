"""Commands of camx by name, in the order of the help, without `camx config`, which reads this table."""

from __future__ import annotations

from . import (
    activations,
    ask,
    audit,
    caption,
    compare,
    doctor,
    evaluate,
    explain,
    export,
    layers,
    merge,
    methods,
    models,
    patterns,
    push,
    report,
    train_gap,
)

COMMANDS = {
    "explain": explain.COMMAND,
    "activations": activations.COMMAND,
    "train-gap": train_gap.COMMAND,
    "push": push.COMMAND,
    "layers": layers.COMMAND,
    "methods": methods.COMMAND,
    "models": models.COMMAND,
    "report": report.COMMAND,
    "merge": merge.COMMAND,
    "audit": audit.COMMAND,
    "compare": compare.COMMAND,
    "evaluate": evaluate.COMMAND,
    "patterns": patterns.COMMAND,
    "export": export.COMMAND,
    "caption": caption.COMMAND,
    "ask": ask.COMMAND,
    "doctor": doctor.COMMAND,
}
