"""Kernel SHAP and LIME: their sets of superpixels, and the values that they compute from the scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from cam_cli.cams.methods import coalitions, segmented
from cam_cli.cams.methods.coalitions import _constrained, _ridge
from cam_cli.cams.methods.segmented import superpixels_of

from .methods_support import explainer, small
from .test_engine import batch

CLASSES = torch.tensor([[1, 3], [2, 0]])


def weight(players: int, size: int) -> float:
    return (players - 1) / (math.comb(players, size) * size * (players - size))


@pytest.mark.parametrize("players", [2, 3, 4, 7, 8])
def test_all_sets_are_taken_once_where_they_are_few(players: int) -> None:
    sets, weights = coalitions.coalitions(players, 1000, torch.Generator())
    assert len(sets) == 2**players - 2 == len({tuple(one) for one in sets.tolist()})
    for one, mass in zip(sets, weights.tolist()):
        assert mass == pytest.approx(weight(players, int(one.sum())))


@pytest.mark.parametrize("players", [20, 21, 50])
def test_the_weight_of_sizes_that_are_drawn_is_all_that_they_have(players: int) -> None:
    sets, weights = coalitions.coalitions(players, 1000, torch.Generator().manual_seed(0))
    assert 990 <= len(sets) <= 1000
    sizes = sets.sum(1)
    assert ((sizes > 0) & (sizes < players)).all()
    assert torch.equal(sets.sum(0), sets.sum(0).flip(0)), "each set comes with its complement"
    single = (sizes == 1) | (sizes == players - 1)
    assert int(single.sum()) == 2 * players
    total = sum(weight(players, size) * math.comb(players, size) for size in range(1, players))
    assert float(weights.sum()) == pytest.approx(total)


def shapley(value: dict[frozenset[int], float], players: int) -> list[float]:
    """Mean over all orders of the gain of a player over those before it."""
    found = [0.0] * players
    for order in itertools.permutations(range(players)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            found[player] += (value[before | {player}] - value[before]) / math.factorial(players)
    return found


def test_the_values_of_a_game_are_its_shapley_values() -> None:
    players = 5
    draw = np.random.default_rng(0)
    game = {
        seen: float(draw.normal())
        for size in range(players + 1)
        for seen in map(frozenset, itertools.combinations(range(players), size))
    }
    sets, weights = coalitions.coalitions(players, 100, torch.Generator())
    gains = [game[frozenset(row.nonzero()[:, 0].tolist())] - game[frozenset()] for row in sets]
    whole = game[frozenset(range(players))] - game[frozenset()]
    found = _constrained(
        sets.double(),
        weights,
        torch.tensor(gains, dtype=torch.float64)[:, None],
        torch.tensor([[whole]], dtype=torch.float64),
    )
    assert found[:, 0].tolist() == pytest.approx(shapley(game, players), abs=1e-9)


@pytest.mark.parametrize("count", [6, 40])
def test_values_sum_to_the_difference_from_the_covered_image(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One value per superpixel; with all sets, and with drawn ones."""
    monkeypatch.setattr(segmented, "SUPERPIXELS", count)
    monkeypatch.setattr(coalitions, "SAMPLES", 300)
    module, pictures = small(), batch(2, side=24)
    traced, maps = explainer(module, "kernel-shap").explain_tensor(pictures, CLASSES)
    with torch.no_grad():
        covered = module(torch.zeros(1, 3, 24, 24))[0]
    for image, labels in enumerate(superpixels_of(traced.replay, CLASSES)):
        places = [int((labels.flatten() == one).nonzero()[0]) for one in range(int(labels.max()) + 1)]
        values = maps["kernel-shap"][image].flatten(1)
        assert all(len(values[0][labels.flatten() == one].unique()) == 1 for one in range(len(places)))
        wanted = (traced.logits[image] - covered)[CLASSES[image]]
        assert torch.allclose(values[:, places].sum(1), wanted, atol=1e-4 * float(wanted.abs().max()))


def test_drawn_sets_come_near_the_exact_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmented, "SUPERPIXELS", 9)
    maps = []
    for samples in (5000, 500):
        monkeypatch.setattr(coalitions, "SAMPLES", samples)
        maps.append(explainer(small(), "kernel-shap").explain_tensor(batch(1, side=24), CLASSES[:1])[1]["kernel-shap"])
    assert 0 < float((maps[0] - maps[1]).abs().max()) < 0.1 * float(maps[0].abs().max())


def test_an_image_of_one_superpixel_has_all_of_the_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmented, "SUPERPIXELS", 1)
    module = small()
    pictures = torch.full((1, 3, 24, 24), 0.5)
    traced, maps = explainer(module, "kernel-shap", "lime").explain_tensor(pictures, CLASSES[:1])
    with torch.no_grad():
        covered = module(torch.zeros(1, 3, 24, 24))[0]
    wanted = (traced.logits[0] - covered)[CLASSES[0]]
    assert torch.allclose(maps["kernel-shap"][0], wanted[:, None, None].expand(-1, 24, 24), atol=1e-6)
    assert maps["lime"].isfinite().all()


@pytest.mark.extras
def test_a_ridge_is_that_of_scikit_learn() -> None:
    library = pytest.importorskip("sklearn.linear_model")
    draw = torch.Generator().manual_seed(1)
    sets, weights = (torch.rand(60, 7, generator=draw) < 0.5).double(), torch.rand(60, generator=draw).double()
    found = torch.rand(60, 2, generator=draw).double()
    theirs = library.Ridge(alpha=coalitions.RIDGE).fit(sets.numpy(), found.numpy(), weights.numpy()).coef_
    assert np.allclose(_ridge(sets, weights, found).T.numpy(), theirs, atol=1e-9)
