"""What the validity checks count: customers that are new to the rollout, and the control arm in two halves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.store.block_counts import UnitsNotClosed, block_counts, counted, new_unit_counts
from controlplane.store.units import close_units
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import T0, Conversation, Facts, Judged, ModelCall, Turn, at, close, fetch, spec

MINUTE = 60
DAY = 86_400


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("checks") / "facts.duckdb") as warehouse:
        yield warehouse


@pytest.fixture
def facts(warehouse):
    return Facts(warehouse).clear()


def talk(name, started, arm="baseline", customer=None, **fields):
    told = {"release": "v1", "rollout_id": "r", "segment": "a", "started_at": at(started), "last_at": at(started)}
    return Conversation(name, customer or f"user of {name}", arm, **told | fields)


def new_units(facts, end, since=0.0, start=0.0, span=MINUTE):
    rows = new_unit_counts(facts.warehouse, "r", span, at(start), at(end), at(since))
    return [(row.n_t, row.n_c) for row in rows]


# --- sample ratio --------------------------------------------------------------------------------------------------------


def test_a_customer_counts_with_the_first_unit_of_the_rollout_and_never_again(facts):
    """A week or a stage later the same customer is a unit again, but falls on the same side: that is no new draw."""
    facts.store(
        talk("a", 5, "assistant", "kim"),
        talk("b", 6, "baseline", "lee"),
        talk("c", 70, "assistant", "kim"),  # another stage
        talk("d", 71, "baseline", "ned"),
    )
    close(facts, 60)
    close_units(facts.warehouse, at(60), at(120), "s2", at(60), rollout_id="r", release="v1")
    assert fetch(facts.warehouse, "SELECT count(*) FROM units") == [(4,)]
    assert new_units(facts, 120) == [(1, 1), (0, 1)]
    assert new_units(facts, 120, start=60) == [(0, 1)], "the window does not change what is new"


def test_the_first_seconds_of_a_stage_are_left_out_for_good(facts):
    facts.store(talk("a", 5, "assistant", "kim"), talk("b", 12, "baseline", "lee"), talk("c", 70, "assistant", "kim"))
    close(facts, 60)
    close_units(facts.warehouse, at(60), at(120), "s2", at(60), rollout_id="r", release="v1")
    assert new_units(facts, 120, since=10) == [(0, 1), (0, 0)], "who came too early is known and is not new later"


def test_every_block_has_a_row_and_other_rollouts_do_not_count(facts):
    facts.store(talk("a", 5, "assistant"), talk("b", 130, "assistant"))
    close(facts, 180)
    assert new_units(facts, 180) == [(1, 0), (0, 0), (1, 0)]
    close_units(facts.warehouse, at(0), at(180), "q1", at(0), rollout_id="q", release="v1")
    assert new_unit_counts(facts.warehouse, "q", 180, at(0), at(180), at(0))[0].n_t == 0


def test_units_must_be_decided_before_they_are_counted(facts):
    facts.store(talk("a", 5))
    close(facts, 60)
    with pytest.raises(UnitsNotClosed, match="call close_units first"):
        new_units(facts, 120)


# --- A/A shadow ----------------------------------------------------------------------------------------------------------


def many(arm, n, start=0.0):
    return [
        talk(f"{arm}{i}", start + i * 0.01, arm, escalated_at=at(start + i * 0.01 + 1) if i % 3 else None)
        for i in range(n)
    ]


def shadow(facts, metric="escalation_rate", salt="s/aa_shadow/", **more):
    wanted = replace(spec(metric, 300), shadow=salt, **more)
    ((row,),) = counted(facts.warehouse, [wanted], T0, at(60)).values()
    return row


def test_the_halves_are_the_control_and_nothing_else(facts):
    facts.store(*many("baseline", 200), *many("assistant", 90))
    close(facts, 60)
    row = shadow(facts)
    (arms,) = block_counts(facts.warehouse, [spec("escalation_rate", 300)], T0, at(60))
    assert (row.n_t + row.n_c, row.x_t + row.x_c) == (arms.n_c, arms.x_c)
    assert 70 <= row.n_t <= 130


def test_a_customer_stays_in_a_half_and_another_salt_draws_anew(facts):
    facts.store(*many("baseline", 200))
    close(facts, 60)
    first, again, other = shadow(facts), shadow(facts), shadow(facts, salt="t/aa_shadow/")
    assert first == again
    assert first != other
    facts.store(*[talk(f"late{i}", 65, "baseline", f"user of baseline{i}") for i in range(200)])
    close_units(facts.warehouse, at(60), at(120), "s2", at(60), rollout_id="r", release="v1")
    ((later,),) = counted(
        facts.warehouse, [replace(spec("escalation_rate", 300), shadow="s/aa_shadow/")], at(60), at(120)
    ).values()
    assert (later.n_t, later.n_c) == (first.n_t, first.n_c)


def test_ratings_requests_and_judged_answers_have_halves_too(facts):
    talks = [talk(f"b{i}", i * 0.01, "baseline", csat=float(1 + i % 5), csat_at=at(30)) for i in range(100)]
    turns = [
        Turn(f"i{i}", f"b{i}", at(i * 0.01 + 1), latency_ms=900.0 + i * 10, intent_pred="x", intent_true="y")
        for i in range(100)
    ]
    facts.store(*turns, *talks)
    close(facts, 60)
    rated = shadow(facts, "csat")
    assert sum(rated.k_t) + sum(rated.k_c) == 100
    assert min(sum(rated.k_t), sum(rated.k_c)) > 20
    for metric in ("slow_share", "misclassification_rate"):
        row = shadow(facts, metric)
        assert (row.n_t + row.n_c, min(row.n_t, row.n_c) > 20) == (100, True)


def test_calls_of_nobody_in_particular_fall_in_no_half(facts):
    facts.store(Turn("i", "a", at(1)), talk("a", 1), ModelCall("m", "a", at(2)))
    facts.store(replace(talk("b", 1), user_id=None), ModelCall("n", "b", at(2)))
    row = shadow(facts, "api_error_rate")
    assert row.n_t + row.n_c == 1


# --- labels of people ----------------------------------------------------------------------------------------------------


def test_labels_of_people_alone_can_be_asked_for(facts):
    facts.store(
        Turn("i1", "a", at(1), arm="assistant"), Turn("i2", "a", at(2), arm="assistant"), talk("a", 1, "assistant")
    )
    facts.store(
        Judged("e1", "i1", "a", at(5), "groundedness", "ungrounded"),
        Judged("e2", "i2", "a", at(5), "groundedness", "ungrounded"),
        Judged("e3", "i2", "a", at(6), "groundedness", "grounded", "human:ana"),
        Judged("e4", "i1", "a", at(6), "groundedness", "grounded", None),
    )
    wanted = spec("hallucination_rate", 300)
    found = counted(facts.warehouse, [wanted, replace(wanted, labels="person")], T0, at(60))
    (every,), (people,) = found.values()
    assert (every.n_t, every.x_t) == (2, 2), "several judgements of one answer: the earliest of the same rank"
    assert (people.n_t, people.x_t) == (1, 0)


def test_the_true_intent_of_the_log_is_not_a_persons_label(facts):
    facts.store(Turn("i1", "a", at(1), arm="assistant", intent_pred="x", intent_true="y"), talk("a", 1, "assistant"))
    wanted = spec("misclassification_rate", 300)
    found = counted(facts.warehouse, [wanted, replace(wanted, labels="person")], T0, at(60))
    assert [row.n_t for (row,) in found.values()] == [1, 0]


def test_ways_to_count_that_rows_do_not_tell_apart_are_refused_where_rows_come_back(facts):
    wanted = spec("hallucination_rate", 300)
    with pytest.raises(ValueError, match="two ways to count hallucination_rate"):
        block_counts(facts.warehouse, [wanted, replace(wanted, labels="person")], T0, at(60))
    with pytest.raises(ValueError, match="count those of 'any' or of a 'person'"):
        counted(facts.warehouse, [replace(wanted, labels="machine")], T0, at(60))
