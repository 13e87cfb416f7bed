"""The stages of the pipeline and the one hard question, as pure functions."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.config import shipped
from alerts.model import Alert, Severity, Status, resolved
from alerts.pipeline import (
    Candidate,
    Context,
    Inhibition,
    LogEntry,
    Reason,
    Route,
    Silence,
    StageName,
    Timing,
    match,
    needs_update,
    run,
)
from alerts.stages import STAGES

from .conftest import NOW, an_alert

EVERYTHING = (Route("all", ("console",)),)
INHIBITIONS = shipped().rules.inhibitions
HOUR = timedelta(hours=1)
keys = st.frozensets(st.sampled_from("abcdef"))


def candidate(outbox_id: str, alert: Alert | None = None, age: int = 0, **more: object) -> Candidate:
    return Candidate(outbox_id, "alert", NOW - timedelta(seconds=age), alert or an_alert(outbox_id), **more)


def metric_alert(name: str, incident: str | None = "inc-2", **more: object) -> Alert:
    labels = {"alertname": "trigger", "trigger": name, "release": "2026.2", "category": "metric"}
    return an_alert(name, incident, labels=labels, severity=Severity.WARNING, **more)


def context(**more: object) -> Context:
    return Context(**{"now": NOW, "routes": EVERYTHING, "inhibitions": INHIBITIONS, **more})


@given(st.none() | st.tuples(keys, keys), keys, keys, st.integers(0, 10))
def test_needs_update_tells_exactly_what_is_news(
    before: tuple[frozenset[str], frozenset[str]] | None, firing: frozenset[str], over: frozenset[str], hours: int
) -> None:
    entry = None if before is None else LogEntry(before[0], before[1], NOW - hours * HOUR)
    reason = needs_update(entry, firing, over, 4 * HOUR, NOW)
    if entry is None:
        assert reason is (Reason.FIRST if firing else Reason.RESOLVED_UNSEEN)
    else:
        news = bool(firing - entry.firing or over - entry.resolved)
        assert reason.tells == (news or (bool(firing) and hours >= 4))
        assert (reason is Reason.REPEAT) == (not news and bool(firing) and hours >= 4)
        assert (reason is Reason.ALL_RESOLVED) == (not firing and bool(over - entry.resolved))


def test_every_reason_tells_or_is_final_or_comes_back() -> None:
    assert not [reason for reason in Reason if reason.tells and reason.is_final]
    later = {reason for reason in Reason if not reason.tells and not reason.is_final}
    assert later == {Reason.GROUP_WAIT, Reason.GROUP_INTERVAL, Reason.WAITS_FOR_EARLIER, Reason.RECEIVER_PAUSED}


def test_a_storm_is_one_group_and_the_gravest_speaks() -> None:
    storm = [candidate(f"t{n}", metric_alert(f"t{n}"), age=n) for n in range(600)]
    storm.append(candidate("grave", an_alert("grave", "inc-2"), age=99))
    outcome = run(STAGES, storm, context())
    (group,) = outcome.groups
    assert group.lead.outbox_id == "grave"
    assert len(group.members) == 601
    assert outcome.withheld == ()


def test_the_newest_state_of_an_alert_is_told_and_older_ones_inside_it() -> None:
    early, late = an_alert("early"), resolved(an_alert("late"), NOW)
    outcome = run(STAGES, [candidate("early", early, age=9), candidate("late", late)], context())
    (group,) = outcome.groups
    assert [member.outbox_id for member in group.members] == ["late"]
    assert [member.outbox_id for member in group.older] == ["early"]
    assert outcome.withheld == ()


def test_what_was_begun_lends_its_id_and_waits_for_nothing() -> None:
    begun = candidate("begun", metric_alert("begun"), age=30, attempts=1)
    outcome = run(STAGES, [candidate("mild", metric_alert("mild")), begun], context(timing=Timing(HOUR, HOUR)))
    assert [group.lead.outbox_id for group in outcome.groups] == ["begun"]
    assert [c.outbox_id for c in outcome.groups[0].all] == ["begun", "mild"]


@pytest.mark.parametrize(
    ("severity", "age", "told_before", "expected"),
    [
        (Severity.WARNING, 5, None, Reason.GROUP_WAIT),
        (Severity.WARNING, 15, None, None),
        (Severity.CRITICAL, 0, None, None),
        (Severity.WARNING, 5, 20, Reason.GROUP_INTERVAL),
        (Severity.WARNING, 5, 90, None),
        (Severity.CRITICAL, 0, 1, None),
    ],
)
def test_waits(severity: Severity, age: int, told_before: int | None, expected: Reason | None) -> None:
    timing = Timing(group_wait=timedelta(seconds=10), group_interval=timedelta(seconds=60))
    one = candidate("a1", replace(an_alert(), severity=severity), age=age)
    told = (
        {}
        if told_before is None
        else {"console/incident:inc-1": LogEntry(frozenset(), frozenset(), NOW - timedelta(seconds=told_before))}
    )
    outcome = run(STAGES, [one], context(timing=timing, entries=told))
    assert [w.reason for w in outcome.withheld] == ([] if expected is None else [expected])
    assert len(outcome.groups) == (expected is None)


def test_a_rollback_inhibits_the_metric_alerts_of_its_release_only() -> None:
    other = metric_alert("other release", None)
    other = replace(other, labels={**other.labels, "release": "2026.3"})
    noisy, critical = metric_alert("same", None), replace(metric_alert("crit", None), severity=Severity.CRITICAL)
    everything = [candidate("rollback", an_alert("rollback"))] + [
        candidate(name, alert) for name, alert in (("same", noisy), ("other", other), ("critical", critical))
    ]
    outcome = run(STAGES, everything, context())
    assert {g.lead.outbox_id for g in outcome.groups} == {"rollback", "other", "critical"}
    assert [(w.outbox_id, w.stage, w.reason) for w in outcome.withheld] == [
        ("same", StageName.INHIBIT, Reason.INHIBITED)
    ]
    told_before = run(STAGES, [candidate("same", noisy)], context(active=(an_alert("rollback"),)))
    assert [w.detail for w in told_before.withheld] == ["rolled-back release"]
    over = run(STAGES, [candidate("same", noisy)], context(active=(resolved(an_alert("rollback"), NOW),)))
    assert len(over.groups) == 1


def test_stale_data_inhibits_metric_alerts_of_every_release() -> None:
    stale = an_alert("stale", "inc-9", labels={"alertname": "stale_data"}, severity=Severity.ERROR)
    held = metric_alert("held", "inc-3")
    held = replace(held, labels={**held.labels, "action": "hold"})
    both = [candidate("m", metric_alert("m", None)), candidate("held", held)]
    outcome = run(STAGES, [candidate("stale", stale), *both], context())
    assert [w.outbox_id for w in outcome.withheld] == ["m"]  # what was done is told, whatever explains it


def test_a_silence_ends_and_never_hides_a_confirmed_safety_event() -> None:
    silence = Silence("s1", match(release="2026.2"), "dana", "known", NOW - HOUR, NOW + HOUR)
    safety = an_alert("safety", "inc-7", labels={"alertname": "misrouted", "safety": "confirmed", "release": "2026.2"})
    both = [candidate("plain", metric_alert("plain")), candidate("safety", safety)]
    outcome = run(STAGES, both, context(silences=(silence,)))
    assert [g.lead.outbox_id for g in outcome.groups] == ["safety"]
    assert "dana" in outcome.withheld[0].detail
    assert "known" in outcome.withheld[0].detail
    for outside in (NOW - 2 * HOUR, NOW + HOUR):
        assert len(run(STAGES, both, context(silences=(silence,), now=outside)).groups) == 2


def test_what_stands_beside_a_confirmed_safety_event_is_neither_silenced_nor_inhibited() -> None:
    """That its containment could not be verified, or that its report is due, has labels of its own."""
    silence = Silence("s1", match(release="2026.2"), "dana", "known", NOW - HOUR, NOW + HOUR)
    rule = Inhibition("too much", match(alertname="rollback"), match(release="2026.2"))
    safety = an_alert("safety", "inc-7", labels={"alertname": "contained_category", "safety": "confirmed"})
    report = replace(metric_alert("report", "inc-7"), severity=Severity.WARNING)
    known = {"silences": (silence,), "inhibitions": (rule,), "active": (safety, an_alert("rollback", "inc-1"))}
    both = [candidate("report", report), candidate("other", metric_alert("other", "inc-8"))]
    assert [g.lead.outbox_id for g in run(STAGES, both, context(**known)).groups] == ["report"]


def test_a_state_that_was_told_is_not_told_again_until_it_repeats() -> None:
    alert = an_alert()
    told = {"console/incident:inc-1": LogEntry(frozenset([alert.key]), frozenset(), NOW)}
    again = run(STAGES, [candidate("a2", alert)], context(entries=told, now=NOW + HOUR))
    assert [(w.stage, w.reason) for w in again.withheld] == [(StageName.DEDUP, Reason.NOTHING_NEW)]
    later = run(STAGES, [candidate("a2", alert)], context(entries=told, now=NOW + 4 * HOUR))
    assert [g.reason for g in later.groups] == [Reason.REPEAT]
    begun = run(STAGES, [candidate("a2", alert, attempts=1)], context(entries=told))
    assert len(begun.groups) == 1


def test_over_before_anybody_was_told() -> None:
    grave = candidate("grave", resolved(an_alert("grave"), NOW))
    mild = candidate("mild", resolved(metric_alert("mild"), NOW))
    outcome = run(STAGES, [grave, mild], context())
    assert [(g.lead.outbox_id, g.reason) for g in outcome.groups] == [("grave", Reason.FIRST)]
    assert [w.reason for w in outcome.withheld] == [Reason.RESOLVED_UNSEEN]
    assert grave.alert.status is Status.RESOLVED


def test_the_first_route_that_takes_the_lead_wins() -> None:
    routes = (
        Route("criticals", ("pager", "console"), match(severity=("critical", "error"))),
        Route("no incident", ("review",), match(incident="no", kind="alert")),
    )
    loose = metric_alert("loose", incident=None)
    nobody = metric_alert("nobody")
    outcome = run(
        STAGES,
        [candidate("a1"), candidate("loose", loose), candidate("nobody", nobody)],
        context(routes=routes, inhibitions=()),
    )
    assert {g.lead.outbox_id: g.receivers for g in outcome.groups} == {
        "a1": ("pager", "console"),
        "loose": ("review",),
    }
    assert [w.reason for w in outcome.withheld] == [Reason.NO_ROUTE]


@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("pq"), st.booleans(), st.integers(0, 2)), max_size=12)
)
def test_every_candidate_ends_in_exactly_one_place(rows: list[tuple[str, str, bool, int]]) -> None:
    candidates = []
    for n, (name, incident, over, attempts) in enumerate(rows):
        alert = metric_alert(name, incident)
        alert = resolved(alert, NOW) if over else alert
        candidates.append(candidate(f"{n}", alert, age=n, attempts=attempts))
    outcome = run(STAGES, candidates, context(timing=Timing(group_wait=timedelta(seconds=4))))
    seen = [m.outbox_id for g in outcome.groups for m in g.all] + [w.outbox_id for w in outcome.withheld]
    assert sorted(seen) == sorted(c.outbox_id for c in candidates)
