"""From facts to decisions with real stores."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.core.model import RolloutState, Verdict
from controlplane.core.rollout import Event
from controlplane.store.state_append import LostRace
from jobs import actions, evaluate, notify, verify
from jobs.deps import Deps
from tests.jobs.conftest import START, FactsByHand, Minutes


def run_minutes(
    deps: Deps, facts: FactsByHand, first: int, last: int, treated: float, control: float, rollout_id: str
) -> int | None:
    """Live through minutes [first, last); the minute of the first decision, or None."""
    for minute in range(first, last):
        rollout = deps.state.rollout()
        assert rollout is not None
        facts.minute(START + timedelta(minutes=minute), 100, rollout.share, treated, control, rollout_id)
        now = START + timedelta(minutes=minute + 1)
        facts.heard(now)
        if evaluate.run(deps, now).decision is not None:
            return minute
    return None


def test_harm_is_rolled_back_with_incident_message_and_a_whole_record(
    deps: Deps, facts: FactsByHand, started: str
) -> None:
    minute = run_minutes(deps, facts, 0, 60, 0.5, 0.1, started)
    assert minute is not None
    assert minute < 25
    rollout = deps.state.rollout()
    assert rollout is not None
    assert (rollout.state, rollout.share, rollout.execution_enabled) == (RolloutState.ROLLED_BACK, 0.0, False)
    incident = deps.state.incidents()[0]
    assert incident.trigger == "escalation_increase"
    assert incident.onset_at is not None
    assert incident.customers_exposed is not None
    assert incident.customers_exposed > 0
    message = deps.state.outbox()[0]
    reading = next(r for r in message.payload["readings"] if r["trigger"] == "escalation_increase")
    assert reading["fired"]
    assert "percentage points" in reading["estimate"]
    assert "probability" in message.payload["promise"]
    assert deps.state.verify_chains() == {"audit": None, "ledger": None}


def test_a_release_no_worse_than_the_menu_goes_on_and_is_certified(
    deps: Deps, facts: FactsByHand, started: str
) -> None:
    assert run_minutes(deps, facts, 0, 60, 0.1, 0.1, started) is None
    rollout = deps.state.rollout()
    assert rollout is not None
    now = START + timedelta(minutes=60)
    missing = evaluate.gate(deps, rollout, now).missing
    assert [line.name for line in missing] == ["approvals"]
    with pytest.raises(actions.Refused, match="not the author"):
        actions.promote(deps, "ben", "I made it", now)
    after = actions.promote(deps, "cleo", "certified", now)
    assert (after.stage, after.share, after.state) == (1, 0.5, RolloutState.COMPLETE)


def test_promotion_without_evidence_is_refused(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    facts.heard(at(6))
    with pytest.raises(actions.Refused, match="certificate escalation: no data"):
        actions.promote(deps, "cleo", "please", at(6))


def test_a_second_run_without_new_data_writes_nothing(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    run_minutes(deps, facts, 0, 20, 0.1, 0.1, started)
    version, rows = deps.state.version(), len(deps.state.ledger_rows())
    evaluate.run(deps, at(20))
    assert (deps.state.version(), len(deps.state.ledger_rows())) == (version, rows)


def test_many_blocks_in_one_run_give_the_same_ledger_as_one_by_one(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    for minute in range(30):
        facts.minute(at(minute), 100, 0.2, 0.1, 0.1, started)
    facts.heard(at(30))
    evaluate.run(deps, at(30))
    at_once = [(row["block_key"], row["counts"], row["readings"]) for row in deps.state.ledger_rows()]
    assert len(at_once) == 25 + 20 + 4  # and of the validity checks: two blocks of units, one of each maturity
    assert all(json.loads(counts) for _, counts, _ in at_once)


def test_stale_data_holds_and_fresh_data_resumes(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    facts.heard(at(1))
    assert evaluate.run(deps, at(4)).decision is None
    held = evaluate.run(deps, at(7)).decision
    assert held is not None
    assert held.event == Event.HOLD
    assert evaluate.run(deps, at(8)).decision is None
    facts.heard(at(9))
    resumed = evaluate.run(deps, at(9)).decision
    assert resumed is not None
    assert resumed.event == Event.RESUME


def test_no_data_never_accuses(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    facts.heard(at(30))
    evaluation = evaluate.run(deps, at(30))
    assert evaluation.blocks == 25 + 20 + 4
    assert {reading.verdict for reading in evaluation.readings} == {Verdict.NO_DATA}
    assert all(reading.weight_spent == 0 for reading in evaluation.readings)


def test_a_lost_race_is_decided_again(
    deps: Deps, facts: FactsByHand, started: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, calls = deps.state.commit, []

    def racing(change: object, now: object) -> None:
        calls.append(change)
        if len(calls) == 1:
            raise LostRace("somebody was faster")
        commit(change, now)  # type: ignore[arg-type]

    monkeypatch.setattr(deps.state, "commit", racing)
    minute = run_minutes(deps, facts, 0, 60, 0.6, 0.1, started)
    assert minute is not None
    assert deps.state.verify_chains() == {"audit": None, "ledger": None}


def test_the_cut_is_verified_only_when_records_have_passed_it(deps: Deps, facts: FactsByHand, started: str) -> None:
    minute = run_minutes(deps, facts, 0, 60, 0.6, 0.1, started)
    assert minute is not None
    cut = START + timedelta(minutes=minute + 1)
    notify.run(deps, cut)
    pending = verify.run(deps, cut)
    assert pending is not None
    assert pending.verified is None
    facts.heard(cut + timedelta(seconds=10))
    done = verify.run(deps, cut + timedelta(seconds=10))
    assert done is not None
    assert done.verified
    incident = deps.state.incidents()[0]
    assert (incident.state, incident.verified_at) == ("contained", cut + timedelta(seconds=10))
    notify.run(deps, cut + timedelta(seconds=11))
    assert deps.state.incidents()[0].alerted_at is not None
    assert {item.status for item in deps.state.outbox()} == {"sent"}


def test_an_exposure_after_the_cut_is_found_and_paged(deps: Deps, facts: FactsByHand, started: str) -> None:
    minute = run_minutes(deps, facts, 0, 60, 0.6, 0.1, started)
    assert minute is not None
    cut = START + timedelta(minutes=minute + 1)
    cursor = deps.warehouse.cursor()
    cursor.execute(
        "INSERT INTO exposures (exposure_id, ts, conversation_id, variant, id_hash, raw_hash, batch_id, line) "
        "VALUES ('x', ?, 'late', 'assistant', 1, 1, 1, 1)",
        [(cut + timedelta(seconds=30)).replace(tzinfo=None)],
    )
    cursor.close()
    facts.heard(cut + timedelta(seconds=90))
    for seconds in (70, 80):
        result = verify.run(deps, cut + timedelta(seconds=seconds))
        assert result is not None
        assert result.verified is False
        assert "1 exposures" in result.reason
    pages = [item for item in deps.state.outbox() if item.outbox_id.endswith(":unverified")]
    assert len(pages) == 1


def test_a_flag_server_that_still_serves_the_assistant_is_named(deps: Deps, facts: FactsByHand, started: str) -> None:
    minute = run_minutes(deps, facts, 0, 60, 0.6, 0.1, started)
    assert minute is not None
    deps.probe = lambda _url, _key: {"arm": "assistant", "version": 1}
    result = verify.run(deps, START + timedelta(minutes=minute + 2))
    assert result is not None
    assert result.verified is False
    assert "http://127.0.0.1:1 serves assistant" in result.reason


def test_after_a_rollback_only_a_person_restarts_with_another_release_and_a_resolved_incident(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    minute = run_minutes(deps, facts, 0, 60, 0.6, 0.1, started)
    assert minute is not None
    now = at(70)

    def restart(artefacts: dict[str, str]) -> None:
        actions.start_release(deps.state, deps.policy, "v2", artefacts, "ben", "ana", now)

    with pytest.raises(actions.Refused, match="is not resolved"):
        restart({"model": "m2"})
    incident_id = deps.state.incidents()[0].incident_id
    for event in ("acknowledge", "resolve"):
        actions.incident_event(deps.state, incident_id, event, "ana", "fixed", now)
    with pytest.raises(actions.Refused, match="other artefacts"):
        restart({"model": "m1"})
    with pytest.raises(actions.Refused, match="is resolved and not reviewed"):
        restart({"model": "m2"})
    actions.incident_event(deps.state, incident_id, "review", "ana", "the prompt left the limit out", now)
    restart({"model": "m2"})
    rollout = deps.state.rollout()
    assert rollout is not None
    assert (rollout.release, rollout.state, rollout.share) == ("v2", RolloutState.RUNNING, 0.2)
    assert deps.state.lanes(rollout.rollout_id) == {}


def test_a_cut_is_looked_at_until_it_is_verified_and_pages_once_at_the_time_of_the_policy(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    deps.policy = replace(deps.policy, watch=replace(deps.policy.watch, verify_seconds=120))
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "no", at(1))
    honest, asked = deps.probe, []

    def broken(url: str, unit: object) -> dict[str, object]:
        asked.append(unit)
        return {"arm": "assistant", "version": 1}

    deps.probe = broken
    for seconds, paged in ((60, 0), (120, 0), (121, 1), (180, 1)):
        result = verify.run(deps, at(1) + timedelta(seconds=seconds))
        assert result is not None
        assert result.verified is False
        assert sum(item.outbox_id.endswith(":unverified") for item in deps.state.outbox()) == paged
    assert len(asked) == 4
    deps.probe = honest
    facts.heard(at(5))
    done = verify.run(deps, at(5))
    assert done is not None
    assert done.verified
    assert [item.kind for item in deps.state.outbox()][-1] == "resolve"  # the page is over
    assert verify.run(deps, at(6)) is None


def test_what_was_certified_before_a_deploy_speaks_for_nothing_behind_it(
    deps: Deps, facts: FactsByHand, started: str
) -> None:
    assert run_minutes(deps, facts, 0, 60, 0.1, 0.1, started) is None
    rollout = deps.state.rollout()
    assert rollout is not None
    assert evaluate.standings(deps, rollout)["escalation"].certified
    now = START + timedelta(minutes=60)
    after = actions.deploy(deps.state, deps.policy, "a prompt", "ana", now)
    assert evaluate.standings(deps, after) == {}
    with pytest.raises(actions.Refused, match="certificate escalation: no data"):
        actions.promote(deps, "cleo", "certified an hour ago", now)
