"""Maps of a transformer from scores of images with some of their tokens, without gradients: B×T×h×w."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import CamxError
from ..tracing.attention import Attention, read_attention
from ..tracing.replay import Replay
from ..tracing.scores import network_name
from ..tracing.token_choice import scores_of_tokens
from ..tracing.trace import Trace
from .method import method
from .perturbation import each_image

#: Masks of an image, the share of the tokens that each keeps, and the most rounds of the clustering that makes them.
MASKS, KEPT, ROUNDS = 1024, 0.5, 20


def needs_free_tokens(trace: Trace) -> None:
    """Raises `CamxError` for a network that does not run on some of its tokens."""
    name = network_name(trace.replay.module)
    attention = _attention(trace, 0)
    if not attention.blocks:
        raise CamxError(
            f"{name} has no sequence of blocks with one attention each, of which `methods=tis` gives the first one "
            "some of the tokens. Use `methods=attention-gradient`."
        )
    tokens = torch.arange(attention.layout.height * attention.layout.width, device=trace.logits.device)[None]
    try:
        whole = _scores(trace.replay, 0, attention, tokens)
        _scores(trace.replay, 0, attention, tokens[:, ::2])
        same = torch.allclose(whole, trace.logits[:1], rtol=1e-2, atol=1e-2 * float(trace.logits.abs().max()))
    except (RuntimeError, IndexError, TypeError):
        same = False
    if not same:
        raise CamxError(
            f"`methods=tis` runs the network on some of its tokens, and {name} needs all of them (its position "
            "encoding or its head depends on their number). Use `methods=reciprocam`, which keeps all tokens.",
            field="methods",
        )


@method(
    "tis",
    summary="scores with half of the tokens, in masks from the activations",
    paper="Englebert et al. 2023",
    equation="Σ_n p_c(tokens of M_n)·M_n / Σ_n M_n, M_n the larger half of a k-means centre of the activations",
    forwards=f"1 + {MASKS}",
    gradients=False,
    works="ViT",
    grid="patches",
    check=needs_free_tokens,
)
def tis(trace: Trace, classes: Tensor) -> Tensor:
    """Σ_n p_c(M_n)·M_n / Σ_n M_n over N sets M_n of tokens that the network gets (Englebert et al. 2023).

    A mask keeps the half of the tokens where a centre is largest; the centres are those of the activations of all
    blocks: a channel is a point with a coordinate per token. Class and register tokens stay. Subtracts the minimum of
    each map, as in the authors' code.
    """

    def one(image: int) -> Tensor:
        # One image at a time: rounding that depends on neighbours could move a point to another cluster.
        attention = _attention(trace, image)
        layout = attention.layout
        points = torch.cat([layout.to_nchw(output.detach())[0].float().flatten(1) for output in attention.outputs])
        centres = clusters(points, min(MASKS, len(points)), trace.replay.generator())
        tokens = centres.topk(max(1, int(KEPT * centres.shape[1])), dim=1).indices
        masks = torch.zeros_like(centres).scatter_(1, tokens, 1.0)
        scores = _scores(trace.replay, image, attention, tokens)
        chances = trace.replay.probabilities(scores)[:, classes[image]]
        # A token that no mask keeps gets the mean score.
        sums, counts = chances.T @ masks, masks.sum(dim=0)
        means = torch.where(counts > 0, sums / counts.clamp_min(1), chances.mean(dim=0)[:, None])
        return trace.sign * means.view(-1, layout.height, layout.width)

    maps = torch.stack(each_image(trace, one))
    return maps - maps.amin(dim=(2, 3), keepdim=True)


def clusters(points: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """Returns the centres count×D of a k-means clustering of points n×D, which begins with random points."""
    chosen = torch.randperm(len(points), generator=draw)[:count].to(points.device)
    centres = points[chosen]
    nearest = torch.full((len(points),), -1, device=points.device)
    for _ in range(ROUNDS):
        # The squared length of a point is the same for all centres.
        found = (centres.square().sum(dim=1) - 2 * points @ centres.T).argmin(dim=1)
        if torch.equal(found, nearest):
            break
        nearest = found
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        members = torch.bincount(nearest, minlength=count)[:, None]
        centres = torch.where(members > 0, sums / members.clamp_min(1), centres)
    return centres


def _attention(trace: Trace, image: int) -> Attention:
    replay = trace.replay
    with replay.autocast():
        return read_attention(replay.module, replay.inputs[image : image + 1], trace.layer.layout)


def _scores(replay: Replay, image: int, attention: Attention, tokens: Tensor) -> Tensor:
    """Returns the scores n×K of an image of the batch for patch tokens n×k, as many at once as memory allows."""
    picture = replay.inputs[image : image + 1]

    def run(part: slice) -> Tensor:
        with replay.autocast():
            return scores_of_tokens(replay.module, picture, attention, tokens[part]).float()

    return replay.in_parts(len(tokens), run)
