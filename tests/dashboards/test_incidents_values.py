"""Incidents as values and words: times, what people can do, one timeline, the hero's sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from controlplane.core.delivery import ChangeFail, change_fail
from controlplane.core.incident import BY_PEOPLE, TRANSITIONS, IncidentEvent, IncidentState
from controlplane.core.incident_clock import Due
from controlplane.store.state_rows import IncidentRow, to_text
from dashboards import ui
from dashboards.incidents import causes as incidents_causes
from dashboards.incidents import charts as charts_incidents
from dashboards.incidents import values as incidents_values
from dashboards.incidents import words as incidents_words
from dashboards.theme import LIGHT
from dashboards.values import Message

T0 = datetime(2026, 1, 5, 10, tzinfo=UTC)
NONE = ChangeFail(0, 0, None)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def line(minute: float, event: str, text: str = "", actor: str = "controlplane") -> dict[str, str]:
    return {"at": to_text(at(minute)), "actor": actor, "text": text or event, "event": event}


ROW = IncidentRow(
    incident_id="r1-v5",
    rollout_id="r1",
    release="v1",
    state="contained",
    severity="critical",
    title="v1 rolled back: hallucination breach",
    trigger="hallucination_breach",
    detected_at=at(4),
    onset_at=at(0),
    cut_at=at(4),
    verified_at=at(4.25),
    customers_exposed=214,
    timeline=(line(0, "onset"), line(4, "rollback"), line(4.25, "contain")),
)
OVER = replace(ROW, state="resolved", acknowledged_at=at(6), resolved_at=at(12), owner="kim")


def test_times_are_those_of_the_clock_and_unknown_stays_unknown() -> None:
    speeds = incidents_values.speeds([ROW, OVER, replace(ROW, onset_at=None)])
    assert (speeds["to_detect"].middle, speeds["to_detect"].known, speeds["to_detect"].of) == (240.0, 2, 3)
    assert (speeds["to_resolve"].middle, speeds["to_resolve"].known) == (480.0, 1)
    assert incidents_words.speed(speeds["to_contain"]) == ("15 s", "median of 3 incidents")
    assert incidents_words.speed(speeds["to_acknowledge"]) == ("2 min", "1 of 3 incidents")
    unseen = incidents_values.speeds([replace(ROW, onset_at=None)])
    assert incidents_words.speed(unseen["to_detect"])[0] == "unknown"
    assert incidents_words.speed(unseen["to_resolve"])[0] == "not yet"
    assert incidents_words.speed(incidents_values.speeds([])["to_detect"]) == ("\u2013", "no incident in this time")


def test_the_change_fail_rate_says_how_sure_it_is() -> None:
    assert incidents_words.change_rate(NONE) == ("unknown", "no change reached customers")

    class Step:
        version, event, started_at = 1, "start", T0

    value, note = incidents_words.change_rate(change_fail([Step()], T0, at(1)))
    assert value == "0 %"
    assert note == "0 of 1 (95 %: 0 to 79 %)"


@pytest.mark.parametrize(
    ("rows", "due", "tone", "words"),
    [
        ([], (0, 0), "good", "No incident is open"),
        ([], (2, 1), "wait", "1 of them overdue"),
        ([ROW], (0, 0), "wait", "nobody has acknowledged it yet"),
        ([replace(ROW, verified_at=None)], (0, 0), "bad", "NOT verified yet"),
        ([replace(ROW, cut_at=None, verified_at=None)], (0, 0), "bad", "Nothing was cut"),
        ([ROW, ROW], (0, 0), "wait", "2 incidents are open"),
    ],
)
def test_the_answer_says_whether_anything_is_open(
    rows: list[IncidentRow], due: tuple[int, int], tone: str, words: str
) -> None:
    found = incidents_words.overview(rows, rows, NONE, due, 90)
    assert found.tone == tone
    assert words in f"{found.headline} {found.sentence}"


def test_one_incident_in_a_sentence() -> None:
    assert incidents_words.one(ROW, at(60)).tone == "wait"
    over = incidents_words.one(OVER, at(60))
    assert over.tone == "good"
    assert over.sentence == (
        "Detected 10:04 UTC, 4 min after its likely onset. The cut was verified 15 s after detection, "
        "it is resolved; the review is still to be closed. 214 customers were exposed."
    )
    unknown = incidents_words.one(replace(ROW, onset_at=None, customers_exposed=None), at(60)).sentence
    assert "its onset is not known" in unknown
    assert "not known yet" in unknown


def test_only_what_the_table_takes_of_a_person_is_offered_and_all_of_it() -> None:
    for state in IncidentState:
        seen = at(6) if state in ("acknowledged", "resolved", "reviewed") else None
        offered = set(incidents_values.takes(replace(ROW, state=str(state), acknowledged_at=seen)))
        legal = {str(event) for event in BY_PEOPLE if (state, event) in TRANSITIONS}
        assert offered - {"note", "own"} == legal
        assert offered <= set(incidents_words.ACTS)
    both = incidents_values.takes(replace(ROW, acknowledged_at=at(5)))
    assert str(IncidentEvent.ACKNOWLEDGE) not in both
    assert "own" in both


def test_one_timeline_of_everything_and_nothing_twice() -> None:
    audit: list[dict[str, Any]] = [
        {"at": at(4), "actor": "controlplane", "event": "rollback", "reason": "told already"},
        {"at": at(4.25), "actor": "controlplane", "event": "cut_verified", "reason": "told already"},
        {"at": at(20), "actor": "kim", "event": "action_opened", "reason": "check imports"},
    ]
    sent = Message(at(4), "alert", "t", "critical", False, "r1-v5", "sent", "slack", at(4.1), None)
    dead = Message(at(5), "alert", "step", "info", False, "r1-v5", "dead", None, None, "refused")
    found = incidents_values.timeline(ROW, audit, [sent, dead])
    assert [entry.text for entry in found] == [
        "Onset", "Rollback", "People were told first", "Contain", "A message could not be delivered: step",
        "Action opened: check imports",
    ]  # fmt: skip
    assert [entry.tone for entry in found] == ["bad", "bad", "quiet", "good", "bad", "quiet"]
    assert found[2].actor == "slack"


def test_the_machines_word_about_the_cause_is_the_newest_one() -> None:
    assert incidents_values.cause_line(ROW) is None
    told = replace(ROW, timeline=(line(5, "triage", "unknown"), line(6, "triage", "The model")))
    assert incidents_values.cause_line(told) == "The model"


def test_where_a_serious_incidents_report_stands() -> None:
    assert incidents_values.report_due(ROW, at(0)) is Due.NONE
    serious = {"kind": "health", "since": to_text(at(0)), "due_at": to_text(at(100)), "reported_at": None}
    row = replace(ROW, serious=serious)
    assert [incidents_values.report_due(row, at(m)) for m in (1, 60, 100)] == [Due.RUNNING, Due.SOON, Due.OVERDUE]
    assert (
        incidents_values.report_due(replace(row, serious=serious | {"reported_at": to_text(at(50))}), at(100))
        is Due.NONE
    )


def test_an_action_is_due_soon_then_overdue() -> None:
    days = [incidents_values.due_tone(at(1) + timedelta(days=day), at(1)) for day in (5, 1, 0)]
    assert days == ["quiet", "wait", "bad"]
    assert incidents_values.due_tone(None, at(1)) == "quiet"


def test_bars_follow_the_time_and_what_was_not_cut_is_told_apart() -> None:
    spans = incidents_values.spans([ROW, OVER, replace(ROW, cut_at=None, verified_at=None, onset_at=None)], at(60))
    assert spans["what"].to_list() == [
        incidents_values.EXPOSED, incidents_values.CONTAINED, incidents_values.EXPOSED, incidents_values.CONTAINED,
        incidents_values.NOT_CUT,
    ]  # fmt: skip
    assert spans["end"].to_list() == [4.25, 60.0, 4.25, 12.0, 56.0]
    (unseen,) = incidents_values.spans([replace(ROW, verified_at=None)], at(60)).to_dicts()
    assert (unseen["what"], unseen["end"]) == (incidents_values.EXPOSED, 60.0)  # cut, but nobody has seen that it holds
    assert incidents_values.spans([ROW, ROW], at(60))["name"].n_unique() == 2
    marks = incidents_values.marks([OVER])
    assert dict(marks.select("what", "at").iter_rows()) == {"detected": 4.0, "acknowledged": 6.0, "cut verified": 4.25}
    drawn = charts_incidents.spans(spans, marks, LIGHT).to_dict()
    assert len(drawn["layer"]) == 2
    many = incidents_values.spans([ROW] * 40, at(60))
    assert many.height == 2 * incidents_values.DRAWN


@pytest.mark.parametrize(
    ("how", "verified", "unsafe", "words"),
    [
        ("", None, True, "Workflows were switched off, and that is NOT verified yet"),
        ("seen", at(5), False, "Workflows were switched off, verified 1 min after detection"),
        ("it was not verified before it ended", None, True, "Workflows were switched off, and that was never verified"),
    ],
)
def test_what_was_not_a_cut_is_named_and_held_to_be_safe_only_when_seen(
    how: str, verified: datetime | None, unsafe: bool, words: str
) -> None:
    act = {"action": "disable_execution", "done_at": to_text(at(4)), "verified_at": None, "how": how}
    row = replace(ROW, cut_at=None, verified_at=verified, containments=(act,))
    assert incidents_words.unsafe(row) is unsafe
    assert words in incidents_words.standing(row)
    assert ("verified" in ui.incident_head(row)) is unsafe
    first = incidents_words.overview([ROW, row], [], NONE, (0, 0), 90)
    assert (words in first.sentence, first.tone) == ((True, "bad") if unsafe else (False, "wait"))


def test_evidence_is_of_the_segment_that_fired() -> None:
    fired = {"trigger": ROW.trigger, "segment": "intent:card"}
    assert incidents_values.fired_in(replace(ROW, evidence={"readings": [fired]})) == "intent:card"
    both = [fired, {**fired, "segment": "all"}, {"trigger": "another", "segment": "x"}]
    assert (
        incidents_values.fired_in(replace(ROW, evidence={"readings": both})) == incidents_values.fired_in(ROW) == "all"
    )


def test_points_of_causes_are_split_into_for_and_against() -> None:
    lines = [{"points": 2.5}, {"points": -0.5}, {"points": 0.0}]
    found = incidents_values.cause_points({"causes": [{"title": "The model", "points": 2.0, "lines": lines}]})
    assert found.filter(pl.col("side") == "for")["points"].to_list() == [2.5]
    assert found.filter(pl.col("side") == "against")["points"].to_list() == [-0.5]
    assert charts_incidents.causes(found, LIGHT).to_dict()["height"] == 60


def test_the_first_cause_is_said_with_what_speaks_most_for_it() -> None:
    lines = [{"points": 1.0, "text": "tokens rose"}, {"points": 3.0, "text": "model m2 is served since 10:12"}]
    found = {"standing": "contested", "causes": [{"title": "The model", "named": "m2", "lines": lines}]}
    assert incidents_causes.headline(found) == "The model (m2); model m2 is served since 10:12"
    assert "enough evidence" in incidents_causes.headline({**found, "standing": "unknown"})
    assert "enough evidence" in incidents_causes.headline({"standing": "likely", "causes": []})
