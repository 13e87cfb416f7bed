"""Ending a silence from the Live page: audited in the person's name, refused with what is possible instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from controlplane.core.roles import Permission
from controlplane.store.state import StateWriter
from controlplane.store.state_incidents import SilenceRow
from jobs import ask_live
from jobs.asking import ASKS
from jobs.refused import Refused

NOW = datetime(2026, 1, 7, 9, tzinfo=UTC)


@pytest.fixture
def deps(tmp_path: Path):
    state = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}")
    state.migrate(NOW)
    state.add_silence(SilenceRow("s-1", {"metric": ("csat",)}, "kim", "a survey", NOW, NOW + timedelta(hours=2)), NOW)
    yield SimpleNamespace(state=state)
    state.close()


def test_it_ends_now_in_the_persons_name_and_once(deps) -> None:
    later = NOW + timedelta(minutes=5)
    assert ask_live.end_silence(deps, later, "ana", "s-1", "the survey is right again") == {
        "silence_id": "s-1",
        "ended_at": "2026-01-07T09:05:00.000000Z",
    }
    row = deps.state.audit_rows()[-1]
    assert (row["actor"], row["event"], row["reason"]) == ("ana", "silence_ended", "the survey is right again")
    with pytest.raises(Refused, match="not in force: it ended at"):
        ask_live.end_silence(deps, later, "ben", "s-1", "again")


@pytest.mark.parametrize(("silence", "reason", "why"), [("s-9", "x", "there is no silence"), ("s-1", " ", "a reason")])
def test_what_makes_no_sense_is_refused_and_changes_nothing(deps, silence: str, reason: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        ask_live.end_silence(deps, NOW, "ana", silence, reason)
    assert deps.state.silences()[0].ended_at is None


def test_who_asks_must_be_known_and_may_respond() -> None:
    ask = ASKS["silence_end"]
    assert (ask.permission, ask.signed, ask.long) == (Permission.RESPOND, True, False)
