"""Matches tensors of a checkpoint with the names of a network, and explains mismatches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch

from ..errors import CamxError
from ..sentences import counted
from .checkpoints import Checkpoint
from .weights import Tensors

#: Buffers that a network computes when it is built: they may be absent or present.
_COMPUTED = ("num_batches_tracked", "relative_position_index", "attn_mask", "position_ids", "relative_coords_table")
#: Counters and placeholders that tools leave in a state dict and that no forward uses.
_COUNTERS = ("n_averaged", "total_ops", "total_params", "dummy_param", "device_indicator", "global_step")
_METRIC = re.compile(r"(^|[._])(metrics?|acc|accuracy|auroc|auc|f1|f1_?score|confmat|confusion_matrix|recall)([._]|$)")
_LOSS = re.compile(r"(^|[._])(loss|loss_fn|loss_func|loss_function|criterion|objective)([._]|\d|$)|loss[._]")
#: Most parts of a name that form a prefix.
_DEEPEST = 50


@dataclass(frozen=True)
class Match:
    """Result of a comparison.

    tensors: by names of the network. prefix: removed from the names in the file. missing: names of the network without
    a tensor. inside: tensors under the prefix that the network lacks. outside: tensors under other prefixes, by full
    names. idle: names in the file of tensors that do not influence the scores. wrong: names whose shapes differ.
    """

    tensors: Tensors
    prefix: str
    missing: tuple[str, ...]
    inside: Tensors
    outside: Tensors
    idle: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.missing or self.inside or self.outside or self.wrong)

    @property
    def problems(self) -> int:
        """Number of tensors that do not fit."""
        return len(self.missing) + len(self.inside) + len(self.outside) + len(self.wrong)


def matched(
    tensors: Tensors,
    expected: Mapping[str, torch.Tensor],
    *,
    path: str,
    ignored: Collection[str] = (),
    ema: bool | None = None,
) -> Match:
    """Compares the tensors of the file at `path` with a network's `state_dict()`. Loads nothing.

    ignored: globs of names in the file that may be left over. ema: choice between two copies under different prefixes,
    the averaged one (None, True) or the other. Raises `CamxError` if two networks in the file fit equally well.
    """
    prefix, others = _prefix(tensors, expected, path, ema)
    found: Tensors = {}
    inside: Tensors = {}
    outside: Tensors = {}
    idle: list[str] = []
    for name, tensor in tensors.items():
        own = name.removeprefix(prefix)
        if name.startswith(prefix) and own in expected:
            found[own] = tensor
        elif _is_ignored(name, own, ignored) or is_idle(name, tensor) or name.startswith(others):
            idle.append(name)
        elif name.startswith(prefix):
            inside[own] = tensor
        else:
            outside[name] = tensor
    missing = tuple(n for n in expected if n not in found and not n.endswith(_COMPUTED))
    wrong = tuple(n for n, t in found.items() if t.shape != expected[n].shape)
    return Match(found, prefix, missing, inside, outside, tuple(idle), wrong)


def _is_ignored(name: str, own: str, globs: Collection[str]) -> bool:
    return any(fnmatchcase(name, glob) or fnmatchcase(own, glob) for glob in globs)


def is_idle(name: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor is never used in a forward: counters, class weights of a loss, states of metrics."""
    last = name.rpartition(".")[2]
    if last in _COMPUTED or last in _COUNTERS or tensor.numel() == 0:
        return True
    if _LOSS.search(name) and tensor.dim() <= 1:
        return True
    return bool(_METRIC.search(name)) and (tensor.dim() <= 1 or not tensor.is_floating_point())


def _prefix(
    tensors: Tensors, expected: Mapping[str, torch.Tensor], path: str, ema: bool | None
) -> tuple[str, tuple[str, ...]]:
    """Prefix (`module.`, `model.`, `backbone.` …) under which most names fit, and prefixes of other copies.

    Raises `CamxError` if two prefixes fit equally well and neither is an average of the other.
    """
    counts = _prefixes(tensors, expected)
    most = max(counts.values())
    # No prefix is preferred to one under which equally many fit.
    fitting = [""] if counts[""] == most else []
    fitting += sorted(prefix for prefix, hits in counts.items() if prefix and hits == most and most)
    if len(fitting) == 1:
        return fitting[0], ()
    if most <= len(expected) // 2:  # the blocks of one network share names, too
        return "", ()
    averaged = [prefix for prefix in fitting if _is_average(prefix)]
    plain = [prefix for prefix in fitting if prefix not in averaged]
    wanted = plain if ema is False else averaged
    if len(wanted) == 1 and len(fitting) == 2:
        return wanted[0], tuple(prefix for prefix in fitting if prefix != wanted[0])
    raise CamxError(
        f"The checkpoint {path!r} holds several networks ({', '.join(map(repr, fitting))}).",
        f"Save the one to be explained on its own, or leave the other out: `ignore_tensors={fitting[-1]}*`.",
    )


def _is_average(prefix: str) -> bool:
    words = re.split("[._]", prefix)
    return any(word in ("ema", "swa") or word.startswith("averaged") for word in words)


def _prefixes(tensors: Iterable[str], expected: Mapping[str, torch.Tensor]) -> Counter[str]:
    """Number of names of the network after each prefix in the file; always includes ""."""
    counts = Counter({"": 0})
    for name in tensors:
        rest, prefix = name, ""
        for _ in range(_DEEPEST):
            if rest in expected:
                counts[prefix] += 1
            part, dot, rest = rest.partition(".")
            if not dot:
                break
            prefix += part + dot
    return counts


def mismatch(checkpoint: Checkpoint, match: Match, expected: Mapping[str, torch.Tensor], name: str) -> CamxError:
    """Error for a checkpoint that does not fit, with the next steps."""
    path = checkpoint.path
    if not match.tensors:
        extra = [*match.inside, *match.outside]
        return CamxError(
            f"The checkpoint {path!r} belongs to another architecture: none of its tensors ({_few(extra)}) is in "
            f"{name}, which needs {_few(list(match.missing))}.",
            "Give the `model` it was trained as.",
        )
    left = {**match.inside, **match.outside}
    if any("lora_" in name for name in left):
        return CamxError(
            f"The checkpoint {path!r} holds an adapter (LoRA), alone or beside its network: {groups(left)}.",
            "Merge it first: model.merge_and_unload(), then save the state_dict().",
        )
    if left and not match.missing and not match.wrong:
        return CamxError(
            f"The checkpoint {path!r} holds more than {name}: {groups(left)} would be left over, but the scores "
            "may depend on them.",
            f"Give the `model` it was trained as, your own code with `model=my_module.py:build`, or leave them out "
            f"with `ignore_tensors={next(iter(_grouped(left)))}`.",
        )
    if match.missing and not left and not match.wrong and len({_stem(n) for n in match.missing}) == 1:
        return CamxError(
            f"The checkpoint {path!r} misses {_few(list(match.missing))}: it is a backbone without a classifier.",
            "Give one that has it, or train one with `camx train-gap`.",
        )
    parts = [f"misses {_few(list(match.missing))}"] * bool(match.missing)
    parts += [f"has {groups(left)} too many"] * bool(left)
    if match.wrong and not parts:
        first = match.wrong[0]
        want, have = tuple(expected[first].shape), tuple(match.tensors[first].shape)
        more = f" (and {len(match.wrong) - 1} more)" if len(match.wrong) > 1 else ""
        return CamxError(
            f"The checkpoint {path!r} does not fit {name}: {first!r} is {have}, the model has {want}{more}.",
            "Give the `model` and `model_arg` it was trained as.",
        )
    return CamxError(
        f"The checkpoint {path!r} does not fit {name}: it {' and '.join(parts)}.",
        "Give the `model` (and `model_arg`) it was trained as, or your own code with `model=my_module.py:build`.",
    )


def groups(tensors: Mapping[str, torch.Tensor]) -> str:
    """Describes tensors by prefix: `head.* (weight 3×512, bias 3)`."""
    shown = []
    for glob, names in list(_grouped(tensors).items())[:3]:
        stem = glob.removesuffix("*") if glob.endswith("*") else ""
        listed = [f"{n.removeprefix(stem)} {'×'.join(map(str, tensors[n].shape)) or 'scalar'}" for n in names[:3]]
        rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
        shown.append(f"{glob} ({', '.join(listed)}{rest})" if glob.endswith("*") else listed[0])
    more = len(_grouped(tensors)) - 3
    return ", ".join(shown) + (f" and {counted(more, 'more group')}" if more > 0 else "")


def _grouped(tensors: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in tensors:
        top, dot, _ = name.partition(".")
        found.setdefault(f"{top}.*" if dot else name, []).append(name)
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
