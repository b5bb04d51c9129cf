"""Relevance reaches the pixels in networks of many families; other networks fail by the name of a function."""

from __future__ import annotations

import pytest

from benchmarks.relevance import NETWORKS, census

#: Families with attention, which `lrp` leaves to `attnlrp`.
ATTENTION = {
    *("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "pvt_v2_b0", "mobilevit_xxs", "edgenext_xx_small"),
    *("davit_tiny", "levit_128s", "gcresnext26ts", "torchvision/swin_t"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_relevance_reaches_the_pixels(name: str) -> None:
    plain, attentive = census(name)
    for found in (plain, attentive):
        if not found.refusal:
            assert found.finite
            assert found.difference < 1e-4
            assert found.share != 0
    assert not attentive.refusal
    assert ("computes attention" in plain.refusal) == (name in ATTENTION)
    if name not in ATTENTION:
        assert not plain.refusal
        assert plain.share == pytest.approx(1, abs=0.1)
        assert attentive.share == pytest.approx(1, abs=0.01)
