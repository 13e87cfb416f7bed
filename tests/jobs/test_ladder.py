"""The ladder as a step of the heartbeat, on a real state and by the real delivery: who is called when nobody acknowledges, once, and on record."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.config import load, shipped_text
from alerts.message import Message
from alerts.model import Alert, Severity
from alerts.wiring import wire
from controlplane.core.judge import AUTOMATIC
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import Commit, IncidentRow, NewMessage
from jobs import incidents, ladder, notify, silences
from jobs.deps import Deps

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FILE = """
[[people]]
name = "kim"
role = "operator"
slack = "U0KIM"
[[people]]
name = "lee"
role = "operator"
[[rotas]]
name = "ml"
people = ["kim", "lee"]
first_day = 2026-01-05
"""


@dataclass
class Heard:
    """A receiver that takes everything."""

    name: str
    told: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> dict[str, Any]:
        self.told.append(message)
        return {"parent": {"id": message.outbox_id}}

    @property
    def steps(self) -> list[str]:
        return [message.event.step for message in self.told if message.event.step]


@pytest.fixture
def heard(deps: Deps) -> dict[str, Heard]:
    """The shipped file with a rota in its first tier; the pagers are configured, and what they hear is kept."""
    text = shipped_text().replace('name = "first line"\n', 'name = "first line"\npeople = ["ml"]\n') + FILE
    variables = {f"CONTROLPLANE_ALERT_{name}": "http://127.0.0.1:9/" for name in ("ML_URL", "PLATFORM_URL")}
    variables |= {f"CONTROLPLANE_ALERT_{name}": "s" for name in ("ML_SECRET", "PLATFORM_SECRET")}
    wired = wire(load(text, "test"), variables)
    found = {name: Heard(name) for name in wired.receivers}
    deps.receivers, deps.rules, deps.alerting = found, wired.alerting.rules, wired.alerting
    return found


def opened(deps: Deps, severity: Severity = Severity.CRITICAL, now: datetime = NOW) -> None:
    row = IncidentRow("i1", "r1", "v1", "open", str(severity), "v1 rolled back: csat", "csat_drop", now)
    alert = Alert(
        alert_id="i1:opened",
        labels={"alertname": "rollback", "release": "v1", "rollout_id": "r1", "trigger": "csat_drop", "metric": "csat"},
        annotations={"title": row.title, "summary": "csat"},
        severity=severity,
        starts_at=now,
        incident_id="i1",
    )
    message = NewMessage("i1:opened", "alert", alert.to_dict(), "i1")
    deps.state.commit(Commit(incident=row, messages=(message,)), now)


def beat(deps: Deps, now: datetime) -> list[int]:
    """The numbers of the tiers that this heartbeat called."""
    found = [call.number for call in ladder.run(deps, now)]
    notify.run(deps, now)
    return found


def test_tiers_are_called_until_somebody_acknowledges(deps: Deps, heard: dict[str, Heard]) -> None:
    opened(deps)
    calls = {minute: beat(deps, NOW + minute * MINUTE) for minute in range(13)}
    assert {minute: numbers for minute, numbers in calls.items() if numbers} == {5: [1], 10: [2]}
    incidents.act(deps.state, "i1", "acknowledge", "kim", "on it", NOW + 13 * MINUTE)
    assert beat(deps, NOW + timedelta(hours=9)) == []
    thread = heard["console"].steps
    assert thread[0] == "Nobody has acknowledged for 5m: first line (kim) is told"
    assert thread[1] == "Nobody has acknowledged for 10m: second line is told"
    assert len([step for step in thread if "Nobody" in step]) == 2
    assert "Nobody has acknowledged for 10m: second line is told" in heard["platform-oncall"].steps
    assert not any("first line" in step for step in heard["platform-oncall"].steps)


def test_who_is_mentioned_is_who_is_on_call(deps: Deps, heard: dict[str, Heard]) -> None:
    opened(deps)
    beat(deps, NOW + 5 * MINUTE)
    message = deps.state.incident_messages("i1")[-1]
    assert message.payload["annotations"]["mention"] == "U0KIM"
    assert message.kind == "tier:first line"


def test_a_call_is_in_the_timeline_and_the_audit_log(deps: Deps, heard: dict[str, Heard]) -> None:
    opened(deps)
    beat(deps, NOW + 5 * MINUTE)
    row = deps.state.incident("i1")
    assert row is not None
    assert row.timeline[-1]["text"] == "nobody has acknowledged for 5m: first line (kim) is told"
    entry = deps.state.audit_rows()[-1]
    assert (entry["event"], entry["subject"], entry["actor"]) == ("tier_told", "i1", AUTOMATIC)
    assert deps.state.verify_chains() == dict.fromkeys(deps.state.verify_chains())


def test_a_crash_before_the_telling_tells_once_and_one_before_the_commit_calls_again(
    deps: Deps, heard: dict[str, Heard]
) -> None:
    opened(deps)
    notify.run(deps, NOW)
    commit = deps.state.commit

    def killed(change: Commit, now: datetime) -> None:
        raise SystemExit("kill -9")

    deps.state.commit = killed  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        ladder.run(deps, NOW + 5 * MINUTE)
    deps.state.commit = commit  # type: ignore[method-assign]
    assert [call.number for call in ladder.run(deps, NOW + 6 * MINUTE)] == [1], "and now it is killed before it tells"
    assert ladder.run(deps, NOW + 6 * MINUTE) == []
    for second in range(3):
        notify.run(deps, NOW + 6 * MINUTE + timedelta(seconds=second))
    assert len([step for step in heard["console"].steps if "first line" in step]) == 1


def test_an_acknowledgement_that_comes_first_wins(deps: Deps, heard: dict[str, Heard]) -> None:
    """Somebody acknowledges between the look and the commit."""
    opened(deps)
    look = deps.state.incident_messages

    def meanwhile(incident_id: str) -> Any:
        deps.state.incident_messages = look  # type: ignore[method-assign]
        incidents.act(deps.state, "i1", "acknowledge", "kim", "on it", NOW + 5 * MINUTE)
        return look(incident_id)

    rows = deps.state.open_incidents()
    deps.state.incident_messages = meanwhile  # type: ignore[method-assign]
    assert ladder.run(deps, NOW + 5 * MINUTE) == []
    row = deps.state.incident("i1")
    assert row is not None
    assert row.owner == "kim"
    assert not any(entry.get("event") == ladder.TIER for entry in row.timeline)
    with pytest.raises(LostRace):
        deps.state.commit(Commit(incident=rows[0]), NOW)


def test_what_comes_back_is_called_for_anew(deps: Deps, heard: dict[str, Heard]) -> None:
    opened(deps)
    beat(deps, NOW + 5 * MINUTE)
    for minute, event in ((6, "acknowledge"), (7, "resolve"), (8, "reopen")):
        incidents.act(deps.state, "i1", event, "kim", "so it is", NOW + minute * MINUTE)
    assert beat(deps, NOW + 12 * MINUTE) == []
    assert beat(deps, NOW + 13 * MINUTE) == [1]
    ids = [item.outbox_id for item in deps.state.incident_messages("i1") if item.kind.startswith("tier:")]
    assert {one for one in ids if "@" not in one} == {"i1:tier1", "i1:tier1:1"}


def test_what_is_silenced_calls_nobody_until_the_silence_ends(deps: Deps, heard: dict[str, Heard]) -> None:
    opened(deps, Severity.WARNING)
    silences.add(deps.state, {"metric": ["csat"]}, 1, "ana", "known", NOW)
    assert beat(deps, NOW + 30 * MINUTE) == []
    assert beat(deps, NOW + 60 * MINUTE) == [1]


def test_without_an_alerting_file_or_a_ladder_nobody_is_called(deps: Deps) -> None:
    opened(deps)
    assert ladder.run(deps, NOW + timedelta(days=1)) == []
