"""What the Governance page asks: any row of the audit log, whether both chains hold, and an evidence pack that is verified before it is offered."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from controlplane.core.roles import Permission
from controlplane.settings import SettingsError
from controlplane.store.state_rows import AuditEntry, Commit
from jobs import ask_governance as ask
from jobs.asking import ASKS, _ready
from jobs.deps import Deps
from jobs.drill_record import EVENT, SUBJECT
from jobs.evidence_pack import export
from tests.jobs.conftest import START, Minutes


def said(deps: Deps, at: Minutes, count: int) -> None:
    for number in range(count):
        entry = AuditEntry("kim" if number % 2 else "ana", "note_made", f"thing-{number}", f"reason {number} of 100 %")
        deps.state.commit(Commit(audit=[entry]), at(number + 1))


def test_every_row_is_paged_through_once_newest_first(deps: Deps, started: str, at: Minutes) -> None:
    said(deps, at, 23)
    everything = [row["seq"] for row in deps.state.audit_rows()]
    seen: list[int] = []
    before = None
    while True:
        page = _ready(ask.audit(deps, at(60), before=before, limit=7))
        assert page["total"] == len(everything)
        seen += [row["seq"] for row in page["rows"]]
        if not page["more"]:
            break
        before = seen[-1]
    assert seen == everything[::-1]


def test_rows_are_found_by_who_what_when_and_words(deps: Deps, started: str, at: Minutes) -> None:
    said(deps, at, 10)

    def found(**wanted: Any) -> list[str]:
        return [row["subject"] for row in _ready(ask.audit(deps, at(60), **wanted))["rows"]]

    assert found(actor="kim", event="note_made") == [f"thing-{number}" for number in (9, 7, 5, 3, 1)]
    assert found(words="REASON 4") == ["thing-4"]
    assert found(words="thing-7") == ["thing-7"]
    assert found(words="100 %", event="note_made", limit=2) == ["thing-9", "thing-8"]
    assert found(words="100_%") == []  # no pattern: a sign is a sign
    assert found(subject="thing-3") == ["thing-3"]
    late = f"{START + timedelta(minutes=8):%Y-%m-%dT%H:%M}"
    assert found(since=late, event="note_made") == ["thing-9", "thing-8", "thing-7"]
    assert "thing-9" not in found(until=late)
    with pytest.raises(SettingsError, match="no date"):
        found(since="yesterday")
    assert "kim" in _ready(ask.audit(deps, at(60)))["actor"]


def test_who_read_a_conversation_takes_the_permission_to_read_one(deps: Deps, started: str, at: Minutes) -> None:
    deps.state.commit(Commit(audit=[AuditEntry("rita", "conversation_read", "conv-1", "complaint")]), at(1))
    for wanted in ({}, {"event": "conversation_read"}, {"words": "conv-1"}, {"subject": "conv-1"}, {"actor": "rita"}):
        assert all(row["subject"] != "conv-1" for row in ask.audit(deps, at(2), **wanted)["rows"])
    deps.state.commit(Commit(audit=[AuditEntry("rita", "answers_read", "conv-1", "examples")]), at(1))
    assert "conv-1" not in str(ask.audit(deps, at(2), event="answers_read"))
    assert [row["event"] for row in ask.readers(deps, at(2), event="answers_read")["rows"]] == ["answers_read"]
    with pytest.raises(ValueError, match="one of answers_read, conversation_read"):
        ask.readers(deps, at(2), event="note_made")
    (row,) = ask.readers(deps, at(2))["rows"]
    assert (row["actor"], row["subject"]) == ("rita", "conv-1")
    assert ask.readers(deps, at(2), actor="kim")["rows"] == []
    assert ASKS["conversation_reads"].permission is Permission.QUERY
    assert ASKS["audit"].permission is Permission.LOOK


def test_both_chains_are_recomputed_and_a_change_is_found(deps: Deps, started: str, at: Minutes) -> None:
    said(deps, at, 5)
    told: list[float] = []
    found = _ready(ask.check(deps, at(60), progress=lambda part, _text: told.append(part)))
    rows = deps.state.audit_rows()
    assert found["ok"]
    assert found["chains"]["audit"] == {"rows": len(rows), "head": rows[-1]["hash"], "broken": None}
    noted = _ready(ask.check(deps, at(60), noted=rows[2]["hash"]))
    assert (noted["ok"], noted["noted_in"]) == (True, "audit")
    lost = _ready(ask.check(deps, at(60), noted="f" * 64))
    assert (lost["ok"], lost["noted_in"]) == (False, None)
    with sqlite3.connect(deps.settings.state_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE audit SET reason = 'nothing' WHERE seq = ?", (rows[-2]["seq"],))
    connection.close()
    broken = _ready(ask.check(deps, at(60)))
    assert not broken["ok"]
    assert broken["chains"]["audit"]["broken"]["seq"] == rows[-2]["seq"]
    assert broken["chains"]["ledger"]["broken"] is None


def test_a_pack_is_that_of_the_command_line_and_only_the_newest_are_kept(
    deps: Deps, started: str, at: Minutes, tmp_path: Any
) -> None:
    said(deps, at, 3)
    parts: list[float] = []
    day = f"{START:%Y-%m-%d}"
    for number in range(1, 5):
        ask.pack(deps, at(60), since=f"{START - timedelta(days=number):%Y-%m-%d}", until=day)
    made = _ready(ask.pack(deps, at(60), since=day, until=day, progress=lambda part, _text: parts.append(part)))
    path = deps.home / made["path"]
    assert made["ok"]
    assert made["bytes"] == path.stat().st_size
    assert parts == sorted(parts)
    kept = sorted(file.name for file in (deps.home / ask.EXPORTS).iterdir())
    assert len(kept) == ask.KEPT_PACKS
    assert path.name in kept
    with pytest.raises(SettingsError, match="not before"):
        ask.pack(deps, at(60), since="2026-01-09", until="2026-01-05")
    deps.warehouse.close()  # the command opens it itself
    end = START.replace(hour=0) + timedelta(days=1)
    by_hand = export(str(deps.home), START.replace(hour=0), end, tmp_path / "by-hand.zip", at(61))
    assert by_hand["manifest_sha256"] == made["manifest_sha256"]
    assert (tmp_path / "by-hand.zip").read_bytes() == path.read_bytes()


def test_the_newest_run_of_each_drill(deps: Deps, started: str, at: Minutes) -> None:
    assert ask.drills(deps, at(1)) == {"drills": {}}
    for minute, ok in ((1, False), (2, True)):
        drills = [{"name": "api_outage", "ok": ok, "failures": [] if ok else ["it was not found"]}]
        deps.state.commit(Commit(audit=[AuditEntry("ana", EVENT, SUBJECT, "told", {"drills": drills})]), at(minute))
    found = _ready(ask.drills(deps, at(3)))["drills"]
    assert found["api_outage"]["ok"]
    assert found["api_outage"]["actor"] == "ana"
