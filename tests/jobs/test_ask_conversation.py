"""Single conversations as the control process answers for them: lists by what went wrong, one end to end, and who read it in the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.policy import parse
from controlplane.settings import shipped_policy
from controlplane.store.snapshot import VersionInfo, open_file, publish
from controlplane.store.state import StateWriter
from controlplane.store.warehouse import Warehouse
from jobs import ask_conversation as ask
from jobs import ask_cost
from jobs.asking import _ready
from jobs.explain import explanation

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
T0 = datetime(2026, 1, 5, 9, tzinfo=UTC).replace(tzinfo=None)  # as facts hold times
KEYS = {"id_hash": 0, "raw_hash": 0, "batch_id": 1, "line": 1}


@dataclass
class Desk:
    """The stores that a question is given, and a way to put facts in."""

    warehouse: Warehouse
    state: StateWriter
    policy: Any

    def put(self, table: str, **row: Any) -> None:
        row = {**({} if table == "conversations" else KEYS), **row}
        if table == "conversations":
            row |= {"id_hash": 0, "batch_id": 1}
        names = ", ".join(row)
        marks = ", ".join(f"${name}" for name in row)
        with self.warehouse.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)

    def conversation(self, name: str, minute: int = 0, arm: str = "assistant", **more: Any) -> None:
        self.put(
            "conversations", conversation_id=name, arm=arm, turns=1, started_at=T0 + timedelta(minutes=minute), **more
        )

    def turn(self, name: str, turn: int = 1, minute: int = 0, **more: Any) -> None:
        at = T0 + timedelta(minutes=minute)
        self.put("interactions", interaction_id=f"{name}:{turn}", conversation_id=name, turn=turn, ts=at, **more)

    def judge(self, name: str, label: str, kind: str = "groundedness", turn: int = 1, **more: Any) -> None:
        where = {"interaction_id": f"{name}:{turn}", "conversation_id": name, "evaluation_id": f"{name}:{kind}:{turn}"}
        self.put("evaluations", **{**where, "ts": T0 + timedelta(minutes=30), "name": kind, "label": label, **more})


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    state = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}")
    state.migrate(NOW)
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse, closing(state):
        yield Desk(warehouse, state, parse(shipped_policy("demo"), "demo policy"))


def ids(found: Any) -> list[str]:
    return [row["conversation_id"] for row in found["rows"]]


def test_a_list_holds_what_went_wrong_newest_first_and_says_how_many_there_are(desk: Desk) -> None:
    desk.conversation("a", 1, escalated_at=T0, escalation_reason="failure", intent_first="fees")
    desk.conversation("b", 2, csat=2.0, resolved=False)
    desk.conversation("c", 3, returned_at=T0 + timedelta(hours=1), csat=5.0, resolved=True)
    desk.conversation("d", 4, "baseline", escalated_at=T0, escalation_reason="agent_request")
    desk.conversation("e", 5, resolved=True, escalated_at=T0)
    desk.conversation("old", -60 * 24 * 40, escalated_at=T0)
    found = {
        kind: ids(ask.find(desk, NOW, kind)) for kind in ("escalated", "low_csat", "came_back", "unresolved", "any")
    }
    assert found == {
        "escalated": ["e", "a"],
        "low_csat": ["b"],
        "came_back": ["c"],
        "unresolved": ["e", "b"],
        "any": ["e", "c", "b", "a"],
    }
    assert ids(ask.find(desk, NOW, "escalated", arm="")) == ["e", "d", "a"]
    assert ids(ask.find(desk, NOW, "escalated", arm="baseline")) == ["d"]
    assert ids(ask.find(desk, NOW, "any", hours=24 * 60))[-1] == "old"
    row = _ready(ask.find(desk, NOW, "escalated"))["rows"][1]
    assert (row["detail"], row["intent"], row["started_at"]) == ("failure", "fees", "2026-01-05T09:01:00Z")
    assert "question" not in row


def test_a_list_is_bounded_and_counts_the_rest(desk: Desk) -> None:
    for number in range(ask.MOST + 3):
        desk.conversation(f"c{number:02}", number)
    found = ask.find(desk, NOW, "any")
    assert (len(found["rows"]), found["among"]) == (ask.MOST, ask.MOST + 3)


def test_turns_and_judgements_lead_to_their_conversations(desk: Desk) -> None:
    for number, name in enumerate("abcdefg"):
        desk.conversation(name, number)
        desk.turn(
            name,
            1,
            number,
            intent_pred="fees",
            intent_true="limits" if name in "fg" else None,
            timed_out=name == "a",
            error_type="service_error" if name == "b" else None,
        )
    desk.judge("c", "ungrounded", sampling_rate=0.25)
    desk.judge("d", "misrouted", "safety_route", evaluator="human:r")
    desk.judge("e", "balance", "intent_true", evaluator="human:r")
    desk.judge("f", "fees", "intent_true", evaluator="human:r")
    desk.judge("b", "balance", "intent_true", evaluator="detector:x")
    desk.judge("c", "misrouted", "safety_route", evaluator="detector:x")
    kinds = ("timed_out", "failed", "ungrounded", "misrouted", "misunderstood")
    assert {kind: ids(ask.find(desk, NOW, kind)) for kind in kinds} == dict(
        zip(kinds, (["a"], ["b"], ["c"], ["d"], ["g", "e"]), strict=True)
    )
    details = [row["detail"] for row in ask.find(desk, NOW, "misunderstood")["rows"]]
    assert details == ["fees > limits", "fees > balance"], "by the log where no person spoke: f is what a person says"


def test_a_judgement_without_its_conversation_finds_it_by_the_turn(desk: Desk) -> None:
    desk.conversation("a")
    desk.turn("a")
    desk.judge("a", "ungrounded", conversation_id=None)
    assert ids(ask.find(desk, NOW, "ungrounded")) == ["a"]
    assert [row["label"] for row in ask.read(desk, NOW, "ana", "a")["judgements"]] == ["ungrounded"]


@pytest.mark.parametrize(
    ("given", "said"),
    [({"kind": "all"}, "kind"), ({"kind": "any", "arm": "x"}, "arm"), ({"kind": "any", "hours": 0}, "hours")],
)
def test_a_wrong_question_is_named(desk: Desk, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ask.find(desk, NOW, **given)


def everything(desk: Desk) -> None:
    desk.conversation("a", 0, csat=4.0, resolved=True)
    desk.put("exposures", exposure_id="x", ts=T0, conversation_id="a", variant="assistant", reason="SPLIT", share=0.05)
    for turn in (2, 1):
        desk.turn("a", turn, turn, question=f"question {turn}", answer="[email]")
    at = T0 + timedelta(minutes=1)
    desk.put("model_calls", call_id="m", ts=at, interaction_id="a:1", conversation_id="a", model="large", cost_usd=0.01)
    desk.put("dependency_calls", call_id="d", ts=T0, interaction_id="a:1", conversation_id="a", dependency="bank")
    desk.put(
        "workflow_runs",
        run_id="w",
        ts=at,
        interaction_id="a:1",
        conversation_id="a",
        workflow="pin",
        status="started",
        idempotency_key="secret",
    )
    desk.put("feedback", feedback_id="f", ts=at, conversation_id="a", csat=4.0, comment="thanks")
    desk.judge("a", "grounded")
    desk.conversation("b")
    desk.turn("b", 1, question="of another")


def test_one_conversation_has_all_its_parts_in_their_order_and_nothing_of_another(desk: Desk) -> None:
    everything(desk)
    found = _ready(ask.read(desk, NOW, "ana", "a"))
    assert found["head"]["csat"] == 4.0
    assert [row["question"] for row in found["turns"]] == ["question 1", "question 2"]
    assert [(row["kind"], row["name"]) for row in found["calls"]] == [("dependency", "bank"), ("model", "large")]
    assert {name: len(found[name]) for name in ask.PARTS} == dict(zip(ask.PARTS, (2, 1, 2, 1, 1, 1), strict=True))
    assert found["turns"][0]["ts"] == "2026-01-05T09:01:00Z"
    assert found["cut"] == []
    assert "secret" not in json.dumps(found)
    assert "of another" not in json.dumps(found)


def test_a_very_long_conversation_is_cut_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "MOST_PARTS", 1)
    everything(desk)
    found = ask.read(desk, NOW, "ana", "a")
    assert (len(found["turns"]), found["cut"]) == (1, ["turns", "calls"])


def test_reading_is_audited_once_a_person_and_day_and_not_reading_is_not(desk: Desk) -> None:
    everything(desk)
    ask.find(desk, NOW, "any")
    assert ask.read(desk, NOW, "ana", "nobody") == {"head": None}
    assert desk.state.audit_rows() == []
    for moment, who in ((NOW, "ana"), (NOW, "ana"), (NOW, "ben"), (NOW + timedelta(days=1), "ana")):
        ask.read(desk, moment, who, "a")
    rows = desk.state.audit_rows()
    assert [(row["actor"], row["event"], row["subject"], row["at"][:10]) for row in rows] == [
        ("ana", "conversation_read", "a", "2026-01-05"),
        ("ben", "conversation_read", "a", "2026-01-05"),
        ("ana", "conversation_read", "a", "2026-01-06"),
    ]
    assert desk.state.verify_chains() == {"audit": None, "ledger": None}


def test_nothing_is_shown_where_the_reading_cannot_be_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    everything(desk)

    def broken(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(desk.state, "commit", broken)
    with pytest.raises(OSError, match="full"):
        ask.read(desk, NOW, "ana", "a")


@pytest.mark.parametrize("name", ["", "x" * 301])
def test_what_cannot_be_an_id_is_refused(desk: Desk, name: str) -> None:
    with pytest.raises(ValueError, match="conversation_id"):
        ask.read(desk, NOW, "ana", name)


def test_who_read_what_is_in_no_snapshot_and_among_no_decisions(desk: Desk, tmp_path: Path) -> None:
    everything(desk)
    ask.read(desk, NOW, "ana", "a")
    with desk.warehouse.cursor() as cursor:
        path = publish(
            cursor, desk.state.export(), tmp_path / "snapshots", NOW, VersionInfo(desk.state.version(), "0", "demo")
        )
    with open_file(path) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchall() == [(0,)]
    (tmp_path / "workspace.toml").write_text('kind = "demo"\n')
    assert explanation(str(tmp_path), NOW)["decisions"] == []
    assert len(desk.state.audit_rows()) == 1


def test_the_traffic_of_the_what_ifs_is_that_of_the_window_and_of_the_assistant(desk: Desk) -> None:
    for number in range(8):
        name, tokens = f"c{number}", 100 + 10 * number
        desk.conversation(
            name,
            number,
            last_at=T0 + timedelta(minutes=number),
            resolved=True,
            resolved_at=T0 + timedelta(minutes=number + 1),
        )
        cost = (tokens - 20) * 2e-6 + 20 * 1e-6 + 30 * 8e-6
        desk.turn(
            name,
            1,
            number,
            model="large",
            intent_pred="fees",
            intent_conf=0.9,
            question=f"what {number}",
            cost_usd=cost,
            **_tokens(tokens),
        )
    desk.conversation("menu", 1, "baseline")
    desk.turn("menu", 1, 1, cost_usd=9.0, **_tokens(100))
    told: list[tuple[float, str]] = []
    found = ask_cost.traffic(desk, NOW, 24, cap_usd=0.0005, progress=lambda part, text: told.append((part, text)))
    assert sum(row["requests"] for row in found["eased"]) == 8
    assert [row[0] for row in found["arms"]] == ["assistant", "baseline"]
    assert found["firsts"][0][:2] == [8, sum((80 + 10 * n) * 2e-6 + 260e-6 > 0.0005 for n in range(8))]
    assert found["logged_hours"] == pytest.approx(7 / 60, abs=0.01)
    assert [part for part, _ in told] == sorted(part for part, _ in told)
    assert found["prompts"][0][:3] == ["large", 8, sum(80.0 + 10 * n for n in range(8))]
    with pytest.raises(ValueError, match="hours"):
        ask_cost.traffic(desk, NOW, 0)
    with pytest.raises(ValueError, match="cap_usd"):
        ask_cost.traffic(desk, NOW, 1, cap_usd=0)
    empty = ask_cost.traffic(desk, NOW - timedelta(days=90), 1)
    assert (empty["eased"], empty["prompts"], empty["logged_hours"]) == ([], [], 0.0)


def _tokens(count: int) -> dict[str, int]:
    return {"tokens_in": count, "tokens_cached": 20, "tokens_out": 30}
