"""Intervals and tests: published examples, slow definitions, coverage, and SciPy where it is installed."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from cam_cli.statistics import (
    Drawn,
    Resampler,
    Sample,
    Shares,
    Totals,
    difference,
    holm,
    images_to_exceed,
    images_to_stay_within,
    mcnemar,
    p_of,
    p_values,
    paired_difference,
    ratio,
    share_difference,
    share_ratio,
    wilson,
    z_of,
)

Z = z_of(0.05)


def shares(*groups: tuple[int, int]) -> Shares:
    return Shares(*(np.array(column, float) for column in zip(*groups)))


def pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(count, 1)


# Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10.
PUBLISHED = {
    (56, 70, 48, 80): (0.0524, 0.3339),
    (9, 10, 3, 10): (0.1705, 0.8090),
    (6, 7, 2, 7): (0.0582, 0.8062),
    (5, 56, 0, 29): (-0.0381, 0.1926),
    (0, 10, 0, 20): (-0.1611, 0.2775),
    (0, 10, 0, 10): (-0.2775, 0.2775),
    (10, 10, 0, 20): (0.6791, 1.0),
    (10, 10, 0, 10): (0.6075, 1.0),
}


@pytest.mark.parametrize("counts", PUBLISHED)
def test_the_difference_of_two_groups_is_the_published_one(counts: tuple[int, int, int, int]) -> None:
    assert share_difference(*counts, Z) == pytest.approx(PUBLISHED[counts], abs=5e-5)


def test_the_paired_difference_is_the_published_one() -> None:
    """Newcombe 1998, Statistics in Medicine 17:2635-2650: 36, 12, 2 and 0 images give 0.057 to 0.340 for A − B."""
    low, high = paired_difference(36, 12, 2, 0, Z)
    assert (-high, -low) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@pytest.mark.parametrize("counts", [(5, 0, 0, 0), (0, 0, 0, 5), (40, 3, 9, 2), (0, 4, 0, 0), (1, 0, 0, 0)])
def test_exchanging_the_two_networks_turns_the_interval_round(counts: tuple[int, int, int, int]) -> None:
    both, only_a, only_b, neither = counts
    low, high = paired_difference(both, only_a, only_b, neither, Z)
    turned = paired_difference(both, only_b, only_a, neither, Z)
    assert turned == pytest.approx((-high, -low))
    assert low <= (only_b - only_a) / sum(counts) <= high
    assert low < high  # images that are all right also have an interval


def test_no_image_at_all_leaves_everything_possible() -> None:
    assert wilson(0, 0, Z) == (0.0, 1.0)
    assert paired_difference(0, 0, 0, 0, Z) == (-1.0, 1.0)
    assert mcnemar(0, 0) == 1.0


def test_one_image_and_shares_of_0_and_1_have_wide_intervals_that_reach_the_end() -> None:
    low, high = wilson(np.array([1, 0, 30]), np.array([1, 1, 30]), Z)
    assert high[[0, 2]].tolist() == [1.0, 1.0]
    assert low[1] == 0.0
    assert low[0] == pytest.approx(1 / (1 + Z**2))  # by pencil: p = 1, n = 1
    assert low[2] == pytest.approx(30 / (30 + Z**2))


def test_mcnemar_sums_the_binomial_by_hand() -> None:
    def slow(b: int, c: int, mid: bool) -> float:
        probabilities = [math.comb(b + c, i) * 0.5 ** (b + c) for i in range(b + c + 1)]
        tail = sum(probabilities[: min(b, c) + 1])
        return min(1.0, 2 * tail - (probabilities[min(b, c)] if mid else 0.0))

    for b, c, mid in product(range(7), range(7), (True, False)):
        if b != c:
            assert mcnemar(b, c, mid=mid) == pytest.approx(slow(b, c, mid)), (b, c, mid)
    assert mcnemar(9, 2) == pytest.approx(0.0386, abs=5e-5)
    assert 0.0 <= mcnemar(60_000, 50_000) < 1e-190


def test_holm_by_pencil() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_p_is_the_level_at_which_the_interval_touches_0() -> None:
    groups = shares((97, 100), (80, 100), (50, 100), (80, 100))
    a, b = pairs(4)
    p = p_values(groups, a, b)
    for place, value in enumerate(p):
        if value < 1:
            _, low, high = difference(groups, a[place : place + 1], b[place : place + 1], z_of(value))
            assert min(abs(low[0]), abs(high[0])) < 1e-6
    assert p[4] == 1.0  # groups 1 and 3: 80 of 100 twice


def test_p_of_shares_is_near_the_score_test() -> None:
    groups = shares((97, 100), (88, 100))
    pooled = 185 / 200
    z = 0.09 / math.sqrt(pooled * (1 - pooled) * 2 / 100)
    assert p_values(groups, *pairs(2))[0] == pytest.approx(float(p_of(z)), abs=0.005)


def test_a_ratio_of_shares_holds_its_point_and_has_no_zero_division() -> None:
    seen, low, high = ratio(shares((0, 50), (40, 50), (50, 50)), np.array([0, 1]), np.array([1, 2]), Z)
    assert seen.tolist() == [0.0, 0.8]
    assert (low <= seen).all()
    assert (high >= seen).all()
    assert high[0] < 0.2


def test_a_bootstrap_of_means_is_a_normal_interval_for_many_images() -> None:
    rng = np.random.default_rng(3)
    for total in (400, 20_000):  # drawn, and drawn from the limit
        values = rng.exponential(1.0, total)
        drawn = Resampler().estimate(Sample.of(values, np.zeros(total, int), 1), Totals.mean)
        error = values.std() / math.sqrt(total)
        assert drawn.value[0] == pytest.approx(values.mean())
        assert drawn.spread[0] == pytest.approx(values.std(), rel=0.05)
        for z in (1.0, Z, 3.5):  # the last one lies beyond what 2,000 draws resolve
            low, high = drawn.limits(z, np.array([0]))
            assert (low[0], high[0]) == pytest.approx(
                (values.mean() - z * error, values.mean() + z * error), abs=0.5 * error
            )


def test_groups_and_cells_are_kept_apart_and_the_rest_left_out() -> None:
    groups = np.array([0, 0, 1, 1, 1, -1, 0])
    cells = np.array([0, 1, 0, 0, 1, 0, -1])
    values = np.array([1.0, 3.0, 2.0, 4.0, np.nan, 9.0, 9.0])
    sample = Sample(groups, 3, cells, values)
    means = Resampler(draws=50).estimate(sample, Totals.mean)
    assert means.value[:2].tolist() == [2.0, 3.0]
    assert np.isnan(means.value[2])
    assert means.total.tolist() == [2, 2, 0]
    of_cells = Resampler(draws=50).estimate(
        Sample(np.zeros(4, int), 1, np.array([0, 0, 0, 1]), np.array([1.0, 0, 1, 0])), Totals.mean_of_cells
    )
    assert of_cells.value[0] == pytest.approx((2 / 3 + 0) / 2)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    values = np.random.default_rng(0).random(60)
    sample = Sample.of(values, np.zeros(60, int), 1)
    first, again, other = (Resampler(seed=seed).estimate(sample, Totals.mean).quantiles for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def clustered(rng: np.random.Generator, subjects: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of right images that differ between subjects."""
    share = np.clip(rng.normal(0.8, 0.25, subjects), 0, 1)
    return np.repeat(np.arange(subjects), each), (rng.random(subjects * each) < np.repeat(share, each)).astype(float)


def test_images_of_one_subject_count_less_than_independent_ones() -> None:
    clusters, right = clustered(np.random.default_rng(0), 100, 10)
    sample = Sample.of(right, np.zeros(1000, int), 1)
    alone, together = Resampler().shares(sample), Resampler(clusters=clusters).shares(sample)
    assert together.effective is not None
    drawn = Resampler(clusters=clusters).estimate(sample, Totals.mean)
    spread = right.std() / drawn.spread[0]
    assert together.effective[0] == pytest.approx(1000 * spread**2, rel=0.1)
    assert together.effective[0] < 500
    width = [np.subtract(*s.limits(Z, np.array([0]))[::-1])[0] for s in (alone, together)]
    assert width[1] > 1.4 * width[0]
    lonely = Resampler(clusters=np.full(1000, -1)).shares(sample)
    assert lonely.effective is not None
    assert lonely.effective[0] == pytest.approx(1000, rel=0.01)


def test_a_group_without_errors_is_no_more_certain_than_its_number_of_subjects() -> None:
    sample = Sample.of(np.ones(200), np.zeros(200, int), 1)
    found = Resampler(clusters=np.repeat(np.arange(10), 20)).shares(sample)
    assert found.limits(Z, np.array([0]))[0][0] == pytest.approx(wilson(10, 10, Z)[0])


def test_the_size_of_errors_that_are_only_noise_has_an_interval_that_reaches_0() -> None:
    """As a calibration error needs: its plain bootstrap interval would always lie above 0."""
    rng, missed, beyond = np.random.default_rng(5), 0, 0
    for _ in range(120):
        probability = rng.beta(6, 2, 200)
        cells = (probability * 15).astype(int)
        honest, vain = rng.random(200) < probability, rng.random(200) < probability - 0.15
        for right in (honest, vain):
            found = Resampler(draws=300).estimate_size(Sample(np.zeros(200, int), 1, cells, probability - right))
            low, high = (limit[0] for limit in found.limits(Z, np.array([0])))
            if right is honest:
                missed += low > 0
            else:
                beyond += low > 0
                assert low <= found.value[0] <= high
    assert missed <= 120 * 0.08
    assert beyond >= 120 * 0.8


def test_the_number_of_images_that_would_decide() -> None:
    spreads = [math.sqrt(p * (1 - p)) for p in (0.99, 0.95)]
    assert images_to_exceed(0.04, 0.0, spreads, Z) == 282
    assert images_to_exceed(0.04, 0.02, spreads, Z) == 1127
    assert images_to_exceed(0.02, 0.04, spreads, Z) is None
    assert images_to_stay_within(0.01, 0.03, spreads, Z) == 1127
    assert images_to_stay_within(0.03, 0.03, spreads, Z) is None


def test_that_many_images_decide_in_four_of_five_cases() -> None:
    count = images_to_exceed(0.1, 0.05, [math.sqrt(p * (1 - p)) for p in (0.9, 0.8)], Z)
    assert count is not None
    rng = np.random.default_rng(0)
    right = rng.binomial(count, [0.9, 0.8], (4000, 2))
    low, _ = share_difference(right[:, 0], count, right[:, 1], count, Z)
    assert 0.75 < (low > 0.05).mean() < 0.85


COVERED = {"differences": (60, 0.97, 0.95), "far": (40, 0.9, 0.6), "small": (15, 0.5, 0.8)}


@pytest.mark.parametrize("case", COVERED)
def test_intervals_of_a_difference_hold_what_they_should(case: str) -> None:
    total, a, b = COVERED[case]
    rng = np.random.default_rng(1)
    right = rng.binomial(total, [a, b], (6000, 2))
    low, high = share_difference(right[:, 0], total, right[:, 1], total, Z)
    covered = ((low <= a - b) & (a - b <= high)).mean()
    assert 0.94 < covered < 0.99


def test_intervals_of_drawn_means_hold_what_they_should() -> None:
    rng, held = np.random.default_rng(2), 0
    for _ in range(250):
        values = np.concatenate([rng.beta(2, 5, 60), rng.beta(2, 6, 45)])
        groups = np.repeat([0, 1], [60, 45])
        found = Resampler(draws=500).estimate(Sample.of(values, groups, 2), Totals.mean)
        _, low, high = difference(found, np.array([0]), np.array([1]), Z)
        held += low[0] <= 2 / 7 - 2 / 8 <= high[0]
    assert 0.91 <= held / 250 <= 0.99


def test_a_level_shared_by_comparisons() -> None:
    assert z_of(0.05) == pytest.approx(1.959964, abs=1e-6)
    assert z_of(0.05, 10) == pytest.approx(z_of(0.005))
    assert z_of(1e-12, 100_000) == pytest.approx(8.5, abs=0.5)


@pytest.mark.extras
def test_scipy_agrees() -> None:
    stats = pytest.importorskip("scipy.stats")
    for k, n in ((0, 5), (5, 5), (97, 100), (1, 3000)):
        theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k, n, Z) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    for b, c in ((0, 3), (12, 3), (400, 350), (5000, 5210)):
        assert mcnemar(b, c, mid=False) == pytest.approx(stats.binomtest(b, b + c).pvalue, rel=1e-9)
    # Katz without the half image: these counts have half an image less.
    theirs = stats.contingency.relative_risk(40, 50, 30, 60).confidence_interval(0.95)
    assert share_ratio(39.5, 49.5, 29.5, 59.5, Z) == pytest.approx((theirs.low, theirs.high))
    assert float(p_of(2.5)) == pytest.approx(2 * stats.norm.sf(2.5))
    assert z_of(0.01, 7) == pytest.approx(stats.norm.isf(0.005 / 7))
    p = [0.01, 0.04, 0.03, 0.005]
    assert (holm(p) >= stats.false_discovery_control(p)).all()


@pytest.mark.extras
def test_scipy_draws_the_same_interval() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).beta(2, 5, 80)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    found = Resampler(draws=20_000).estimate(Sample.of(values, np.zeros(80, int), 1), Totals.mean)
    ours = [limit[0] for limit in found.limits(Z, np.array([0]))]
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.001)


def test_a_distribution_is_read_between_and_beyond_its_scores() -> None:
    from cam_cli.statistics.estimates import SCORES

    drawn = Drawn(np.array([1.0, 0.0]), np.array([4.0, 4.0]), np.stack([1 + 0.1 * SCORES, 0 + 2 * SCORES]))
    for z in (0.0, 0.3, 1.96, 2.75, 5.0):
        low, high = drawn.limits(z, np.array([0, 1, 0]))
        assert low.tolist() == pytest.approx([1 - 0.1 * z, -2 * z, 1 - 0.1 * z])
        assert high.tolist() == pytest.approx([1 + 0.1 * z, 2 * z, 1 + 0.1 * z])
