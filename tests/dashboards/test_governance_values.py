"""The record as values: rows recomputed against their hashes, links, what a release changed, how far a result is from its line, drills."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from controlplane.core.audit import GENESIS, canonical, chain_hash
from controlplane.store import snapshot_runs
from controlplane.store.state_rows import to_text
from dashboards.governance import charts as charts_governance
from dashboards.governance import values
from dashboards.theme import LIGHT

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)


def chain(count: int, **of_last: str) -> list[dict[str, Any]]:
    rows, before = [], GENESIS
    for number in range(1, count + 1):
        moment = to_text(NOW + timedelta(minutes=number))
        body = {
            "at": moment,
            "actor": "kim",
            "event": "promote",
            "subject": f"r{number}",
            "reason": "fine",
            "payload": "{}",
            "policy_hash": "",
        }
        body |= of_last if number == count else {}
        found = chain_hash(before, body)
        rows.append({"seq": number, **body, "prev_hash": before, "hash": found})
        before = found
    return rows


def test_a_whole_record_holds_also_where_the_snapshot_leaves_rows_out() -> None:
    rows = chain(6)
    assert values.checked(rows) == values.Checked(6, 1, 6, head=rows[-1]["hash"])
    assert values.checked([*rows[:2], *rows[3:]]).broken is None
    assert values.checked([]) == values.Checked(0, None, None)


@pytest.mark.parametrize(
    "column", ["at", "actor", "event", "subject", "reason", "payload", "policy_hash", "prev_hash", "hash"]
)
def test_a_changed_row_is_named(column: str) -> None:
    rows = chain(6)
    rows[3][column] = f"{rows[3][column]}x"
    assert values.checked(rows).broken == 4


def test_rows_that_were_put_in_another_order_are_found() -> None:
    first, second = chain(3), chain(3, reason="another")
    mixed = [first[0], {**second[2], "seq": 2}]
    found = values.checked(mixed)
    assert (found.broken, found.why) == (2, "it does not follow the row before it")


@pytest.mark.parametrize(
    ("rows", "aside", "verdict", "tone", "words"),
    [
        ([], 0, None, "quiet", "Nothing is on record yet"),
        (chain(3), 0, "PASS", "good", "the newest evaluation passed"),
        (chain(3), 2, "FAIL", "wait", "2 alerts or triggers are set aside"),
        (chain(9)[4:], 0, None, "good", "as far as this page has it 5 of the 9 rows"),
        ([*chain(4)[:1], *chain(4)[2:]], 0, None, "good", "as far as this page has it 3 of the 4 rows"),
        ([{**chain(1)[0], "reason": "x"}], 0, None, "bad", "does NOT hold: row 1 was changed"),
    ],
)
def test_the_answer_says_whether_the_record_holds(
    rows: list[dict[str, Any]], aside: int, verdict: str | None, tone: str, words: str
) -> None:
    found = values.answer(values.checked(rows), NOW, aside, verdict)
    assert found.tone == tone
    assert words in f"{found.headline} {found.sentence}"


def test_rows_are_chosen_as_the_control_process_chooses_them() -> None:
    frame = pl.DataFrame(chain(5, actor="ana", reason="100 % sure"))
    assert values.chosen(frame, "", "", "")["seq"].to_list() == [5, 4, 3, 2, 1]
    assert values.chosen(frame, "ana", "", "")["seq"].to_list() == [5]
    assert values.chosen(frame, "", "rollback", "").is_empty()
    assert values.chosen(frame, "", "", "100 % SURE")["seq"].to_list() == [5]
    assert values.chosen(frame, "", "", "R2")["seq"].to_list() == [2]
    assert values.chosen(frame, "", "", "", NOW + timedelta(minutes=4))["seq"].to_list() == [5, 4]
    between = values.chosen(frame, "", "", "", NOW + timedelta(minutes=2), NOW + timedelta(minutes=4))
    assert between["seq"].to_list() == [3, 2]  # the end is not included


@pytest.mark.parametrize(
    ("event", "subject", "link"),
    [
        ("incident_acknowledge", "r1-v5", "incidents?incident=r1-v5"),
        ("incident_reported", "r1-v5-report-2026", "incidents?incident=r1-v5"),
        ("action_opened", "r1 v5", "incidents?incident=r1%20v5"),
        ("drift_recorded", "d1", "drift?report=d1"),
        ("review_pinned", "2026-W02-v1", "review?week=2026-W02"),
        ("conversation_read", "c/1", "conversation?id=c/1"),
        ("evaluation_finished", "ev-1", "governance?show=evaluation&run=ev-1"),
        ("promote", "r1", ""),
    ],
)
def test_a_row_leads_to_what_it_is_about(event: str, subject: str, link: str) -> None:
    assert values.link(event, subject) == link


def test_what_a_release_changed() -> None:
    assert values.made_of('{"model":"a","prompt":"b"}', None) == "first one: model, prompt"
    assert values.made_of('{"model":"a","prompt":"c"}', '{"model":"a","prompt":"b"}') == "prompt"
    assert values.made_of('{"model":"a"}', '{"model":"a"}') == "nothing: the same artefacts"


def criterion(
    name: str, comparison: str, line: float, estimate: float | None, verdict: str, **more: Any
) -> dict[str, Any]:
    ends = {"low": None, "high": None} if estimate is None else {"low": estimate * 0.9, "high": estimate * 1.1}
    return {
        "name": name,
        "comparison": comparison,
        "line": line,
        "estimate": estimate,
        "verdict": verdict,
        "applied": True,
        **ends,
        **more,
    }


def test_room_to_the_line_is_positive_inside_whatever_the_direction() -> None:
    found = values.rooms(
        [
            criterion("accuracy", "at_least", 0.8, 0.9, "PASS"),
            criterion("hallucination", "at_most", 0.1, 0.05, "PASS"),
            criterion("latency", "at_most", 1000.0, 1500.0, "FAIL"),
            criterion("far", "at_most", 0.001, 1.0, "FAIL"),
            criterion("unknown", "at_most", 0.1, None, "NO_DATA"),
            criterion("zero", "at_most", 0.0, 0.1, "FAIL"),
        ]
    )
    assert found["name"].to_list() == ["Accuracy", "Hallucination", "Latency", "Far"]
    assert found["room"].to_list() == pytest.approx([0.125, 0.5, -0.5, -values.FARTHEST])
    assert (found["low"] <= found["room"]).all()
    assert (found["room"] <= found["high"]).all()
    assert len(charts_governance.rooms(found, LIGHT).to_dict()["layer"]) == 3


@dataclass
class Item:
    name: str
    told: str = "what"
    expected: str = "then"


def test_failed_drills_come_first_then_those_that_nobody_did() -> None:
    one = {"at": to_text(NOW), "ok": True, "actor": "kim", "failures": []}
    last = {"good": one, "bad": {**one, "ok": False, "failures": ["not found"]}}
    found = values.drilled([Item("good"), Item("never"), Item("bad")], last)
    assert [(item.name, item.ok) for item in found] == [("bad", False), ("never", None), ("good", True)]
    assert values.drills_answer(found, NOW) == ("2 of 3", "the newest 10:00 UTC; 1 not as expected", "bad")
    assert values.drills_answer(values.drilled([Item("a")], {}), NOW)[2] == "wait"
    payload = json.dumps({"drills": [{"name": "good", "ok": True}]})
    rows = [
        {"event": "drill", "payload": payload, "at": to_text(NOW), "actor": "kim"},
        {"event": "promote", "payload": "{}"},
    ]
    assert values.newest_drills(rows) == {"good": {"at": to_text(NOW), "ok": True, "actor": "kim", "failures": []}}


def test_runs_are_published_without_what_grows() -> None:
    lines = [{"name": "accuracy", "verdict": "PASS", "estimate": 0.9, "slices": [{"value": "x" * 1000}]}]
    result = canonical(
        {"criteria": lines, "comparison": {"release": "v0", "metrics": {}}, "figures": {"x": "y" * 1000}}
    )
    plain = dict.fromkeys(snapshot_runs._PLAIN, "x") | {"seed": 7, "finished_at": None, "verdict": None}
    rows = [{**plain, "seq": number, "result": None if number == 0 else result} for number in range(500)]
    found = snapshot_runs.reduced(rows[::-1])
    assert found.height == snapshot_runs.MAX_RUNS
    assert found["seq"].to_list() == list(range(500 - snapshot_runs.MAX_RUNS, 500))
    assert json.loads(found["lines"][-1])[0]["estimate"] == 0.9
    assert found["compared_with"][-1] == "v0"
    assert max(len(text) for text in found["lines"]) < 400
    begun = snapshot_runs.reduced(rows[:1])
    assert (begun["lines"].to_list(), begun["compared_with"].to_list()) == (["[]"], [None])
    assert snapshot_runs.reduced([]).columns == begun.columns
