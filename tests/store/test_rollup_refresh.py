"""Rollups: equal to a recount of the facts however these arrive, exactly once, through any crash."""

import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.core.metrics import METRICS
from controlplane.store import rollups
from controlplane.store.queries import load
from controlplane.store.rollups import Refreshed, refresh, touch
from controlplane.store.warehouse import Warehouse
from jobs import rollup
from tests.store.rollup_recount import DAY, assert_rollups_equal_recount, rolled_up
from tests.store.rollup_world import (
    T0,
    Conversation,
    DependencyCall,
    Exposure,
    Facts,
    Judged,
    ModelCall,
    Turn,
    at,
    fetch,
    minute_of,
    small_world,
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("rollups") / "facts.duckdb") as warehouse:
        yield warehouse


@pytest.fixture
def facts(warehouse):
    return Facts(warehouse).clear()


def _maybe(strategy):
    return st.none() | strategy


_seconds = st.integers(0, 2 * 3600) | st.sampled_from([0, 59, 60, 3599, 3600, 3 * DAY, 4 * DAY + 30])
_times = _seconds.map(at)
_number = st.floats(0, 1e4, allow_nan=False, allow_subnormal=False)
_tokens = _maybe(st.integers(0, 5000))
_flag = _maybe(st.booleans())
_failure = {"error_type": _maybe(st.just("http_500")), "timed_out": _flag}
_dimensions = {
    "release": _maybe(st.just("v1")),
    "phase": _maybe(st.just("canary")),
    "segment": _maybe(st.sampled_from("ab")),
}
_usage = {"model": _maybe(st.just("small")), "tokens_in": _tokens, "tokens_out": _tokens, "cost_usd": _maybe(_number)}
_judgements = [
    ("groundedness", "grounded"),
    ("groundedness", "ungrounded"),
    ("intent_true", "x"),
    ("safety_route", "ok"),
    ("safety_route", "misrouted"),
    ("tone", "rude"),
]
ARMS = {"c0": "assistant", "c1": "baseline", "c2": "assistant", "c3": None}  # one conversation has one arm


def _turn(draw, number, name):
    intents = {"intent_pred": _maybe(st.sampled_from("xy")), "intent_true": _maybe(st.sampled_from("xy"))}
    intents |= {"intent_conf": _maybe(st.sampled_from([0.0, 0.3, 0.55, 0.999, 1.0]))}
    values = {**_dimensions, **_usage, **intents, **_failure, "latency_ms": _maybe(_number)}
    ts = draw(st.one_of(_times, _times, _times, st.none()))
    arm = draw(st.sampled_from([ARMS[name], None]))
    return Turn(f"i{number}", name, ts, number, arm, **{key: draw(value) for key, value in values.items()})


def _exposure(draw, number, name):
    values = {**_dimensions, "eligible": _flag}
    told = {key: draw(value) for key, value in values.items()}
    return Exposure(f"x{number}", name, draw(_times), ARMS[name] or "baseline", rollout_id="r", **told)


def _call(draw, number, name):
    told = {key: draw(value) for key, value in {**_usage, **_failure}.items()}
    return ModelCall(f"m{number}", draw(st.sampled_from([name, None])), draw(_times), **told)


def _dependency(draw, number, name):
    told = {**_failure, "dependency": _maybe(st.sampled_from(["knowledge", "bank"])), "latency_ms": _maybe(_number)}
    return DependencyCall(f"d{number}", name, draw(_times), **{key: draw(value) for key, value in told.items()})


def _judged(draw, number, name):
    of = draw(_maybe(st.sampled_from([f"i{n}" for n in range(14)])))
    what, label = draw(st.sampled_from(_judgements))
    evaluator = draw(st.sampled_from(["human:ann", "detector:d", None]))
    key = draw(st.sampled_from([f"e{number}", f"targeted:{number}"]))
    return Judged(key, of, name, draw(_times), what, label, evaluator, draw(_maybe(st.sampled_from([0.1, 0.5]))))


def _outcome(draw, number, name):
    times = {key: draw(_maybe(_times)) for key in ("escalated_at", "resolved_at", "returned_at", "csat_at")}
    csat = draw(_maybe(st.integers(1, 5).map(float)))
    times["safety_route"] = draw(_maybe(st.sampled_from(["fraud", "legal"])))
    return Conversation(name, csat=csat, resolved=draw(_flag), cost_usd=draw(_maybe(_number)), **times)


@st.composite
def _batches(draw):
    """Records of all kinds in the order they arrive, cut into batches; ids are unique."""
    makers = [_turn, _turn, _exposure, _call, _dependency, _judged, _outcome]
    records = [
        draw(st.sampled_from(makers))(draw, number, draw(st.sampled_from(sorted(ARMS))))
        for number in range(draw(st.integers(1, 14)))
    ]
    cuts = sorted(draw(st.sets(st.integers(0, len(records)), max_size=4)) | {0, len(records)})
    return [records[low:high] for low, high in pairwise(cuts)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=_batches(), each=st.booleans(), slice_minutes=st.sampled_from([1, 3, rollups.SLICE_MINUTES]))
def test_rollups_equal_a_recount_whatever_arrives_in_whatever_batches(warehouse, batches, each, slice_minutes):
    facts = Facts(warehouse).clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollups, "SLICE_MINUTES", slice_minutes)
        for batch in batches:
            facts.store(*batch)
            if each:
                refresh(warehouse, T0)
        refresh(warehouse, T0)
    assert_rollups_equal_recount(facts)


def test_nothing_waiting_changes_nothing(facts):
    assert refresh(facts.warehouse, T0) == Refreshed(0, 0, 0)
    assert fetch(facts.warehouse, "SELECT * FROM rollup_runs") == []


def test_a_refresh_covers_the_waiting_batches_once(facts):
    small_world(facts)
    facts.store(Conversation("c1", csat=4.0, csat_at=at(90)))
    first = refresh(facts.warehouse, at(100))
    assert (first.first_batch, first.last_batch) == (1, 2)
    assert first.minutes > 0
    before = rolled_up(facts.warehouse)
    assert refresh(facts.warehouse, at(200)) == Refreshed(0, 0, 0)
    assert rolled_up(facts.warehouse) == before
    assert fetch(facts.warehouse, "SELECT * FROM rollup_runs") == [(at(100).replace(tzinfo=None), 1, 2, first.minutes)]


def test_every_metric_of_the_rollups_is_in_the_catalogue_and_back(facts):
    small_world(facts)
    facts.store(
        Turn("i3", "c1", at(30), 2, intent_pred="x", intent_true="y", tokens_in=3, tokens_out=0),
        DependencyCall("d1", "c1", at(3)),
        Judged("e2", "i1", "c1", at(60), "safety_route", "misrouted", "human:ann"),
        Conversation("c1", csat=4.0, csat_at=at(90), resolved=True, resolved_at=at(60)),
    )
    refresh(facts.warehouse, T0)
    by_sums = {name for name, entry in METRICS.items() if entry.sql == "views/window"}
    assert {key[-1] for key in rolled_up(facts.warehouse)} == by_sums


def test_late_exposure_moves_its_conversation_to_the_right_arm_in_every_minute(facts):
    facts.store(Turn("i1", "c1", at(0)), Turn("i2", "c1", at(200), 2), ModelCall("m1", "c1", at(260)))
    refresh(facts.warehouse, T0)
    assert {key[1] for key in rolled_up(facts.warehouse)} == {"unknown"}
    facts.store(Exposure("x1", "c1", at(0), "assistant", "v1", "canary", "a", "r", False))
    refresh(facts.warehouse, T0)
    assert {key[1:6] for key in rolled_up(facts.warehouse)} == {("assistant", "v1", "canary", "a", False)}
    assert_rollups_equal_recount(facts)


def test_an_exposure_told_days_later_still_moves_its_conversation(facts):
    facts.store(Turn("i1", "c1", at(0)), ModelCall("m1", "c1", at(30)))
    refresh(facts.warehouse, T0)
    facts.store(Exposure("x1", "c1", at(9 * DAY), "assistant", phase="canary"))
    refresh(facts.warehouse, T0)
    assert {key[1:4] for key in rolled_up(facts.warehouse)} == {("assistant", "unknown", "canary")}
    assert_rollups_equal_recount(facts)


@pytest.mark.parametrize("days", [1, 3, 4, 40])
def test_a_judgement_finds_its_answer_however_old(facts, days):
    facts.store(Turn("i1", "c1", at(0), arm="assistant"))
    refresh(facts.warehouse, T0)
    facts.store(Judged("e1", "i1", "c1", at(days * DAY), "safety_route", "misrouted", "human:ann"))
    refresh(facts.warehouse, T0)
    assert rolled_up(facts.warehouse)[T0, "assistant", "unknown", "unknown", "unknown", True, "safety_incidents"][
        :2
    ] == (1, 1)


def test_a_judgement_that_comes_before_its_answer_is_counted_when_the_answer_is_there(facts):
    facts.store(Judged("e1", "i1", "c1", at(5), "groundedness", "ungrounded"))
    refresh(facts.warehouse, T0)
    assert rolled_up(facts.warehouse) == {}
    facts.store(Turn("i1", "c1", at(0)))
    refresh(facts.warehouse, T0)
    assert_rollups_equal_recount(facts)


def test_of_several_judgements_the_worst_counts_for_safety_and_a_person_before_the_log(facts):
    facts.store(
        Turn("i1", "c1", at(0), intent_pred="x", intent_true="y"),
        Judged("e1", "i1", "c1", at(5), "safety_route", "ok", "human:ann"),
        Judged("e2", "i1", "c1", at(9), "safety_route", "misrouted", "human:bob"),
        Judged("e3", "i1", "c1", at(9), "intent_true", "x", "human:ann"),
        Judged("e4", "i1", "c1", at(5), "groundedness", "grounded"),
        Judged("e5", "i1", "c1", at(9), "groundedness", "ungrounded"),
    )
    refresh(facts.warehouse, T0)
    found = {key[-1]: row[:2] for key, row in rolled_up(facts.warehouse).items()}
    assert found["misrouting_rate"] == found["safety_incidents"] == (1, 1)
    assert found["misclassification_rate"] == (1, 0)
    assert found["hallucination_rate"] == (1, 0)


@pytest.mark.parametrize(
    ("seconds", "release"), [(-3600, "v1"), (-3601, "unknown"), (2 * DAY, "v1"), (2 * DAY + 1, "unknown")]
)
def test_a_row_belongs_to_its_conversation_from_an_hour_before_to_two_days_after_the_start(facts, seconds, release):
    facts.store(Turn("i1", "c1", at(0)), ModelCall("m1", "c1", at(seconds)), Turn("i2", "c1", at(max(0, seconds)), 2))
    refresh(facts.warehouse, T0)
    facts.store(Exposure("x1", "c1", at(0), "assistant", "v1"))
    refresh(facts.warehouse, T0)
    found = {(key[-1], key[0]): key[2] for key in rolled_up(facts.warehouse)}
    assert found["api_error_rate", minute_of(at(seconds))] == release
    assert found["request_volume", minute_of(at(max(0, seconds)))] == (release if seconds > 0 else "v1")
    assert_rollups_equal_recount(facts)


@pytest.mark.parametrize(("after", "returned"), [(72 * 3600, 1), (72 * 3600 + 0.000001, 0)])
def test_a_customer_comes_back_up_to_the_very_end_of_72_hours(facts, after, returned):
    facts.store(Turn("i1", "c1", at(0)), Conversation("c1", returned_at=at(after)))
    refresh(facts.warehouse, T0)
    assert {row[:2] for key, row in rolled_up(facts.warehouse).items() if key[-1] == "contact_rate"} == {(1, returned)}


def test_history_without_times_enters_no_minute(facts):
    facts.store(Turn("i1", "c1", None, latency_ms=5), Conversation("c2", csat=5.0))
    refresh(facts.warehouse, T0)
    assert rolled_up(facts.warehouse) == {}
    assert fetch(facts.warehouse, "SELECT reason, conversations FROM unit_summary") == [("no_start", 2)]


def test_removed_facts_leave_the_rollups_when_their_minutes_are_touched(facts):
    small_world(facts)
    refresh(facts.warehouse, T0)
    with facts.warehouse.transaction() as cursor:
        for table in ("interactions", "model_calls", "conversations"):
            cursor.execute(f"DELETE FROM {table} WHERE conversation_id = 'c1'")
    facts.rows = [row for row in facts.rows if row.conversation_id != "c1"]
    del facts.known["c1"]
    touch(facts.warehouse, [at(0), at(1.5)])
    refresh(facts.warehouse, T0)
    assert_rollups_equal_recount(facts)


class _Killed(Exception):
    """Stands for a process that ends."""


@pytest.mark.parametrize("step", range(3, 24, 2))
def test_a_crash_at_any_step_changes_nothing_and_the_next_run_repairs(facts, monkeypatch, step):
    small_world(facts)
    refresh(facts.warehouse, T0)
    facts.store(
        Turn("i3", "c1", at(400), 2, latency_ms=9), Judged("e2", "i3", "c1", at(401), "groundedness", "grounded")
    )
    before = rolled_up(facts.warehouse)
    calls = []

    def failing_load(name):
        calls.append(name)
        if len(calls) == step:
            raise _Killed(name)
        return load(name)

    with monkeypatch.context() as patch:
        patch.setattr(rollups, "load", failing_load)
        with pytest.raises(_Killed):
            refresh(facts.warehouse, T0)
    assert rolled_up(facts.warehouse) == before
    assert refresh(facts.warehouse, T0).last_batch == 2
    assert_rollups_equal_recount(facts)


_KILL = """
import os, sys
from controlplane.store import rollups
from controlplane.store.queries import load
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import T0
rollups.load = lambda name: os._exit(9) if name == sys.argv[2] else load(name)
rollups.refresh(Warehouse.open(sys.argv[1]), T0)
"""


@pytest.mark.parametrize("step", ["rollups/service_insert", "rollups/runs_insert"])
def test_a_killed_process_leaves_a_file_that_the_next_one_completes(tmp_path, step):
    path = tmp_path / "facts.duckdb"
    with Warehouse.open(path) as warehouse:
        facts = small_world(Facts(warehouse))
    killed = subprocess.run([sys.executable, "-c", _KILL, str(path), step], check=False)
    assert killed.returncode == 9
    with Warehouse.open(path) as facts.warehouse:
        assert rolled_up(facts.warehouse) == {}
        refresh(facts.warehouse, T0)
        assert_rollups_equal_recount(facts)


def test_what_ingest_commits_during_a_refresh_waits_for_the_next(facts, monkeypatch):
    small_world(facts)
    late = Turn("i9", "c9", at(0), arm="baseline")

    def load_and_ingest(name):
        if name == "rollups/pending_clear":
            facts.store(late)
        return load(name)

    with monkeypatch.context() as patch:
        patch.setattr(rollups, "load", load_and_ingest)
        refresh(facts.warehouse, T0)
    assert refresh(facts.warehouse, T0) == Refreshed(2, 2, 3)
    assert_rollups_equal_recount(facts)


@dataclass
class _Deps:
    warehouse: Warehouse


def test_the_job_refreshes(facts):
    small_world(facts)
    assert rollup.run(_Deps(facts.warehouse), T0).last_batch == 1
    assert_rollups_equal_recount(facts)


@pytest.mark.parametrize(
    "call", [lambda w: refresh(w, T0.replace(tzinfo=None)), lambda w: touch(w, [T0.replace(tzinfo=None)])]
)
def test_a_time_without_a_zone_is_refused(facts, call):
    small_world(facts)
    with pytest.raises(ValueError, match="has no time zone"):
        call(facts.warehouse)
