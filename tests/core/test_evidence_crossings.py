"""`crossings` says bit for bit when `advance` is at or over the threshold, however the blocks are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.evidence.alarm import first_crossing
from controlplane.core.evidence.detector import Streams, StreamSpec, advance, crossings
from controlplane.core.evidence.weights import WeightPlan

PLAN = WeightPlan(horizon_blocks=40)
BLOCKS, STREAMS = 60, 7
LIMITS = {"two_sample": 0.02, "one_sample": 0.05, "rating": 0.1, "rate_ratio": 1.5, "sample_ratio": 1.0}


def columns(kind, seed, harm):
    """Counts of 60 blocks of 7 streams; some blocks are empty, the later half is worse."""
    rng = np.random.default_rng(seed)
    shape = (BLOCKS, STREAMS)
    n_t, n_c = (rng.integers(0, 12, shape) * (rng.random(shape) < 0.8) for _ in range(2))
    chance = np.where(np.arange(BLOCKS)[:, None] < BLOCKS // 2, 0.1, min(0.1 + harm, 1.0))
    if kind == "rating":
        worse = np.array([chance.mean(), 0.1, 0.1, 0.1, 1.0])
        levels = [
            rng.multinomial(n, p / p.sum()) for n, p in ((n_t, worse), (n_c, np.array([0.1, 0.1, 0.1, 0.1, 1.0])))
        ]
        return dict(zip(("kT", "kC"), (level.astype(float) for level in levels), strict=True))
    found = {"nT": n_t, "xT": rng.binomial(n_t, chance), "nC": n_c, "xC": rng.binomial(n_c, 0.1)}
    if kind == "one_sample":
        found = {name: found[name] for name in ("nT", "xT")}
    if kind == "sample_ratio":
        found = {"nT": n_t, "nC": n_c, "share": np.full(shape, 0.5 - harm / 4)}
    return {name: values.astype(float) for name, values in found.items()}


@pytest.mark.parametrize("kind", list(LIMITS))
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), harm=st.sampled_from([0.0, 0.3, 0.9]), cut=st.integers(1, BLOCKS - 1))
def test_the_same_blocks_fire(kind, seed, harm, cut):
    spec = StreamSpec(kind, LIMITS[kind], 0.05)
    found = columns(kind, seed, harm)
    events = np.zeros((BLOCKS, 2), dtype=np.int64)
    events[[0, 20, 21]] = [[1, 0], [1, 2], [0, 1]]
    fresh = Streams.fresh(spec, PLAN, STREAMS)
    whole, track = advance(spec, fresh, np.arange(BLOCKS), found, events)
    parts, state = [], fresh
    for span in (slice(0, cut), slice(cut, BLOCKS)):
        state, fired = crossings(spec, state, {name: values[span] for name, values in found.items()}, events[span])
        parts.append(fired)
    expected = track.log_E >= spec.log_threshold
    assert np.array_equal(np.concatenate(parts), expected)
    for name in ("log_r", "control", "drawn", "waiting"):
        assert np.array_equal(getattr(state, name), getattr(whole, name)), name
    first = np.where(expected.any(axis=0), expected.argmax(axis=0), -1)
    assert np.array_equal(first_crossing(spec, fresh, found, events), first)


@pytest.mark.parametrize("kind", ["two_sample", "one_sample", "rating"])
def test_harm_fires_here_and_nothing_does_without(kind):
    """Or the test above would compare silence with silence."""
    spec = StreamSpec(kind, LIMITS[kind], 0.05)
    events = np.eye(BLOCKS, 2, dtype=np.int64) * [1, 0]
    state = Streams.fresh(spec, PLAN, STREAMS)
    assert crossings(spec, state, columns(kind, 1, 0.9), events)[1].any()
    assert not crossings(spec, state, {name: values[:5] for name, values in columns(kind, 1, 0.0).items()}, events[:5])[
        1
    ].any()
