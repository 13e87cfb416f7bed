"""Sums of replays: everything is in one place, nothing twice, and what is unknown stays unknown."""

import json
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.analysis.experiments import Comparison, Decision, Replay, replay, sample_ratio
from controlplane.analysis.experiments_summary import looks_summary, method_sums, naive_sums

sides = st.sampled_from([-1, 1])
decisions = st.none() | st.builds(Decision, st.integers(0, 4), st.floats(1, 9), sides)


def looks(experiment="e", variant="1", metric="m", seed=1, lift=0.0):
    rng, n = np.random.default_rng(seed), np.cumsum(np.full(5, 400.0))
    x_c, x_t = np.cumsum(rng.binomial(400, 0.3, 5)), np.cumsum(rng.binomial(400, 0.3 + lift, 5))
    means = x_c / n, x_t / n
    return Comparison(
        experiment, variant, metric, np.arange(1.0, 6), n, n, *means, *(m * (1 - m) for m in means), binary=True
    )


BASE = replay(looks(), 0.05, 5000)


@st.composite
def replays(draw):
    return replace(
        BASE,
        comparison=replace(BASE.comparison, metric=draw(st.sampled_from("ab")), binary=draw(st.booleans())),
        last=draw(st.none() | st.sampled_from([-1, 0, 1])),
        naive=draw(decisions),
        group_sequential=draw(decisions),
        asymptotic=draw(decisions),
        exact=draw(decisions),
        declined=draw(st.sampled_from(["", "", "why"])),
        last_p=draw(st.floats(0, 1)),
        log_e=draw(st.floats(-9, 30)),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(replays(), max_size=12))
def test_every_comparison_is_in_one_place(found: list[Replay]):
    value = looks_summary(found, [], 0.05)
    naive = value["naive"]
    assert naive["some_look"] == naive["kept"] + naive["vanished"] + naive["turned"] + naive["unknown"]
    assert naive["some_look"] == value["methods"]["naive"]["decided"] == sum(item.naive is not None for item in found)
    for item in value["methods"].values():
        assert item["decided"] == item["agrees"] + item["beyond"] + item["opposite"] + item["unknown"]
        assert item["decided"] + item["undecided"] == len(found)
        significant = sum(bool(replayed.last) for replayed in found)
        assert significant == item["agrees"] + item["opposite"] + item["missed"]
    assert sum(part["comparisons"] for part in value["metrics"].values()) == len(found)
    assert sum(value["missing"]["declined"].values()) == sum(bool(item.declined) for item in found)
    json.dumps(value, allow_nan=False)


def test_a_declined_comparison_decides_nothing():
    decided = replace(BASE, exact=Decision(0, 1.0, 1), declined="why")
    assert method_sums([decided], lambda item: item.ours)["decided"] == 0


def test_each_end_has_its_name():
    up = Decision(2, 3.0, 1)
    ends = [replace(BASE, naive=up, last=last) for last in (1, 0, -1, None)]
    assert naive_sums(ends) == {"some_look": 4, "kept": 1, "vanished": 1, "turned": 1, "unknown": 1}
    missed = replace(BASE, naive=None, last=1)
    assert method_sums([missed], lambda item: item.naive)["missed"] == 1
    when = method_sums(ends, lambda item: item.naive)
    assert (when["median_time"], when["median_part"]) == (3.0, 0.6)


def test_decisions_in_broken_splits_are_pointed_at():
    good = looks("good", lift=0.1)
    broken = replace(looks("bad", lift=0.1), n_t=looks().n_t * 0.96)
    found = [replay(item, 0.05, 5000) for item in (good, broken)]
    ratios = [sample_ratio(item, 0.01) for item in (good, replace(broken, n_c=broken.n_c * 50, n_t=broken.n_t * 50))]
    value = looks_summary(found, ratios, 0.05)
    assert value["methods"]["ours"]["decided"] == 2
    assert value["ours_in_mismatched"] == 1
    assert [row["sample_ratio_mismatch"] for row in value["details"]] == [False, True]
    assert value["sample_ratio"]["mismatched"] == 1
    assert value["multiplicity"]["e_values"] == 2
