"""Silences and inhibitions end to end, on a real state and by the real delivery: what is kept back, by whom, until when, and what never is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model import Alert, Severity
from controlplane.store.state import StateReader
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, NewMessage
from jobs import alerting, notify, silences
from jobs.deps import Deps
from jobs.refused import Refused

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def alert(name: str, incident: str | None = None, severity: Severity = Severity.WARNING, **labels: str) -> Alert:
    return Alert(
        alert_id=name,
        labels=labels,
        annotations={"title": name, "summary": name},
        severity=severity,
        starts_at=NOW,
        incident_id=incident,
    )


def tell(deps: Deps, one: Alert, now: datetime = NOW) -> str:
    """Write the message, let delivery run once its waits are over, and say what became of it."""
    incident = None
    if one.incident_id is not None:
        incident = IncidentRow(
            incident_id=one.incident_id,
            rollout_id="r1",
            release=one.labels.get("release", "v1"),
            state="open",
            severity=str(one.severity),
            title=one.title,
            trigger=one.labels.get("trigger", ""),
            detected_at=now,
        )
    message = NewMessage(one.alert_id, "alert", one.to_dict(), one.incident_id)
    deps.state.commit(Commit(audit=(AuditEntry("t", "told", "x", "x"),), messages=(message,), incident=incident), now)
    for seconds in (0, 11):
        notify.run(deps, now + timedelta(seconds=seconds))
    (row,) = [row for row in deps.state.outbox_log(100) if row.item.outbox_id == one.alert_id]
    return f"{row.item.status}: {row.error}"


@pytest.fixture(autouse=True)
def wired(deps: Deps, tmp_path: Path) -> Iterator[None]:
    with (tmp_path / "screen.txt").open("w") as stream:
        alerting.connect(deps, stream)
        yield


# silences


def test_a_silence_keeps_back_what_it_matches_and_says_so_until_it_ends(deps: Deps) -> None:
    row = silences.add(deps.state, {"metric": ["csat"]}, 1, "ana", "survey is being changed", NOW)
    told = tell(deps, alert("a", metric="csat"))
    assert told.startswith("suppressed: silence: silenced")
    assert f"{row.silence_id} by ana" in told
    assert "survey is being changed" in told
    assert tell(deps, alert("b", metric="contact_rate")).startswith("sent")
    assert tell(deps, alert("c", metric="csat", segment="x"), NOW + HOUR).startswith("sent"), "its end is no longer it"


def test_a_silence_that_was_ended_keeps_nothing_back(deps: Deps) -> None:
    row = silences.add(deps.state, {"metric": ["csat"]}, 10, "ana", "survey", NOW)
    ended = silences.end(deps.state, row.silence_id, "ben", "survey is back", NOW + HOUR)
    assert (ended.ended_by, ended.is_active(NOW + HOUR)) == ("ben", False)
    assert tell(deps, alert("a", metric="csat"), NOW + HOUR).startswith("sent")
    with pytest.raises(Refused, match="is not in force: it ended at 2026-01-05T13"):
        silences.end(deps.state, row.silence_id, "ben", "again", NOW + 2 * HOUR)


def test_a_confirmed_safety_event_is_told_whatever_is_silenced(deps: Deps) -> None:
    silences.add(deps.state, {"category": ["safety"]}, 1, "ana", "quiet", NOW)
    assert tell(deps, alert("a", category="safety")).startswith("suppressed")
    assert tell(deps, alert("b", category="safety", safety="confirmed")).startswith("sent")


def test_every_silence_and_its_end_is_in_the_audit_log(deps: Deps) -> None:
    row = silences.add(deps.state, {"metric": ("csat", "contact_rate"), "phase": ("ramp",)}, 2, "ana", "why", NOW)
    silences.end(deps.state, row.silence_id, "ben", "enough", NOW + HOUR)
    added, ended = (r for r in deps.state.audit_rows() if r["event"].startswith("silence_"))
    assert (added["actor"], added["event"], added["reason"]) == ("ana", "silence_added", "why")
    assert (ended["actor"], ended["event"], ended["reason"]) == ("ben", "silence_ended", "enough")
    assert deps.state.verify_chains() == dict.fromkeys(deps.state.verify_chains())


def test_silences_survive_a_restart(deps: Deps) -> None:
    row = silences.add(deps.state, {"metric": ["csat"]}, 1, "ana", "survey", NOW)
    reader = StateReader(deps.settings.state_url)
    try:
        (found,) = silences.in_force(reader, NOW)
    finally:
        reader.close()
    assert (found.silence_id, found.author, found.expires_at) == (row.silence_id, "ana", NOW + HOUR)


def test_what_is_no_silence_is_refused_and_leaves_nothing(deps: Deps) -> None:
    cases: list[tuple[dict[str, list[str]], float, str, str, str]] = [
        ({}, 1, "ana", "x", "would hide everything"),
        ({"metric": []}, 1, "ana", "x", "would hide everything"),
        ({"metric": ["csat"]}, 0, "ana", "x", "a silence ends: give it more than 0 and at most 720 hours, not 0"),
        ({"metric": ["csat"]}, 721, "ana", "x", "at most 720 hours"),
        ({"metric": ["csat"]}, float("nan"), "ana", "x", "a silence ends"),
        ({"metric": ["csat"]}, float("inf"), "ana", "x", "a silence ends"),
        ({"metric": ["csat"]}, 1, " ", "x", "needs an author and a reason"),
        ({"metric": ["csat"]}, 1, "ana", "", "needs an author and a reason"),
        ({"safety": ["confirmed"]}, 1, "ana", "x", "confirmed safety event cannot be silenced"),
        ({"severity": ["grave"]}, 1, "ana", "x", "'grave' is no severity"),
    ]
    for matchers, hours, author, reason, words in cases:
        with pytest.raises(Refused, match=words):
            silences.add(deps.state, matchers, hours, author, reason, NOW)
    assert deps.state.silences() == []


def test_an_unknown_silence_cannot_be_ended(deps: Deps) -> None:
    with pytest.raises(Refused, match=r"there is no silence 's-9': `controlplane alerts silence list`"):
        silences.end(deps.state, "s-9", "ana", "x", NOW)


@pytest.mark.parametrize("word", ["metric", "=csat", "metric=", "me-tric=csat", "metric=,"])
def test_what_is_no_label_is_named(word: str) -> None:
    with pytest.raises(Refused, match="is no label: write NAME=VALUE"):
        silences.labels_of(["phase=ramp", word])


NAMES = st.from_regex(silences.LABEL, fullmatch=True)
VALUES = st.lists(st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=1), min_size=1)


@given(st.dictionaries(NAMES, VALUES, min_size=1))
def test_labels_are_read_as_they_are_typed(labels: dict[str, list[str]]) -> None:
    words = [f"{name}={','.join(values)}" for name, values in labels.items()]
    assert silences.labels_of(words) == {name: tuple(dict.fromkeys(values)) for name, values in labels.items()}


# inhibitions


def test_a_done_rollback_inhibits_the_rest_of_that_release_while_its_incident_is_open(deps: Deps) -> None:
    cut = alert("cut", "i1", Severity.CRITICAL, alertname="rollback", release="v1", trigger="api_errors")
    assert tell(deps, cut).startswith("sent")
    page = {"alertname": "trigger", "category": "metric", "metric": "csat"}
    told = tell(deps, alert("p1", **page, release="v1"), NOW + HOUR)
    assert told.startswith("suppressed: inhibit")
    assert "rolled-back release" in told
    assert tell(deps, alert("p2", **page, release="v2"), NOW + HOUR).startswith("sent")
    assert tell(deps, alert("p3", severity=Severity.CRITICAL, **page, release="v1"), NOW + HOUR).startswith("sent")
    row = deps.state.incident("i1")
    assert row is not None
    deps.state.commit(Commit(incident=replace(row, state="resolved", resolved_at=NOW + 2 * HOUR)), NOW + 2 * HOUR)
    assert tell(deps, alert("p4", **page, release="v1", segment="x"), NOW + 3 * HOUR).startswith("sent")


def test_stale_data_inhibits_metric_alerts_of_any_release(deps: Deps) -> None:
    stale = alert("stale", "i1", alertname="hold", release="v1", trigger="freshness", category="validity")
    assert tell(deps, stale).startswith("sent")
    page = {"alertname": "trigger", "category": "metric", "metric": "csat"}
    assert "stale data" in tell(deps, alert("p1", **page, release="v1"), NOW + HOUR)
    assert tell(deps, alert("d", category="drift"), NOW + HOUR).startswith("sent")


def test_what_the_machine_did_is_told_beside_whatever_explains_it(deps: Deps) -> None:
    """Found by a drill: data came back, execution was switched off in the same beat, and nobody heard of it."""
    tell(deps, alert("stale", "i1", alertname="hold", release="v1", trigger="freshness", category="validity"))
    tell(deps, alert("cut", "i2", Severity.CRITICAL, alertname="rollback", release="v1", trigger="api_errors"))
    did = alert("off", "i3", Severity.ERROR, alertname="execution_disabled", release="v1", category="metric")
    assert tell(deps, did, NOW + HOUR).startswith("sent")
