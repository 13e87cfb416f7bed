"""The review queue in the state: schema 3 from schema 2, append-only tables, an audit row for every person's act."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.core.review_queue import Item, Opinion
from controlplane.store import state_review_tables
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_migrations import SCHEMA_VERSION
from controlplane.store.state_reviews import Assignment, Draw
from tests.store.conftest import T0

TABLES = sorted(table for table in vars(state_review_tables) if table.startswith("review_"))


def item(number: int = 1, **more: object) -> Item:
    values: dict[str, object] = {
        "item_id": f"q-{number}",
        "draw_id": "draw-1",
        "interaction_id": f"c{number}:1",
        "conversation_id": f"c{number}",
        "rollout_id": "r-v1",
        "release": "v1",
        "intent_pred": "fees",
        "answered_at": T0 - timedelta(hours=1),
        "stratum": "failure",
        "reasons": ("audit", "failure"),
        "probability": 0.3,
        "audit_rate": 0.1,
        "wanted": 2,
        "drawn_at": T0,
    }
    return Item(**(values | more))  # type: ignore[arg-type]


DRAW = Draw("draw-1", None, T0, "ana", T0, 100, {"rates": {"audit": 0.1}})
SAID = Opinion("rita", "unsafe", T0, "fraud", False, 5, "not given to a person")


def test_a_state_of_schema_2_gets_the_tables_and_keeps_its_rows(path: Path, state: StateWriter) -> None:
    state.register_release("v1", "h1", {"model": "m"}, "ben", T0)
    state.close()
    with closing(sqlite3.connect(path)) as raw:  # what the program of schema 2 left: none of these tables
        for table in TABLES:
            raw.execute(f"DROP TABLE {table}")
        for column in ("owner", "acknowledged_at", "reviewed_at", "serious", "containments"):  # nor what schema 4 added
            raw.execute(f"ALTER TABLE incidents DROP COLUMN {column}")
        raw.execute("ALTER TABLE outbox DROP COLUMN route")
        raw.execute("DELETE FROM schema_version")
        raw.execute("INSERT INTO schema_version VALUES (2, '2026-01-01T00:00:00.000000Z')")
        raw.commit()
    again = StateWriter(f"sqlite:///{path}")
    again.migrate(T0)
    assert again.review_items() == []
    assert again.author("h1") == "ben"
    assert sorted(row["version"] for row in again.export()["schema_version"]) == list(range(2, SCHEMA_VERSION + 1))
    again.add_review_draw(DRAW, [item()], None)
    assert again.review_items() == [item()]
    again.close()


def test_what_is_written_is_read_again_by_a_reader(path: Path, state: StateWriter) -> None:
    state.add_review_draw(DRAW, [item(1), item(2, rollout_id=None, release=None, intent_pred=None)], None)
    given = Assignment("q-1", 1, "rita", "ana", T0)
    state.add_review_assignments([given])
    state.add_review_opinion("q-1", 1, SAID, {})
    state.add_review_adjudication("q-2", "third", replace(SAID, reviewer="nora"))
    state.record_review_returns({"q-1": 3}, T0)
    state.record_review_returns({"q-1": 3}, T0)
    reader = StateReader(f"sqlite:///{path}")
    assert reader.review_draws() == [DRAW]
    assert [one.item_id for one in reader.review_items()] == ["q-1", "q-2"]
    assert reader.review_assignments() == [given]
    assert reader.review_opinions() == {"q-1": {1: SAID}}
    assert reader.review_adjudications() == {"q-2": replace(SAID, reviewer="nora")}
    assert reader.review_returned() == {"q-1"}
    reader.close()
    events = [(row["actor"], row["event"]) for row in state.audit_rows()]
    assert events == [
        ("ana", "review_drawn"),
        ("ana", "review_assigned"),
        ("rita", "review_labelled"),
        ("nora", "review_adjudicated"),
    ]
    assert state.verify_chains()["audit"] is None


def test_a_reader_cannot_write() -> None:
    assert not [name for name in dir(StateReader) if name.startswith(("add_review", "record_review"))]


def test_a_later_label_counts_and_the_earlier_stays(path: Path, state: StateWriter) -> None:
    state.add_review_draw(DRAW, [item()], None)
    state.add_review_opinion("q-1", 1, SAID, {})
    with pytest.raises(LostRace, match="meanwhile"):  # both thought that nobody had said anything
        state.add_review_opinion("q-1", 1, replace(SAID, label="unsafe"), {})
    state.add_review_opinion("q-1", 1, replace(SAID, label="correct"), {1: SAID})
    assert state.review_opinions()["q-1"][1].label == "correct"
    with closing(sqlite3.connect(path)) as raw:
        assert [row[0] for row in raw.execute("SELECT label FROM review_opinions ORDER BY seq")] == [
            "unsafe",
            "correct",
        ]


def test_races_lose(state: StateWriter) -> None:
    state.add_review_draw(DRAW, [item()], None)
    with pytest.raises(LostRace, match="somebody else has drawn"):
        state.add_review_draw(replace(DRAW, draw_id="draw-2"), [], None)
    state.add_review_draw(replace(DRAW, draw_id="draw-2", since=T0, until=T0 + timedelta(1)), [], "draw-1")
    state.add_review_assignments([Assignment("q-1", 1, "rita", "ana", T0)])
    for second in (Assignment("q-1", 1, "olga", "ana", T0), Assignment("q-1", 2, "rita", "ana", T0)):
        with pytest.raises(LostRace, match="given to somebody"):
            state.add_review_assignments([second])
    state.add_review_adjudication("q-1", "third", SAID)
    with pytest.raises(LostRace, match="decided already"):
        state.add_review_adjudication("q-1", "third", SAID)
    with pytest.raises(LostRace, match="decided already"):
        state.add_review_opinion("q-1", 1, SAID, {})
    assert len(state.audit_rows()) == 4


def test_an_answer_is_drawn_once(state: StateWriter) -> None:
    state.add_review_draw(DRAW, [item()], None)
    with pytest.raises(Exception, match="UNIQUE"):
        state.add_review_draw(replace(DRAW, draw_id="draw-2"), [item(item_id="q-9")], "draw-1")
    assert [draw.draw_id for draw in state.review_draws()] == ["draw-1"]


def test_the_authors_of_a_release(state: StateWriter) -> None:
    state.register_release("v1", "h1", {"model": "m"}, "ben", T0)
    assert state.authors_of("v1", None) == {"ben"}
    assert state.authors_of(None, "r-unknown") == set()
