"""A gate of an audit keeps its rate of false alarms and finds real gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest


def simulated(rng: np.random.Generator, shares: list[float], total: int, limit: float, times: int) -> float:
    """Share of gates that fail, from the steps of an audit without its files."""
    from cam_cli.gates import Condition, Groups, Judge
    from cam_cli.statistics import Shares

    count, totals = len(shares), np.full(len(shares), float(total))
    judge = Judge(Condition.parse(f"accuracy_gap > {limit}"), "accuracy", "gap", count * (count - 1) // 2)
    names, failed = [str(i) for i in range(count)], 0
    for _ in range(times):
        groups = Groups("g", names, Shares(rng.binomial(total, shares).astype(float), totals), range(count))
        failed += judge.on(groups).verdict == "fail"
    return failed / times


# groups, images in each, limit: the highest rate of failed gates if all groups have an accuracy of 97 %.
ALARMS = [(2, 100, 0.0, 0.05), (4, 100, 0.0, 0.02), (2, 50, 0.04, 0.005), (6, 50, 0.04, 0.005), (6, 200, 0.04, 0.005)]


@pytest.mark.parametrize(("count", "total", "limit", "most"), ALARMS)
def test_a_gate_does_not_cry_wolf(count: int, total: int, limit: float, most: float) -> None:
    assert simulated(np.random.default_rng(0), [0.97] * count, total, limit, 400) <= most


def test_a_gate_on_the_point_would_cry_wolf() -> None:
    right = np.random.default_rng(0).binomial(50, 0.97, (4000, 6)) / 50
    assert 0.58 < np.mean(right.max(1) - right.min(1) > 0.04 + 1e-12) < 0.64


# Power for 99 % against 95 % and a limit of 0.02: images in each group, and the rate of failed gates.
POWER = [(300, 0.20, 0.36), (1000, 0.68, 0.84), (3000, 0.99, 1.0)]


@pytest.mark.parametrize(("total", "least", "most"), POWER)
def test_a_gate_finds_a_real_gap(total: int, least: float, most: float) -> None:
    assert least <= simulated(np.random.default_rng(1), [0.99, 0.95], total, 0.02, 300) <= most


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 0.97, 0.99])
@pytest.mark.parametrize(("count", "total"), [(2, 30), (2, 100), (4, 100), (8, 100), (6, 400)])
def test_false_alarms_keep_their_level_everywhere(share: float, count: int, total: int) -> None:
    """At the limit 0 a gate fails if its interval excludes the truth: in at most 5 of 100 audits."""
    rng = np.random.default_rng([count, total, int(100 * share)])
    assert simulated(rng, [share] * count, total, 0.0, 4000) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)
