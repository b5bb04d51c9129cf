"""The methods as their papers write them: one image, one class, the whole graph, float64, loops where the paper has sums.

Slow and obvious on purpose. `A` are the activations C×h×w, `g` the gradients of the class score to them.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cam_cli.cams.methods.graph_segments import segments
from cam_cli.cams.methods.superpixels import superpixels
from cam_cli.models.hooks import TargetLayer

from .relevance_definitions import attnlrp, lrp


class Slow:
    """One network in float64 with one picture C×H×W and one class."""

    def __init__(self, module: nn.Module, picture: Tensor, layer: TargetLayer, wanted: int) -> None:
        self.module = copy.deepcopy(module).double().eval()
        self.x, self.layer, self.c = picture.double(), layer, wanted
        self.A, self.g = (one.numpy() for one in self.features_and_gradient(self.x, lambda scores: scores[wanted]))
        self.y = self.scores(self.x)

    def scores(self, picture: Tensor) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = self.module(picture[None])[0].numpy()
        return found

    def p(self, scores: np.ndarray) -> float:
        shifted = np.exp(scores - scores.max())
        return float(shifted[self.c] / shifted.sum())

    def features_and_gradient(self, picture: Tensor, value: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        kept: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            output.retain_grad()
            kept.append(output)
            return output.clone()

        handle = self.module.get_submodule(self.layer.name).register_forward_hook(keep)
        value(self.module(picture[None].requires_grad_())[0]).backward()
        handle.remove()
        assert kept[0].grad is not None
        to_nchw = self.layer.layout.to_nchw
        return to_nchw(kept[0].detach())[0], to_nchw(kept[0].grad)[0]

    def scores_with(self, activations: np.ndarray) -> np.ndarray:
        """The scores with other activations at the layer; maps only, no tokens."""

        def put(_module: nn.Module, _inputs: Any, _output: Tensor) -> Tensor:
            return torch.from_numpy(activations)[None].clone()

        handle = self.module.get_submodule(self.layer.name).register_forward_hook(put)
        found = self.scores(self.x)
        handle.remove()
        return found

    def pixel_gradient(self, picture: Tensor) -> np.ndarray:
        leaf = picture.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.module(leaf[None])[0, self.c], leaf)
        return gradient.numpy()


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)


def weighted(weights: list[Any], A: np.ndarray) -> np.ndarray:
    total = np.zeros(A.shape[1:])
    for w, channel in zip(weights, A):
        total += w * channel
    return total


def gradcam(s: Slow) -> np.ndarray:
    return weighted([g.mean() for g in s.g], s.A)


def cam(s: Slow) -> np.ndarray:
    w = s.module.get_parameter("fc.weight").detach().numpy()
    return weighted(list(w[s.c]), s.A)


def gradcampp(s: Slow) -> np.ndarray:
    weights = []
    for A, g in zip(s.A, s.g):
        alpha = np.zeros_like(g)
        for ij in np.ndindex(g.shape):
            if g[ij] != 0:
                alpha[ij] = g[ij] ** 2 / (2 * g[ij] ** 2 + A.sum() * g[ij] ** 3)
        weights.append((alpha * relu(g)).sum())
    return weighted(weights, s.A)


def smooth_gradcampp(s: Slow) -> np.ndarray:
    noise = torch.randn(8, *s.x.shape, generator=torch.Generator().manual_seed(0)).double()
    spread = s.x.max() - s.x.min()
    copies = [
        s.features_and_gradient(s.x + 0.15 * spread * one, lambda scores: scores[s.c])[1].numpy() for one in noise
    ]
    d1, d2, d3 = (np.mean([g**power for g in copies], axis=0) for power in (1, 2, 3))
    weights = []
    for A, one, two, three in zip(s.A, d1, d2, d3):
        below = 2 * two + A.sum() * three
        alpha = np.divide(two, below, out=np.zeros_like(two), where=below != 0)
        weights.append((alpha * relu(one)).sum())
    return weighted(weights, s.A)


def xgradcam(s: Slow) -> np.ndarray:
    return weighted([sum(A[ij] / A.sum() * g[ij] for ij in np.ndindex(A.shape)) for A, g in zip(s.A, s.g)], s.A)


def hirescam(s: Slow) -> np.ndarray:
    return weighted(list(s.g), s.A)


def layercam(s: Slow) -> np.ndarray:
    return weighted([relu(g) for g in s.g], s.A)


def elementwise(s: Slow) -> np.ndarray:
    return np.sum([relu(g * A) for A, g in zip(s.A, s.g)], axis=0)


def finercam(s: Slow) -> np.ndarray:
    others = sorted((k for k in range(len(s.y)) if k != s.c), key=lambda k: abs(s.y[k] - s.y[s.c]))[:3]
    shares = np.exp(s.y[others]) / np.exp(s.y[others]).sum()

    def value(scores: Tensor) -> Tensor:
        return sum(float(share) * (scores[s.c] - scores[d]) for share, d in zip(shares, others))  # type: ignore[return-value]

    A, g = s.features_and_gradient(s.x, value)
    return weighted([one.mean() for one in g.numpy()], A.numpy())


def shapleycam(s: Slow) -> np.ndarray:
    """H·A by central differences of the gradient of u along A."""

    def gradient(step: float) -> np.ndarray:
        kept: list[Tensor] = []

        def put(_module: nn.Module, _inputs: Any, _output: Tensor) -> Tensor:
            kept.append(torch.from_numpy(s.A * (1 + step)).clone().requires_grad_())
            return kept[0][None].clone()

        handle = s.module.get_submodule(s.layer.name).register_forward_hook(put)
        scores = s.module(s.x[None])[0]
        handle.remove()
        (scores[s.c] + scores.log_softmax(0)[s.c]).backward()
        assert kept[0].grad is not None
        return kept[0].grad.numpy()

    curve = (gradient(1e-5) - gradient(-1e-5)) / 2e-5
    return weighted([one.mean() for one in gradient(0.0) - curve / 2], s.A)


def refinecam(s: Slow) -> np.ndarray:
    """At the layer and at the ReLU in the middle of it, whose grid is twice as fine."""
    early = Slow(s.module, s.x, dataclasses.replace(s.layer, name=f"{s.layer.name}.1"), s.c)
    late, fine = (relu(found) / found.max() for found in (gradcampp(s), gradcampp(early)))
    return bilinear(late, *fine.shape) * fine


def _starts(whole: int, side: int) -> list[int]:
    return [min(start, whole - side) for start in range(0, whole, side)]


def sess(s: Slow) -> np.ndarray:
    height, width = s.x.shape[1:]
    windows = []
    for scale in range(12):
        high, wide = (round(side * (7 + 2 * scale) / 7) for side in (height, width))
        large = torch.nn.functional.interpolate(s.x[None], (high, wide), mode="bilinear", align_corners=False)[0]
        for top in _starts(high, height):
            for left in _starts(wide, width):
                window = large[:, top : top + height, left : left + width].clone()
                windows.append((s.p(s.scores(window)), window, (high, wide, top, left)))
    windows.sort(key=lambda one: -one[0])
    size = (4 * s.A.shape[1], 4 * s.A.shape[2])
    total, count = np.zeros(size), np.zeros(size)
    for chance, window, (high, wide, top, left) in windows[:13]:
        A, g = (one.numpy() for one in s.features_and_gradient(window, lambda scores: scores[s.c]))
        found = relu(weighted([one.mean() for one in g], A))
        for i, j in np.ndindex(*size):
            y = ((i + 0.5) / size[0] * high - top) / height
            x = ((j + 0.5) / size[1] * wide - left) / width
            if 0 <= y <= 1 and 0 <= x <= 1 and found.max() > 0:
                rows = [np.interp(x * A.shape[2], np.arange(A.shape[2]) + 0.5, row) for row in found]
                value = np.interp(y * A.shape[1], np.arange(A.shape[1]) + 0.5, rows) / found.max()
                total[i, j] += chance / windows[0][0] * value
                count[i, j] += value > 0
    return np.divide(total, count, out=np.zeros(size), where=count > 0)


def _first_component(M: np.ndarray) -> np.ndarray:
    positions = M.reshape(len(M), -1).T
    _, _, right = np.linalg.svd(positions)
    found = positions @ right[0]
    return (found if found @ positions.sum(1) >= 0 else -found).reshape(M.shape[1:])


def eigencam(s: Slow) -> np.ndarray:
    found = _first_component(s.A)
    return found if found.sum() >= 0 else -found


def kpcacam(s: Slow) -> np.ndarray:
    a = (s.A - s.A.mean((1, 2), keepdims=True)).reshape(len(s.A), -1).T
    K = np.tanh(a @ a.T / a.shape[1] + 1)
    J = np.eye(len(K)) - 1 / len(K)
    values, vectors = np.linalg.eigh(J @ K @ J)
    return _largest_positive(np.sqrt(values[-1]) * vectors[:, -1].reshape(s.A.shape[1:]))


def _largest_positive(found: np.ndarray) -> np.ndarray:
    return found if found.max() >= -found.min() else -found


def eigengradcam(s: Slow) -> np.ndarray:
    products = s.g * s.A
    return _first_component(products - products.mean((1, 2), keepdims=True))


def segeigencam(s: Slow) -> np.ndarray:
    products = np.abs(s.g) * s.A
    return _largest_positive(_first_component(products - products.mean((1, 2), keepdims=True)))


def fem(s: Slow) -> np.ndarray:
    return np.sum([A.mean() * (A.mean() + 2 * A.std() < A) for A in s.A], axis=0)


def bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarged between the centres of the cells, edges held."""

    def at(cells: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(cells) + 0.5, (np.arange(pixels) + 0.5) * cells / pixels

    (y, wanted_y), (x, wanted_x) = at(values.shape[0], height), at(values.shape[1], width)
    rows = np.stack([np.interp(wanted_x, x, row) for row in values])
    return np.stack([np.interp(wanted_y, y, column) for column in rows.T]).T


def _mask(A: np.ndarray, s: Slow) -> np.ndarray:
    mask = bilinear(A, *s.x.shape[1:])
    found: np.ndarray = (mask - mask.min()) / (mask.max() - mask.min())
    return found


def _by_scores(s: Slow, score: Callable[[np.ndarray], float]) -> np.ndarray:
    """Σ_k softmax_k(score of the mask of channel k)·A_k."""
    scores = [score(_mask(A, s)) for A in s.A]
    weights = np.exp(np.array(scores) - max(scores))
    return weighted(list(weights / weights.sum()), s.A)


def _score_of(s: Slow, mask: np.ndarray) -> float:
    return float(s.scores(s.x * torch.from_numpy(mask))[s.c])


def scorecam(s: Slow) -> np.ndarray:
    return _by_scores(s, lambda mask: _score_of(s, mask))


def sscam(s: Slow) -> np.ndarray:
    noise = 2 * torch.randn(10, 1, *s.x.shape[1:], generator=torch.Generator().manual_seed(0)).double().numpy()[:, 0]
    return _by_scores(s, lambda mask: float(np.mean([_score_of(s, mask + one) for one in noise])))


def iscam(s: Slow) -> np.ndarray:
    return _by_scores(s, lambda mask: float(np.mean([_score_of(s, mask * n / 10) for n in range(1, 11)])))


def ablationcam(s: Slow) -> np.ndarray:
    weights = []
    for k in range(len(s.A)):
        without = s.A.copy()
        without[k] = 0
        weights.append(s.y[s.c] - s.scores_with(without)[s.c])
    return weighted(weights, s.A)


def reciprocam(s: Slow) -> np.ndarray:
    found = np.zeros(s.A.shape[1:])
    for i, j in np.ndindex(found.shape):
        mask = np.zeros(found.shape)
        for di, dj in np.ndindex(3, 3):
            y, x = i + di - 1, j + dj - 1
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                mask[y, x] = (1, 2, 1)[di] * (1, 2, 1)[dj] / 16
        found[i, j] = s.p(s.scores_with(s.A * mask))
    return found - found.min()


def rise(s: Slow, count: int = 40) -> np.ndarray:
    draw = torch.Generator().manual_seed(0)
    cells = (torch.rand(count, 1, 8, 8, generator=draw) < 0.5).double().numpy()[:, 0]
    shifts = torch.rand(count, 2, generator=draw).numpy()
    height, width = s.x.shape[1:]
    cell_y, cell_x = -(-height // 7), -(-width // 7)
    masks, chances = [], []
    for one, (down, right) in zip(cells, shifts):
        large = bilinear(one, 8 * cell_y, 8 * cell_x)
        top, left = int(down * cell_y), int(right * cell_x)
        masks.append(large[top : top + height, left : left + width])
        chances.append(s.p(s.scores(s.x * torch.from_numpy(masks[-1]))))
    return np.sum([(p - np.mean(chances)) * (m - 0.5) for p, m in zip(chances, masks)], axis=0) / (count * 0.25)


def occlusion(s: Slow) -> np.ndarray:
    """Windows of an eighth of the side, 15 per side from edge to edge, covered with the mean colour, which is 0."""
    height, width = s.x.shape[1:]
    down, across = round(height / 8), round(width / 8)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for i, j in np.ndindex(15, 15):
        top, left = (height - down) * i // 14, (width - across) * j // 14
        window = (slice(top, top + down), slice(left, left + across))
        covered = s.x.clone()
        covered[:, window[0], window[1]] = 0
        total[window] += s.p(s.y) - s.p(s.scores(covered))
        count[window] += 1
    return total / count


def pixels_of(s: Slow) -> np.ndarray:
    found: np.ndarray = s.x.numpy().transpose(1, 2, 0) / 2 + 0.5  # mean and deviation are 0.5
    return found


def with_superpixels(s: Slow, labels: np.ndarray, seen: Collection[int]) -> np.ndarray:
    """The scores of the picture with only these superpixels; the others have the mean colour, which is 0."""
    return s.scores(s.x * torch.from_numpy(np.isin(labels, list(seen))))


def kernel_shap(s: Slow) -> np.ndarray:
    """Shapley values by their definition: what a superpixel adds to each set of others, weighted by its chance."""
    labels = superpixels(pixels_of(s), 6)
    players = range(labels.max() + 1)
    known = {
        seen: with_superpixels(s, labels, seen)[s.c]
        for size in range(len(players) + 1)
        for seen in map(frozenset, itertools.combinations(players, size))
    }
    found = np.zeros(labels.shape)
    for one in players:
        for seen in known:
            if one not in seen:
                chance = 1 / (len(players) * math.comb(len(players) - 1, len(seen)))
                found[labels == one] += chance * (known[seen | {one}] - known[seen])
    return found


def lime(s: Slow, count: int = 300) -> np.ndarray:
    """Least squares over the samples and, for the ridge, over one more equation β_i = 0 per superpixel."""
    labels = superpixels(pixels_of(s), 6)
    players = int(labels.max()) + 1
    rows = (torch.rand(count, players, generator=torch.Generator().manual_seed(0)) < 0.5).double().numpy()
    rows[0] = 1
    equations, sides = [], []
    for row in rows:
        cosine = row.sum() / math.sqrt(max(row.sum(), 1e-30) * players)
        weight = math.sqrt(math.exp(-((1 - cosine) ** 2) / 0.25**2))
        equations.append(math.sqrt(weight) * np.array([1, *row]))
        sides.append(math.sqrt(weight) * s.p(with_superpixels(s, labels, np.flatnonzero(row).tolist())))
    equations += [np.eye(players + 1)[one + 1] for one in range(players)]
    found = np.linalg.lstsq(np.array(equations), np.array(sides + [0.0] * players), rcond=None)[0]
    drawn: np.ndarray = found[1:][labels]
    return drawn


def saliency(s: Slow) -> np.ndarray:
    found: np.ndarray = np.abs(s.pixel_gradient(s.x)).max(0)
    return found


def noisy_gradients(s: Slow) -> np.ndarray:
    noise = torch.randn(16, *s.x.shape, generator=torch.Generator().manual_seed(0)).double()
    return np.stack([s.pixel_gradient(s.x + 0.15 * (s.x.max() - s.x.min()) * one) for one in noise])


def smoothgrad(s: Slow) -> np.ndarray:
    found: np.ndarray = np.abs(noisy_gradients(s).mean(0)).max(0)
    return found


def smoothgrad_squared(s: Slow) -> np.ndarray:
    found: np.ndarray = (noisy_gradients(s) ** 2).mean(0).max(0)
    return found


def vargrad(s: Slow) -> np.ndarray:
    found: np.ndarray = noisy_gradients(s).var(0).max(0)
    return found


def integrated_gradients(s: Slow) -> np.ndarray:
    black = torch.full_like(s.x, -1.0)  # mean and deviation are 0.5
    total = np.zeros(s.x.shape)
    for step in range(32):
        total += s.pixel_gradient(black + (step + 0.5) / 32 * (s.x - black)) / 32
    found: np.ndarray = (total * (s.x - black).numpy()).sum(0)
    return found


def gradient_shap(s: Slow) -> np.ndarray:
    draw = torch.Generator().manual_seed(0)
    colours = torch.rand(32, 1, len(s.x), 1, 1, generator=draw).double()[:, 0]
    chances = torch.rand(32, generator=draw).double().numpy()
    total = np.zeros(s.x.shape)
    for n, (colour, chance) in enumerate(zip(colours, chances)):
        start = (2 * colour - 1).expand_as(s.x)  # mean and deviation are 0.5
        share = (n + chance) / 32
        total += (s.x - start).numpy() * s.pixel_gradient(start + share * (s.x - start)) / 32
    found: np.ndarray = total.sum(0)
    return found


def diffused(x: Tensor, deviation: float) -> Tensor:
    """Heat that spreads between neighbouring pixels for the time deviation²/2, and leaves at no edge."""

    def spread(side: int) -> Tensor:
        flow = torch.diag(torch.ones(side - 1), 1) + torch.diag(torch.ones(side - 1), -1)
        flow = flow.double() - torch.diag(flow.double().sum(1))
        return torch.linalg.matrix_exp(deviation**2 / 2 * flow)

    return spread(x.shape[1]) @ x @ spread(x.shape[2]).T


def blur_ig(s: Slow) -> np.ndarray:
    largest = max(s.x.shape[1:]) / 6
    total = np.zeros(s.x.shape)
    for step in range(32):
        sharp, middle, soft = (diffused(s.x, largest * ((step + t) / 32) ** 2) for t in (0, 0.5, 1))
        total += (sharp - soft).numpy() * s.pixel_gradient(middle)
    found: np.ndarray = total.sum(0)
    return found


def guided_ig(s: Slow, steps: int = 20) -> np.ndarray:
    """Value by value as the paper's algorithm 1 with the authors' bounds: a quarter at a time, 0.02 from the straight way."""
    black, wanted = np.full(s.x.numel(), -1.0), s.x.numpy().ravel()
    x, total = black.copy(), np.zeros(s.x.numel())
    whole = np.abs(wanted - black).sum()
    for step in range(1, steps + 1):
        g = s.pixel_gradient(torch.from_numpy(x.reshape(s.x.shape)).clone()).ravel()
        lowest, highest = (black + min(max(step / steps + d, 0), 1) * (wanted - black) for d in (-0.02, 0.02))
        moved = x.copy()
        behind = np.abs(moved - black) < np.abs(lowest - black)
        moved[behind] = lowest[behind]
        target = whole * (1 - step / steps)
        size = np.abs(g)
        while np.abs(wanted - moved).sum() > target + 1e-9:
            size[moved == highest] = np.inf
            least = (size <= np.quantile(size, 0.25, method="lower")) & (size < np.inf)
            gap, possible = np.abs(wanted - moved).sum() - target, np.abs(moved - highest)[least].sum()
            if possible <= gap:
                moved[least] = highest[least]
            else:
                moved[least] += gap / possible * (highest - moved)[least]
        total += (moved - x) * g
        x = moved
    return total.reshape(s.x.shape).sum(0)


def from_colour(s: Slow, value: float) -> np.ndarray:
    start = torch.full_like(s.x, value)
    gradients = [s.pixel_gradient(start + (step + 0.5) / 32 * (s.x - start)) for step in range(32)]
    found: np.ndarray = (np.mean(gradients, axis=0) * (s.x - start).numpy()).sum(0)
    return found


def xrai(s: Slow) -> np.ndarray:
    values = (from_colour(s, -1.0) + from_colour(s, 1.0)) / 2
    regions = []
    for labels in segments(pixels_of(s), (50, 100, 150, 250, 500, 1200), 150):
        for label in range(labels.max() + 1):
            padded = np.pad(labels == label, 1)
            own = padded[1:-1, 1:-1]
            regions.append(own | padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2])
    found, taken = np.full(values.shape, np.nan), np.zeros(values.shape, bool)
    while regions := [one for one in regions if (one & ~taken).sum() >= 1]:
        means = [values[one & ~taken].mean() for one in regions]
        best = regions[int(np.argmax(means))]
        found[best & ~taken] = max(means)
        taken |= best
    return found


def fullgrad(s: Slow) -> np.ndarray:
    """Of the network of the tests, layer by layer, with zeros added where a bias enters, whose gradient is asked for."""
    m, zeros, biases = s.module, [], []

    def entered(values: Tensor, bias: Tensor) -> Tensor:
        zeros.append(torch.zeros_like(values, requires_grad=True))
        biases.append(bias)
        return values + zeros[-1]

    x = s.x[None].clone().requires_grad_()
    first, _, second, _ = m.first
    z = entered(first(x), first.bias[:, None, None]).relu()
    z = entered(second(z), second.bias[:, None, None]).relu()
    mixed = entered(m.mix(z), m.mix.bias[:, None, None])
    curved = entered(mixed.tanh(), mixed.tanh() - (1 - mixed.tanh() ** 2) * mixed)
    score = m.fc((z + curved).mean((2, 3)) * 8)[0, s.c]
    own, *slopes = torch.autograd.grad(score, [x, *zeros])
    total = np.zeros(s.x.shape[1:])
    for product in [own * x, *(slope * bias for slope, bias in zip(slopes, biases))]:
        size = product[0].detach().abs().numpy()
        shown = (size - size.min()) / (size.max() - size.min())
        total += sum(bilinear(channel, *total.shape) for channel in shown)
    return total


def _through_relus(s: Slow, rule: Callable[[Tensor, Tensor], Tensor]) -> np.ndarray:
    """The gradient with another rule at every `nn.ReLU`, by hooks on the way back."""
    opened: list[Tensor] = []
    handles = []
    for module in s.module.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
            handles.append(module.register_forward_hook(lambda _m, inputs, _o: opened.append(inputs[0] > 0)))
            handles.append(module.register_full_backward_hook(lambda _m, _down, above: (rule(above[0], opened.pop()),)))
    gradient = s.pixel_gradient(s.x)
    for handle in handles:
        handle.remove()
    found: np.ndarray = np.abs(gradient).max(0)
    return found


def guided_backprop(s: Slow) -> np.ndarray:
    return _through_relus(s, lambda above, is_open: above * (above > 0) * is_open)


def deconvnet(s: Slow) -> np.ndarray:
    return _through_relus(s, lambda above, is_open: above * (above > 0))


def guided_gradcam(s: Slow) -> np.ndarray:
    return guided_backprop(s) * bilinear(relu(gradcam(s)), *s.x.shape[1:])


#: Of the methods for maps of a convolutional network.
DEFINITIONS: dict[str, Callable[[Slow], np.ndarray]] = {
    "gradcam": gradcam,
    "cam": cam,
    "gradcam++": gradcampp,
    "smooth-gradcam++": smooth_gradcampp,
    "xgradcam": xgradcam,
    "hirescam": hirescam,
    "layercam": layercam,
    "elementwise": elementwise,
    "finercam": finercam,
    "shapleycam": shapleycam,
    "refinecam": refinecam,
    "sess": sess,
    "eigencam": eigencam,
    "kpcacam": kpcacam,
    "eigengradcam": eigengradcam,
    "segeigencam": segeigencam,
    "fem": fem,
    "scorecam": scorecam,
    "sscam": sscam,
    "iscam": iscam,
    "ablationcam": ablationcam,
    "reciprocam": reciprocam,
    "rise": rise,
    "occlusion": occlusion,
    "kernel-shap": kernel_shap,
    "lime": lime,
    "saliency": saliency,
    "smoothgrad": smoothgrad,
    "smoothgrad-squared": smoothgrad_squared,
    "vargrad": vargrad,
    "integrated-gradients": integrated_gradients,
    "gradient-shap": gradient_shap,
    "blur-ig": blur_ig,
    "guided-ig": guided_ig,
    "xrai": xrai,
    "fullgrad": fullgrad,
    "guided-backprop": guided_backprop,
    "deconvnet": deconvnet,
    "guided-gradcam": guided_gradcam,
    "lrp": lrp,
}


class SlowAttention:
    """A timm ViT in float64, block by block as its paper writes it, with its attention matrices kept."""

    def __init__(self, module: nn.Module, picture: Tensor, wanted: int) -> None:
        self.module: Any = copy.deepcopy(module).double().eval()
        self.picture, self.c = picture.double(), wanted
        m = self.module
        tokens = m.norm_pre(m.patch_drop(m._pos_embed(m.patch_embed(picture.double()[None]))))
        self.tokens = tokens
        self.attention: list[Tensor] = []
        self.outputs: list[Tensor] = []
        for block in m.blocks:
            tokens = self._block(block, tokens)
            self.outputs.append(tokens)
        self.score = self.head(tokens)

    def _block(self, block: Any, tokens: Tensor) -> Tensor:
        inner = block.attn
        normed = block.norm1(tokens)
        batch, count, width = normed.shape
        q, k, v = inner.qkv(normed).reshape(batch, count, 3, inner.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = inner.q_norm(q), inner.k_norm(k)
        attention = (q @ k.transpose(-2, -1) * inner.scale).softmax(-1)
        self.attention.append(attention)
        mixed = (attention @ v).transpose(1, 2).reshape(batch, count, width)
        tokens = tokens + block.ls1(inner.proj(inner.norm(mixed)))
        return tokens + block.ls2(block.mlp(block.norm2(tokens)))

    def head(self, tokens: Tensor) -> Tensor:
        return self.module.forward_head(self.module.norm(tokens))[0, self.c]

    def p_of(self, kept: list[int]) -> float:
        """The probability of the class where the blocks are given the patch tokens `kept` alone."""
        prefix = self.module.num_prefix_tokens
        tokens = torch.cat([self.tokens[:, :prefix], self.tokens[:, [prefix + one for one in kept]]], 1)
        for block in self.module.blocks:
            tokens = block(tokens)
        return float(self.module.forward_head(self.module.norm(tokens))[0].detach().softmax(0)[self.c])

    def gradient(self, score: Tensor, layer: int) -> np.ndarray:
        (found,) = torch.autograd.grad(score, self.attention[layer], retain_graph=True)
        return found[0].numpy()

    def A(self, layer: int) -> np.ndarray:  # noqa: N802 - as in the papers
        return self.attention[layer][0].detach().numpy()

    def grid(self, row: np.ndarray) -> np.ndarray:
        prefix = self.module.num_prefix_tokens
        side = round((len(row) - prefix) ** 0.5)
        return row[prefix:].reshape(side, side)

    def read(self, matrix: np.ndarray) -> np.ndarray:
        prefix = self.module.num_prefix_tokens
        return self.grid(matrix[0] if self.module.global_pool == "token" else matrix[prefix:].mean(0))


def attention_rollout(s: SlowAttention) -> np.ndarray:
    total = np.eye(s.A(0).shape[-1])
    for layer in range(len(s.attention)):
        total = (0.5 * np.eye(len(total)) + 0.5 * s.A(layer).mean(0)) @ total
    return s.read(total)


def attention_gradient(s: SlowAttention) -> np.ndarray:
    relevance = np.eye(s.A(0).shape[-1])
    for layer in range(len(s.attention)):
        relevance = relevance + relu(s.gradient(s.score, layer) * s.A(layer)).mean(0) @ relevance
    return s.read(relevance - np.eye(len(relevance)))


def legrad(s: SlowAttention) -> np.ndarray:
    maps = [s.grid(relu(s.gradient(s.head(z), layer)).mean((0, 1))) for layer, z in enumerate(s.outputs)]
    found = np.mean(maps, axis=0)
    return found - found.min()


def tis(s: SlowAttention) -> np.ndarray:
    """With no more activations than masks, each is a cluster of its own."""
    prefix = s.module.num_prefix_tokens
    points = np.concatenate([output[0, prefix:].detach().numpy().T for output in s.outputs])
    total, count = np.zeros(points.shape[1]), np.zeros(points.shape[1])
    for point in points:
        kept = sorted(range(len(point)), key=lambda token: -point[token])[: len(point) // 2]
        total[kept] += s.p_of(kept)
        count[kept] += 1
    side = round(len(total) ** 0.5)
    found = (total / count).reshape(side, side)
    return found - found.min()


#: Of the methods for transformers.
ATTENTION: dict[str, Callable[[SlowAttention], np.ndarray]] = {
    "attention-rollout": attention_rollout,
    "attention-gradient": attention_gradient,
    "attnlrp": attnlrp,
    "legrad": legrad,
    "tis": tis,
}
