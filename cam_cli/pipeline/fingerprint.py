"""Fingerprint of a run: the values on which its results depend. A folder holds results of one fingerprint."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ..images.target_masks import digest_of
from ..maps.thresholds import HALF
from ..models.tasks import CLASSIFICATION, DETECTION
from ..options import results
from ..outputs.options import Rendering

if TYPE_CHECKING:
    from ..cams.engine.explainer import Explainer
    from .job import ExplainJob, RunOptions
    from .progress import Engine


def common_fingerprint(job: RunOptions, engine: Engine, base: str) -> dict[str, Any]:
    """Common part of all commands: folder of the images, network, preprocessing and layer.

    Default decoding and pixels are absent, so that folders of versions without these options can be continued.
    """
    network, pixels = engine.network, job.pixels.fingerprint()
    return {
        "inputs": base,
        "model": network.name,
        "model_args": dict(network.args),
        "weights": network.digest,
        "preprocessing": network.preprocessing.as_dict(),
        "precision": engine.precision,
        "layer": engine.layer.name,
        **({} if job.decode == "exact" else {"decode": job.decode}),
        **({} if network.scores is None else {"scores": getattr(network.scores, "__qualname__", str(network.scores))}),
        **({"pixels": pixels} if pixels else {}),
        # In fp32 all backends give equal maps.
        **({"backend": engine.backend} if engine.backend == "openvino" and engine.precision != "fp32" else {}),
    }


def fingerprint(job: ExplainJob, explainer: Explainer, base: str) -> dict[str, Any]:
    """Fingerprint of `camx explain`: each option on which results depend, with names resolved."""
    names = "\n".join(explainer.network.classes.names)
    options = results(job.explain)
    options.pop("precision")
    several, most = options.pop("multi_label"), options.pop("max_boxes")
    detects = explainer.task == DETECTION
    options["methods"] = explainer.options.methods
    return {
        "command": "explain",
        **common_fingerprint(job, explainer, base),
        "class_names": hashlib.sha256(names.encode()).hexdigest()[:16],
        **options,
        "layers": [layer.name for layer in explainer.layers],
        **({} if explainer.task == CLASSIFICATION else {"task": explainer.task}),
        **_mask_fingerprint(job),
        **(
            {"references": [one.digest for one in explainer.references.targets]} if explainer.references.targets else {}
        ),
        "threshold": options["threshold"] if several or detects else None,
        **({"max_boxes": most} if detects else {}),
        "rendering": rendering_fingerprint(job.rendering),
    }


def _mask_fingerprint(job: ExplainJob) -> dict[str, Any]:
    """Digest of the masks of a run, and the meaning of their levels; empty without masks."""
    if job.mask.target_mask is None:
        return {}
    return {"target_masks": digest_of(job.mask.target_mask), "mask_levels": job.mask.mask_levels}


def rendering_fingerprint(rendering: Rendering) -> dict[str, Any]:
    """Options of the drawn files. Options that older versions lacked appear only if they differ from the default.

    A threshold from the evaluation of another run appears as its number, or one number per method.
    """
    named = {**results(rendering), "save": tuple(sorted(rendering.save))}
    if rendering.evaluated:
        each = {method: rendering.threshold_of(method).value for method, _ in rendering.evaluated}
        named["box_threshold"] = each if len({*each.values()}) > 1 else next(iter(each.values()))
    usual = {
        "box_threshold": HALF,
        **{name: results(Rendering())[name] for name in ("opacity", "min_heat", "draw", "scale", "panel")},
    }
    return {name: value for name, value in named.items() if name not in usual or value != usual[name]}
