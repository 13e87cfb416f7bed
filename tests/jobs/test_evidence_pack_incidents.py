"""Incidents, what was to be done after them and silences in an evidence pack: they verify alone, what is changed is found, chats stay outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane import settings as settings_module
from controlplane.core.policy import parse
from controlplane.core.rollout import Event
from controlplane.store.state import Commit, StateWriter
from controlplane.store.state_incidents import ActionItem, Press, SilenceRow
from controlplane.store.state_rows import AuditEntry, IncidentRow, NewMessage
from controlplane.store.warehouse import Warehouse
from jobs import actions, incident_serious, incidents
from jobs.after_learn import nothing
from jobs.cause import disagree
from jobs.evidence_pack_vouch_incidents import INCIDENT_EVENTS
from tests.jobs.command_line import Cli
from tests.jobs.conftest import POLICY, START
from tests.jobs.test_evidence_pack import DAY, edit, lines, problems, reforge

MINUTE = timedelta(minutes=1)


def lived(state: StateWriter) -> IncidentRow:
    """A rollback by a person, worked on to the end, with a silence, an action item that was closed, and a press."""
    policy = parse(POLICY)
    actions.start_release(state, policy, "v1", {"model": "m1"}, "ben", "ana", START)
    actions.act(state, policy, Event.ROLLBACK, "ana", "wrong answers", START + MINUTE)
    key = state.incidents()[0].incident_id
    state.receive_press(Press("p1", START + MINUTE, "socket", "U0SECRET", "incident_ack", key))
    called = NewMessage("tier1", "alert", {"annotations": {"mention": "U0CALLED"}}, key)
    state.commit(Commit(messages=[called]), START + 2 * MINUTE)
    incidents.act(state, key, "acknowledge", "kim", "on it", START + 2 * MINUTE)
    state.finish_press("p1", "done", "yours", AuditEntry("kim", "slack_press", key, "acknowledged"), START + 2 * MINUTE)
    incident_serious.mark(state, policy, key, "rights", "ana", "refunds by origin", START + 3 * MINUTE)
    disagree(state, key, "dependency", "ana", "their status page says so", START + 3 * MINUTE)
    nothing(state, key, "ana", "their outage", START + 3 * MINUTE)
    silence = SilenceRow("s1", {"alertname": ("hold",)}, "kim", "load test", START, START + 60 * MINUTE)
    state.add_silence(silence, START + 3 * MINUTE)
    state.end_silence(silence, "kim", "over", START + 4 * MINUTE)
    item = ActionItem(f"{key}-a1", key, "guardrail", "check the index", "ben", "kim", START + 4 * MINUTE)
    state.add_action_item(item)
    for minute, name in ((5, "resolve"), (6, "review")):
        incidents.act(state, key, name, "kim", "index restored", START + minute * MINUTE)
    done = replace(item, outcome="done", evidence="ev-12ab", closed_by="ben", closed_at=START + 7 * MINUTE)
    state.close_action_item(done)
    return state.incidents()[0]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = settings_module.load(tmp_path_factory.mktemp("pack") / "home", env={})
    made.workspace.create("live")
    state = StateWriter(made.state_url)
    state.migrate(START)
    with Warehouse.open(made.workspace.facts):
        lived(state)
    state.close()
    out = made.workspace.home.parent / "pack"
    Cli(made.workspace.home).json("audit", "export", *DAY, "--out", out)
    return out


@pytest.fixture
def copy(pack: Path, tmp_path: Path) -> Path:
    shutil.copytree(pack, tmp_path / "copy")
    return tmp_path / "copy"


def test_it_verifies_and_has_the_clock_the_report_and_what_was_to_be_done(pack: Path) -> None:
    assert problems(pack) == []
    (row,) = [json.loads(line) for line in lines(pack, "records/incidents.jsonl")]
    assert (row["state"], row["owner"], row["serious"]["kind"]) == ("reviewed", "kim", "rights")
    assert row["acknowledged_at"] < row["resolved_at"] < row["reviewed_at"]
    assert [json.loads(line)["event"] for line in lines(pack, "records/incident_actions.jsonl")] == ["opened", "closed"]
    assert [json.loads(line)["event"] for line in lines(pack, "records/silences.jsonl")] == ["added", "ended"]
    everything = "".join(path.read_text() for path in pack.rglob("*") if path.is_file())
    assert "serious incidents and their reports" in everything


def test_who_pressed_is_told_by_name_and_never_by_the_id_of_the_chat(pack: Path) -> None:
    everything = "".join(path.read_text() for path in pack.rglob("*") if path.is_file())
    assert "U0SECRET" not in everything
    assert "U0CALLED" not in everything
    assert "slack_press" in everything
    assert not (pack / "records" / "presses.jsonl").exists()


def _set(name: str, value: Any, row: int = 0) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[row][name] = value

    return change


def test_every_event_of_an_incident_in_the_log_asks_for_its_incident(pack: Path) -> None:
    rows = [json.loads(line) for line in lines(pack, "records/audit.jsonl")]
    events = {row["event"] for row in rows if row["event"].startswith("incident_")}
    assert {"incident_disagree", "incident_taught_nothing"} <= events <= set(INCIDENT_EVENTS)


CHANGES: dict[str, tuple[str, Callable[[list[dict[str, Any]]], None], str]] = {
    "acknowledged sooner": ("incidents", _set("acknowledged_at", "2026-01-05T09:01:10.000000Z"), "acknowledged_at"),
    "resolved sooner": ("incidents", _set("resolved_at", "2026-01-05T09:03:00.000000Z"), "resolved_at"),
    "reviewed later": ("incidents", _set("reviewed_at", "2026-01-05T10:03:00.000000Z"), "reviewed_at"),
    "report due later": (
        "incidents",
        lambda rows: rows[0]["serious"].update(due_at="2027-01-05T09:03:00.000000Z"),
        "serious incident",
    ),
    "silenced shorter": ("silences", _set("expires_at", "2026-01-05T09:10:00.000000Z"), "silence_added"),
    "silenced something else": ("silences", _set("matchers", {"alertname": ["rollback"]}), "silence_added"),
    "silenced by another": ("silences", _set("actor", "mallory"), "silence_added"),
    "another outcome": ("incident_actions", _set("outcome", "dropped", 1), "action_closed"),
    "another task": ("incident_actions", _set("text", "nothing"), "action_opened"),
    "no incident": ("incidents", list.clear, "the audit log says incident_acknowledge, and the record is not there"),
    "no silence": ("silences", list.clear, "the audit log says silence_added, and the record is not there"),
    "no closing": ("incident_actions", list.pop, "the audit log says action_closed, and the record is not there"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_changed_by_somebody_who_writes_the_manifest_anew_is_found(copy: Path, name: str) -> None:
    record, change, reason = CHANGES[name]
    edit(copy, record, change)
    reforge(copy)
    found = problems(copy)
    assert any(f"records/{record}.jsonl" in one and reason in one for one in found), found
