"""Is it really contained? Each action, asked through flags served over HTTP: verified, not verified, let go of before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from controlplane.core.assignment import Unit
from controlplane.core.model import Decision
from controlplane.core.rollout import Event
from controlplane.store.state_rows import IncidentRow, to_text
from controlplane.store.utc import to_naive
from jobs import actions, evaluate, tick, verify
from jobs.control import flags_for_a_moment
from jobs.decisions import automatic_commit
from jobs.deps import Deps
from tests.jobs.conftest import START, FactsByHand, Minutes
from tests.jobs.test_governing import insert, misrouting, rollout_of


@pytest.fixture
def served(deps: Deps) -> Iterator[Deps]:
    """Flags served over HTTP, by the time of the story, and a rollout row that is read for every question."""
    with flags_for_a_moment(deps, lambda: rollout_of(deps).updated_at):
        yield deps


def switch_off(deps: Deps, now: datetime) -> IncidentRow:
    """What the machine writes when a trigger switches execution off."""
    decision = Decision(
        "disable_execution", "controlplane", "trigger x: too many", now, deps.policy.hash, "escalation_increase"
    )
    commit, _ = automatic_commit(decision, rollout_of(deps), deps.policy, (), 0, {}, None)
    deps.state.commit(commit, now)
    return incident(deps)


def incident(deps: Deps) -> IncidentRow:
    (found,) = deps.state.incidents()
    return found


def entry(deps: Deps) -> dict[str, Any]:
    (found,) = incident(deps).containments
    return found


def seen(deps: Deps, now: datetime) -> verify.Verification:
    found = verify.run(deps, now)
    assert found is not None
    return found


def pages(deps: Deps) -> list[dict[str, Any]]:
    return [item.payload for item in deps.state.outbox() if ":unverified" in item.outbox_id]


def workflow(deps: Deps, ts: datetime, status: str = "completed", arm: str = "assistant") -> None:
    insert(deps, "conversations", {"conversation_id": "w", "arm": arm, "started_at": to_naive(ts)})
    insert(
        deps,
        "workflow_runs",
        {"run_id": "r", "ts": to_naive(ts), "conversation_id": "w", "workflow": "block_card", "status": status},
    )


def test_execution_that_is_off_is_verified_through_the_public_path(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    first = switch_off(served, at(1))
    assert (first.cut_at, entry(served)["verified_at"], entry(served)["how"]) == (None, None, "")
    facts.heard(at(1))
    pending = seen(served, at(1))
    limit = timedelta(seconds=served.policy.watch.client_poll_seconds)
    assert (pending.verified, pending.action, pending.deadline) == (None, "disable_execution", at(1) + limit)
    assert pending.probes == served.policy.watch.probes
    facts.heard(at(2))
    assert seen(served, at(2)).verified is True
    row = incident(served)
    assert (row.state, row.verified_at, entry(served)["verified_at"]) == ("contained", at(2), to_text(at(2)))
    assert "no workflow" in entry(served)["how"]
    assert row.timeline[-1]["event"] == "contain"
    assert served.state.audit_rows()[-1]["event"] == "containment_verified"
    assert served.state.cut_verified_at(started) is None  # nothing was rolled back
    assert verify.run(served, at(3)) is None
    assert pages(served) == []
    assert served.state.verify_chains() == {"audit": None, "ledger": None}


@pytest.mark.parametrize(
    ("status", "arm", "after", "forbidden"),
    [
        ("completed", "assistant", 6, True),
        ("started", "assistant", 6, True),
        ("refused", "assistant", 6, False),
        ("compensated", "assistant", 6, False),
        ("completed", "baseline", 6, False),
        ("completed", "assistant", 4, False),  # a client that had not read the flag again
    ],
)
def test_a_workflow_that_was_executed_since_is_found(
    served: Deps, facts: FactsByHand, started: str, at: Minutes, status: str, arm: str, after: int, forbidden: bool
) -> None:
    switch_off(served, at(1))
    workflow(served, at(1) + timedelta(seconds=after), status, arm)
    facts.heard(at(2))
    found = seen(served, at(2))
    assert found.verified is not forbidden
    assert ("1 workflows" in found.reason) is forbidden


def test_what_cannot_be_verified_in_time_pages_once_and_is_over_when_it_can(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    switch_off(served, at(1))
    facts.heard(at(9))
    honest = served.probe
    served.probe = lambda _url, _unit: {"arm": "baseline", "version": 99, "execution_enabled": True}
    for seconds, paged in ((50, 0), (61, 1), (90, 1)):
        found = seen(served, at(1) + timedelta(seconds=seconds))
        assert found.verified is False
        assert "says that workflows are executed" in found.reason
        assert len(pages(served)) == paged
    (page,) = pages(served)
    assert (page["severity"], page["labels"]["alertname"]) == ("critical", "containment_not_verified")
    assert page["labels"]["action"] == "disable_execution"
    assert incident(served).state == "open"
    served.probe = honest
    assert seen(served, at(3)).verified is True
    assert [item.kind for item in served.state.outbox()][-1] == "resolve"
    assert served.state.verify_chains() == {"audit": None, "ledger": None}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"arm": "baseline", "version": 99}, "does not tell whether workflows are executed"),
        ({"arm": "baseline", "version": 1, "execution_enabled": False}, "answers from version 1"),
    ],
)
def test_a_server_that_says_nothing_or_something_old_verifies_nothing(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes, answer: dict[str, Any], words: str
) -> None:
    switch_off(deps, at(1))
    facts.heard(at(2))
    deps.probe = lambda _url, _unit: answer
    found = seen(deps, at(2))
    assert found.verified is False
    assert words in found.reason


def test_a_person_who_lets_go_before_it_was_verified_ends_the_verification(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    switch_off(served, at(1))
    actions.act(served.state, served.policy, Event.ENABLE_EXECUTION, "ana", "it was the menu", at(2))
    facts.heard(at(2))
    assert seen(served, at(2)).ended
    assert entry(served)["verified_at"] is None
    assert "was not verified before it ended: execution was switched on again" in entry(served)["how"]
    assert incident(served).verified_at is None
    assert verify.run(served, at(9)) is None
    assert pages(served) == []


def test_a_contained_category_is_verified_for_each_of_its_customers(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    misrouting(served, started)
    facts.heard(at(1))
    assert evaluate.run(served, at(1)).decision is not None
    assert entry(served)["categories"] == ["card_stolen"]
    asked: list[Unit] = []
    honest = served.probe
    assert honest is not None
    served.probe = lambda url, unit: asked.append(unit) or honest(url, unit)  # type: ignore[func-returns-value]
    facts.heard(at(2))
    found = seen(served, at(2))
    assert (found.verified, found.action) == (True, "contain")
    assert {unit.intent for unit in asked} == {"card_stolen", ""}  # the category, then execution
    assert (incident(served).state, entry(served)["verified_at"]) == ("contained", to_text(at(2)))


def test_a_contained_category_that_is_still_served_is_found(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    misrouting(served, started)
    facts.heard(at(1))
    evaluate.run(served, at(1))
    facts.heard(at(2))
    honest = served.probe
    for answer, words in (
        ({"arm": "assistant", "ineligible_reason": None}, "serves assistant in a contained category"),
        ({"arm": "baseline", "ineligible_reason": "not_low_risk"}, "to nobody's hands (reason: not_low_risk)"),
    ):
        served.probe = lambda _url, _unit, answer=answer: {"version": 99, "execution_enabled": False, **answer}  # type: ignore[misc]
        found = seen(served, at(2))
        assert found.verified is False
        assert words in found.reason
    served.probe = honest
    late = {"exposure_id": "x", "ts": to_naive(at(2)), "conversation_id": "l", "variant": "assistant"}
    insert(served, "exposures", late | {"intent_first": "card_stolen"})
    found = seen(served, at(2))
    assert found.verified is False
    assert "1 exposures of 'card_stolen'" in found.reason


def test_an_exposure_in_another_category_is_no_breach_of_the_containment(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    misrouting(served, started)
    facts.heard(at(1))
    evaluate.run(served, at(1))
    other = {"exposure_id": "x", "ts": to_naive(at(2)), "conversation_id": "l", "variant": "assistant"}
    insert(served, "exposures", other | {"intent_first": "fees"})
    facts.heard(at(3))
    assert seen(served, at(3)).verified is True


def test_a_rollback_has_an_entry_of_its_own_and_people_are_told_of_both_in_one_beat(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    actions.act(served.state, served.policy, Event.ROLLBACK, "ana", "no", at(1))
    facts.heard(at(2))
    done = tick.run(served, at(2))
    assert done.verification is not None
    assert done.verification.verified is True
    assert (entry(served)["action"], entry(served)["verified_at"]) == ("rollback", to_text(at(2)))
    assert served.state.cut_verified_at(started) == at(2)
    assert {item.status for item in served.state.outbox()} <= {"sent", "suppressed"}


def test_a_cut_from_before_containments_were_recorded_is_verified_all_the_same(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    actions.act(served.state, served.policy, Event.ROLLBACK, "ana", "no", at(1))
    with closing(sqlite3.connect(served.settings.workspace.state)) as raw:
        raw.execute("UPDATE incidents SET containments = '[]'")
        raw.commit()
    facts.heard(at(2))
    assert seen(served, at(2)).verified is True
    assert (entry(served)["action"], entry(served)["done_at"]) == ("rollback", to_text(at(1)))
    assert verify.run(served, at(3)) is None


def test_decisions_are_served_at_once(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    """The flags of this process do not wait for their next read of the row."""
    reread: list[datetime] = []
    deps.reread_flags = reread.append
    facts.heard(at(1))
    tick.run(deps, at(1))
    assert reread == []
    tick.run(deps, at(1) + timedelta(seconds=deps.policy.watch.freshness_seconds + 60))  # stale: held
    assert len(reread) == 1
    assert reread[0] > START


def test_what_lands_after_the_verification_can_refute_it_and_pages_once(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    actions.act(served.state, served.policy, Event.ROLLBACK, "ana", "no", at(1))
    facts.heard(at(2))
    assert seen(served, at(2)).verified is True
    verify.run(served, at(3))
    assert refutations(served) == []
    late = {"exposure_id": "x", "ts": to_naive(at(2)), "conversation_id": "l", "variant": "assistant"}
    insert(served, "exposures", late)
    for minute in (4, 5, 6):
        verify.run(served, at(minute))
    (page,) = refutations(served)
    assert page["severity"] == "critical"
    assert page["labels"]["alertname"] == "rollback_not_verified"
    assert page["annotations"]["title"] == "v1: rollback was verified and did NOT hold"
    assert "1 exposures to the assistant are logged after" in page["annotations"]["summary"]
    assert incident(served).timeline[-1]["event"] == "refuted"
    assert served.state.verify_chains() == {"audit": None, "ledger": None}


def test_a_containment_that_a_person_has_let_go_of_is_refuted_by_nothing(
    served: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    switch_off(served, at(1))
    facts.heard(at(2))
    assert seen(served, at(2)).verified is True
    actions.act(served.state, served.policy, Event.ENABLE_EXECUTION, "ana", "mended", at(3))
    workflow(served, at(4))
    verify.run(served, at(5))
    assert refutations(served) == []


def refutations(deps: Deps) -> list[dict[str, Any]]:
    return [item.payload for item in deps.state.outbox() if ":refuted:" in item.outbox_id]
