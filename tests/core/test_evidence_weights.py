"""The weight account: whatever happens to a rollout, a stream never stakes more than 1."""

from fractions import Fraction
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.evidence.weights import WeightAccount, WeightPlan, draw_over_blocks

DRAWS = {"start": WeightAccount.draw_start, "deploy": WeightAccount.draw_deploy, "block": WeightAccount.draw_block}
HISTORIES = st.lists(st.sampled_from(sorted(DRAWS)), max_size=300)


def played(account, history):
    weights = []
    for name in history:
        account, weight = DRAWS[name](account)
        weights.append(weight)
    return account, weights


@settings(max_examples=200, deadline=None)
@given(HISTORIES, st.integers(1, 200), st.sampled_from([0.0, 0.5, 0.9]))
def test_no_sequence_of_stages_deploys_and_blocks_spends_more_than_one(history, horizon, ratio):
    account, weights = played(WeightAccount(WeightPlan(horizon, start_ratio=ratio)), history)
    assert min(weights, default=0.0) >= 0.0
    assert account.spent <= 1.0
    assert fsum(weights) == pytest.approx(account.spent, abs=1e-12)
    assert fsum(weights) <= 1.0 + 1e-12


def test_the_shares_of_the_design():
    account = WeightAccount(WeightPlan(horizon_blocks=1000))
    _, weights = played(account, ["start", "start", "deploy", "start", "deploy", "block"])
    assert weights == [0.125, 0.0625, 0.125, 0.03125, 0.0625, 0.5 / 1000]


def test_a_whole_horizon_spends_exactly_what_was_planned():
    plan = WeightPlan(horizon_blocks=10_080, starts=0.5, start_ratio=0.0, deploys=0.0)
    account, weights = played(WeightAccount(plan), ["start", *["block"] * 10_080])
    assert account.spent == 1.0
    assert weights[:2] == [0.5, 0.5 / 10_080]
    assert sum(map(Fraction, weights)) == pytest.approx(1.0, abs=1e-12)


def test_a_draw_beyond_the_account_is_refused_and_shown():
    account, weights = played(WeightAccount(WeightPlan(horizon_blocks=2)), ["block"] * 4 + ["start"])
    assert weights == [0.25, 0.25, 0.0, 0.0, 0.125]
    assert (account.blocks, account.refused, account.spent) == (2, 2, 0.625)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 40), st.integers(1, 12))
def test_drawing_for_many_blocks_at_once_equals_drawing_one_by_one(data, n_blocks, horizon):
    plan = WeightPlan(horizon_blocks=horizon)
    events = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=n_blocks, max_size=n_blocks)))
    counts = np.array(data.draw(st.lists(st.tuples(*[st.booleans()] * 3), min_size=n_blocks, max_size=n_blocks)))
    drawn, pending = np.zeros((3, 4), dtype=np.int64), np.zeros((3, 2), dtype=np.int64)
    at_once = draw_over_blocks(plan, drawn, pending, events, counts)
    single = []
    for t in range(n_blocks):
        drawn, pending, weight = draw_over_blocks(plan, drawn, pending, events[t : t + 1], counts[t : t + 1])
        single.append(weight[0])
    assert np.array_equal(at_once[0], drawn)
    assert np.array_equal(at_once[1], pending)
    assert np.array_equal(at_once[2], np.array(single))
    assert np.all(at_once[2][~counts] == 0.0)


def test_accounts_survive_a_dictionary_and_edited_ones_do_not():
    account, _ = played(WeightAccount(WeightPlan(horizon_blocks=7)), ["start", "deploy", "block", "block"])
    plain = account.to_dict()
    assert plain["spent"] == account.spent
    assert WeightAccount.from_dict(plain) == account
    with pytest.raises(ValueError, match="restore the row"):
        WeightAccount.from_dict({**plain, "starts": 0})
    with pytest.raises(ValueError, match="overdrawn"):
        WeightAccount.from_dict({**plain, "blocks": 8})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"horizon_blocks": 0}, "horizon_blocks is 0"),
        ({"horizon_blocks": 9, "starts": 0.6}, "sum to at most 1"),
        ({"horizon_blocks": 9, "blocks": float("nan")}, "sum to at most 1"),
        ({"horizon_blocks": 9, "deploys": -0.1}, "sum to at most 1"),
        ({"horizon_blocks": 9, "start_ratio": 1.0}, "never stop"),
    ],
)
def test_plans_that_could_overspend_are_refused(plan, message):
    with pytest.raises(ValueError, match=message):
        WeightPlan(**plan)
