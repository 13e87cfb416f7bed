"""The world keeps its promises: deterministic, lazy in time, faithful to the exposure, and its records are well-formed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from controlplane.core.assignment import Exposure, Unit
from controlplane.core.model import Arm
from controlplane.ingest.schema import RECORDS
from controlplane.simulation.service_desk import Screener
from tests.simulation.conftest import AUDIT_RATE, MINUTES, MakeWorld
from tests.simulation.measure import START, Record, exposure, of_kind, split, without_measured_times

MINUTE = timedelta(minutes=1)


def stepwise(world: object, until: datetime, step: timedelta) -> list[Record]:
    records: list[Record] = []
    while world.now < until:
        records += world.advance(min(until, world.now + step))
    return records


def test_the_size_of_the_steps_does_not_matter(make_world: MakeWorld) -> None:
    until = START + 4 * MINUTE
    whole = make_world().advance(until)
    for step in (timedelta(seconds=1), timedelta(seconds=7.3), MINUTE):
        assert without_measured_times(stepwise(make_world(), until, step)) == without_measured_times(whole)


def test_a_seed_gives_one_world_and_another_seed_another(make_world: MakeWorld) -> None:
    until = START + MINUTE
    assert without_measured_times(make_world(seed=5).advance(until)) == without_measured_times(
        make_world(seed=5).advance(until)
    )
    questions = [{r["question"] for r in of_kind(make_world(seed=s).advance(until), "interaction")} for s in (5, 6)]
    assert questions[0] != questions[1]


def test_records_come_in_time_order_and_never_early(make_world: MakeWorld) -> None:
    world, last = make_world(), START.isoformat()
    for minute in range(1, 6):
        until = START + minute * MINUTE
        times = [datetime.fromisoformat(str(record["ts"])) for record in world.advance(until)]
        assert times == sorted(times)
        assert all(datetime.fromisoformat(last) < moment <= until for moment in times)
        last = until.isoformat()


def test_time_does_not_run_backwards(make_world: MakeWorld) -> None:
    world = make_world()
    world.advance(START + MINUTE)
    assert world.advance(START + MINUTE) == []
    with pytest.raises(ValueError, match="cannot go back"):
        world.advance(START)


@pytest.fixture(scope="module")
def records(run_scenario: Callable[[str, int], list[Record]]) -> list[Record]:
    return run_scenario("healthy", MINUTES)


def test_every_record_has_exactly_the_documented_fields(records: list[Record]) -> None:
    for record in records:
        kind = RECORDS[str(record["record"])]
        assert set(record) == {"record", *kind.names()}
        for field in kind.fields:
            assert record[field.name] not in (None, "") or not field.required
            if field.choices and record[field.name] is not None:
                assert record[field.name] in field.choices
            if field.low is not None and record[field.name] is not None:
                assert record[field.name] >= field.low
            if field.high is not None and record[field.name] is not None:
                assert record[field.name] <= field.high


def test_all_kinds_of_records_occur_and_ids_are_unique(records: list[Record]) -> None:
    kinds = Counter(str(record["record"]) for record in records)
    assert set(kinds) == set(RECORDS) - {"heartbeat"}
    for name, kind in RECORDS.items():
        ids = [record[str(kind.id_field)] for record in records if record["record"] == name]
        assert len(ids) == len(set(ids)), name


def test_a_conversation_has_one_exposure_before_its_first_turn_and_keeps_its_arm(records: list[Record]) -> None:
    exposures = {e["conversation_id"]: e for e in of_kind(records, "exposure")}
    assert len(exposures) == len(of_kind(records, "exposure"))
    seen: set[object] = set()
    turns: Counter[object] = Counter()
    for record in records:
        if record["record"] == "exposure":
            seen.add(record["conversation_id"])
        if record["record"] == "interaction":
            conversation = record["conversation_id"]
            assert conversation in seen
            turns[conversation] += 1
            assert record["turn"] == turns[conversation]
            shown = exposures[conversation]
            assert (record["arm"], record["user_id"]) == (shown["variant"], shown["user_id"])
    assert set(turns) == set(exposures)


def test_people_rate_after_their_conversation(records: list[Record]) -> None:
    last = {r["conversation_id"]: r["ts"] for r in of_kind(records, "interaction")}
    given = of_kind(records, "feedback")
    assert len(given) > 300
    assert all(record["ts"] > last[record["conversation_id"]] for record in given)


def test_outcomes_are_not_written_into_turns(records: list[Record]) -> None:
    for turn in of_kind(records, "interaction"):
        assert (turn["csat"], turn["resolved"], turn["intent_true"]) == (None, None, None)


def test_reviewers_label_a_sample_of_both_arms_at_the_stated_rate(records: list[Record]) -> None:
    arms = {e["conversation_id"]: e["variant"] for e in of_kind(records, "exposure")}
    labels = [e for e in of_kind(records, "evaluation") if e["evaluator"].startswith("human:")]
    routes = [e for e in labels if e["name"] == "safety_route"]
    assert {e["name"] for e in labels} == {"safety_route", "intent_true"}
    assert {arms[e["conversation_id"]] for e in routes} == {"assistant", "baseline"}
    assert {e["sampling_rate"] for e in labels} == {AUDIT_RATE}
    settled = START + 10 * MINUTE  # a reviewer takes up to seven minutes
    old = [e["conversation_id"] for e in of_kind(records, "exposure") if datetime.fromisoformat(e["ts"]) < settled]
    labelled = {e["conversation_id"] for e in routes}
    assert sum(conversation in labelled for conversation in old) / len(old) == pytest.approx(AUDIT_RATE, abs=0.05)


def test_after_the_flag_says_baseline_no_new_conversation_meets_the_assistant(make_world: MakeWorld) -> None:
    cut = START + 3 * MINUTE

    def expose(unit: Unit, now: datetime) -> Exposure:
        return exposure(Arm.BASELINE) if now >= cut else split(unit, now)

    records = make_world(expose=expose).advance(START + 8 * MINUTE)
    treated = [e for e in of_kind(records, "exposure") if e["variant"] == "assistant"]
    assert treated
    assert all(datetime.fromisoformat(e["ts"]) < cut for e in treated)
    late = [
        t for t in of_kind(records, "interaction") if t["arm"] == "assistant" and datetime.fromisoformat(t["ts"]) >= cut
    ]
    assert late, "conversations under way keep their arm"
    assert all(turn["turn"] > 1 for turn in late)


def test_the_exposure_is_asked_once_per_conversation_at_its_start(make_world: MakeWorld) -> None:
    asked: list[tuple[Unit, datetime]] = []

    def expose(unit: Unit, now: datetime) -> Exposure:
        asked.append((unit, now))
        return split(unit, now)

    records = make_world(expose=expose).advance(START + 2 * MINUTE)
    shown = of_kind(records, "exposure")
    assert [(unit.user_id, unit.intent, unit.segment) for unit, _ in asked] == [
        (e["user_id"], e["intent_first"], e["segment"]) for e in shown
    ]
    assert [now for _, now in asked] == [datetime.fromisoformat(e["ts"]) for e in shown]
    assert {unit.low_risk for unit, _ in asked if unit.intent in ("balance", "fees")} == {True}
    assert {unit.low_risk for unit, _ in asked if unit.intent not in ("balance", "fees")} == {False}
    assert any(unit.mandatory_person for unit, _ in asked)
    assert any(unit.employee for unit, _ in asked)


def test_a_deployed_change_touches_later_turns_only(make_world: MakeWorld, build: Callable[[str], Screener]) -> None:
    at = START + 3 * MINUTE
    untouched = without_measured_times(make_world().advance(START + 6 * MINUTE))
    world = make_world()
    before = without_measured_times(world.advance(at))
    world.deploy(build("bad_knowledge"))
    after = without_measured_times(world.advance(START + 6 * MINUTE))
    assert before == [r for r in untouched if datetime.fromisoformat(r["ts"]) <= at]
    treated = [r for r in after if r["record"] == "interaction" and r["arm"] == "assistant"]
    assert {turn["agent_version"] for turn in treated} == {"2.1.0"}
    control = [r for r in after if r["record"] == "interaction" and r["arm"] == "baseline"]
    assert control == [
        r
        for r in untouched
        if r["record"] == "interaction" and r["arm"] == "baseline" and datetime.fromisoformat(r["ts"]) > at
    ]


def test_the_log_calls_a_deployed_assistant_as_asked(make_world: MakeWorld, build: Callable[[str], Screener]) -> None:
    world = make_world()
    world.deploy(build("healthy"), "nightly")
    turns = of_kind(world.advance(START + MINUTE), "interaction")
    assert {turn["agent_version"] for turn in turns if turn["arm"] == "assistant"} == {"nightly"}
    assert {turn["agent_version"] for turn in turns if turn["arm"] == "baseline"} == {"menu-1"}


def test_a_share_of_traffic_sets_the_volume(make_world: MakeWorld) -> None:
    few = of_kind(make_world(rate=10.0).advance(START + 5 * MINUTE), "exposure")
    many = of_kind(make_world(rate=100.0).advance(START + 5 * MINUTE), "exposure")
    assert len(many) > 5 * len(few) > 0
