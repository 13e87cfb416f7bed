"""`controlplane evidence replay` on a small workspace: all comes out again, and whatever was changed afterwards is found by name."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane import settings as settings_module
from controlplane.core.model import RolloutState
from controlplane.core.policy import parse
from controlplane.core.rollout import Event
from controlplane.store.state import StateWriter
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse
from jobs import actions, evaluate, evidence_replay
from jobs.deps import Deps
from tests.jobs.command_line import Cli
from tests.jobs.conftest import START, FactsByHand
from tests.jobs.test_closing import POLICY, put_in_force

FIRST_HARM = 24


@dataclass
class Recorded:
    """A workspace whose processes have ended."""

    home: Path
    rollout_id: str

    @property
    def facts(self) -> Path:
        return self.home / "facts.duckdb"

    def replayed(self, **options: Any) -> dict[str, Any]:
        asked = {"facts": True, "ledger": True} | options
        return evidence_replay.run(str(self.home), None, **asked)

    def change(self, statement: str, *values: Any) -> int:
        """Change the state behind the program's back."""
        with sqlite3.connect(self.home / "state.sqlite") as connection:
            return connection.execute(statement, values).rowcount

    def row(self, lane: str, number: int) -> dict[str, Any]:
        with sqlite3.connect(self.home / "state.sqlite") as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute("SELECT * FROM ledger WHERE lane = ? ORDER BY seq", [lane]).fetchall()
        return dict(rows[number])

    def edit(self, row: dict[str, Any], column: str, edit: Callable[[Any], None]) -> None:
        value = json.loads(row[column])
        edit(value)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        assert self.change(f"UPDATE ledger SET {column} = ? WHERE seq = ?", text, row["seq"]) == 1


def live(deps: Deps, facts: FactsByHand, first: int, last: int, treated: float) -> None:
    """Minutes [first, last): records land and every heartbeat judges."""
    for minute in range(first, last):
        rollout = deps.state.rollout()
        assert rollout is not None
        facts.minute(START + timedelta(minutes=minute), 60, rollout.share, treated, 0.1, rollout.rollout_id)
        now = START + timedelta(minutes=minute + 1)
        facts.heard(now)
        evaluate.run(deps, now)


def story(deps: Deps) -> str:
    """A release under a policy that changes, held and resumed by a person, that turns harmful and is rolled back; the rollout's id."""
    facts = FactsByHand(deps.warehouse)
    started = actions.start_release(deps.state, deps.policy, "v1", {"model": "m1"}, "ben", "ana", START).rollout_id
    with deps.warehouse.cursor() as cursor:
        cursor.execute(
            "INSERT INTO batches VALUES (1, 's', 'p', 'k', 0, 0, 1, 1, 0, 0, NULL, NULL, ?)", [to_naive(START)]
        )
    live(deps, facts, 0, 8, 0.1)
    put_in_force(deps, POLICY.replace("limit = 0.2", "limit = 0.3"), 8)
    live(deps, facts, 8, 14, 0.1)
    actions.act(deps.state, deps.policy, Event.HOLD, "kim", "a doubt", START + timedelta(minutes=14))
    live(deps, facts, 14, 16, 0.1)
    actions.act(deps.state, deps.policy, Event.RESUME, "kim", "no doubt", START + timedelta(minutes=16))
    live(deps, facts, 16, FIRST_HARM, 0.1)
    live(deps, facts, FIRST_HARM, FIRST_HARM + 25, 0.6)
    rollout = deps.state.rollout()
    assert rollout is not None
    assert rollout.state is RolloutState.ROLLED_BACK
    return started


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Lived once; every test has a copy of its own."""
    settings = settings_module.load(tmp_path_factory.mktemp("replay") / "home", env={})
    settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(START)
    with Warehouse.open(settings.workspace.facts) as warehouse:
        rollout_id = story(Deps(settings, warehouse, state, parse(POLICY)))
    state.close()
    return Recorded(settings.workspace.home, rollout_id)


@pytest.fixture
def recorded(original: Recorded, tmp_path: Path) -> Recorded:
    """A workspace whose processes have ended."""
    shutil.copytree(original.home, tmp_path / "copy")
    return Recorded(tmp_path / "copy", original.rollout_id)


def streams(value: dict[str, Any], what: str) -> set[tuple[str, str]]:
    return {(one["where"].split("@")[0], one["stream"]) for one in value["differences"] if one["what"] == what}


def test_everything_comes_out_again(recorded: Recorded) -> None:
    value = recorded.replayed()
    assert value["differences"] == []
    (one,) = value["rollouts"]
    assert value["ok"]
    assert (one["rollout_id"], one["decisions"]) == (recorded.rollout_id, 1)
    assert one["blocks"] == one["blocks_counted"] > 60
    assert "verified: everything comes out again" in evidence_replay.text(value)
    assert {recorded.row(lane, 0)["last_batch"] for lane in ("60s+300s", "60s+600s")} == {1}, "the newest batch counted"


def test_a_count_that_was_changed_is_found_with_block_and_stream(recorded: Recorded) -> None:
    row = recorded.row("60s+300s", 5)

    def one_more(counts: list[dict[str, Any]]) -> None:
        next(item for item in counts if item["stream"] == "escalation_increase")["xC"] += 1

    recorded.edit(row, "counts", one_more)
    value = recorded.replayed()
    assert not value["ok"]
    expected = ("60s+300s", "escalation_increase|all")
    for what in ("counts", "evidence"):
        assert streams(value, what) == {expected}
        (first, *_) = [one for one in value["differences"] if one["what"] == what]
        assert first["where"] == f"60s+300s@{row['block_start']}"
    assert streams(value, "chain") == {("ledger", f"row {row['seq']}")}
    assert "later readings differ, too" in evidence_replay.text(value)


@pytest.mark.parametrize(
    ("name", "change"),
    [("log_e", 1e-6), ("weight_spent", 1e-6), ("log_threshold", -0.5), ("fired", True), ("verdict", "FAIL")],
)
def test_a_reading_that_was_changed_is_found_with_block_and_stream(recorded: Recorded, name: str, change: Any) -> None:
    row = recorded.row("60s+300s", 9)

    def edit(readings: list[dict[str, Any]]) -> None:
        (one,) = [item for item in readings if item["trigger"] == "escalation_increase"]
        one[name] = one[name] + change if isinstance(change, float) else change

    recorded.edit(row, "readings", edit)
    value = recorded.replayed(facts=False)
    (found,) = [one for one in value["differences"] if one["what"] == "evidence"]
    assert (found["where"], found["stream"]) == (f"60s+300s@{row['block_start']}", "escalation_increase|all")
    assert name in found["recorded"]
    assert not value["ok"]


def test_a_row_that_was_removed_is_found(recorded: Recorded) -> None:
    row = recorded.row("60s+300s", 12)
    assert recorded.change("DELETE FROM ledger WHERE seq = ?", row["seq"]) == 1
    value = recorded.replayed()
    (found,) = [one for one in value["differences"] if one["what"] == "grid"]
    assert "other blocks follow from the history" in found["replayed"]
    assert not value["ok"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET event = 'hold' WHERE actor = 'controlplane'", "recorded hold by escalation_increase"),
        ("UPDATE audit SET subject = 'x' WHERE actor = 'controlplane'", "recorded nothing"),
        ("UPDATE incidents SET trigger = 'csat_drop'", "recorded rollback by csat_drop"),
    ],
)
def test_a_decision_that_does_not_follow_is_found(recorded: Recorded, statement: str, said: str) -> None:
    recorded.change(statement)
    value = recorded.replayed(facts=False)
    assert not value["ok"]
    found = [one for one in value["differences"] if one["what"] == "decision"]
    assert found
    assert said in evidence_replay.text(value)


def test_a_detector_state_that_was_changed_is_found(recorded: Recorded) -> None:
    with sqlite3.connect(recorded.home / "state.sqlite") as connection:
        (text,) = connection.execute("SELECT state FROM detectors WHERE lane = '60s+600s'").fetchone()
    state = json.loads(text)
    state["trigger:csat_drop|all"]["control"][0] += 1
    recorded.change("UPDATE detectors SET state = ? WHERE lane = '60s+600s'", json.dumps(state))
    value = recorded.replayed(facts=False)
    assert streams(value, "state") == {("60s+600s", "trigger:csat_drop|all")}


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE stages SET started_at = '2026-01-05T09:16:30.000000Z' WHERE event = 'resume'", "history"),
        ("UPDATE stages SET event = 'auto_resume' WHERE event = 'resume'", "history"),
        ("DELETE FROM stages WHERE event = 'resume'", "history"),
        ("UPDATE stages SET share = 0.4 WHERE event = 'hold'", "history"),
        ("DELETE FROM audit WHERE event = 'rollback'", "history"),
        ("DELETE FROM detectors WHERE lane = '60s+600s'", "state"),
        ("UPDATE detectors SET closed_until = '2027-01-01T00:00:00.000000Z' WHERE lane = '60s+600s'", "state"),
    ],
)
def test_what_is_in_no_chain_is_found_by_what_is(recorded: Recorded, statement: str, what: str) -> None:
    """Blocks, weights and what people let go of follow from the history; what comes next follows from the stored lanes."""
    assert recorded.change(statement) == 1
    value = recorded.replayed(facts=False)
    assert not value["ok"]
    assert what in {one["what"] for one in value["differences"]}


@pytest.mark.parametrize("gone", ["fired", "last", "trigger:escalation_increase|all", "budgets"])
def test_what_was_removed_from_a_stored_lane_is_found(recorded: Recorded, gone: str) -> None:
    with sqlite3.connect(recorded.home / "state.sqlite") as connection:
        (text,) = connection.execute("SELECT state FROM detectors WHERE lane = '60s+300s'").fetchone()
    state = json.loads(text)
    del state[gone]
    recorded.change("UPDATE detectors SET state = ? WHERE lane = '60s+300s'", json.dumps(state))
    assert streams(recorded.replayed(facts=False), "state") == {("60s+300s", gone)}


def test_a_row_that_cannot_be_read_is_named(recorded: Recorded) -> None:
    recorded.change("UPDATE ledger SET counts = '{' WHERE seq = 5")
    message = Cli(recorded.home).refused("evidence", "replay", "--ledger-only", code=2)
    assert "row 5 of the evidence ledger" in message
    assert "restore the state" in message


def test_a_name_that_was_removed_from_a_reading_is_found(recorded: Recorded) -> None:
    row = recorded.row("60s+300s", 9)

    def edit(readings: list[dict[str, Any]]) -> None:
        for item in readings:
            del item["fired"]

    recorded.edit(row, "readings", edit)
    value = recorded.replayed(facts=False)
    assert ("60s+300s", "escalation_increase|all") in streams(value, "evidence")


def facts_changed(recorded: Recorded, statement: str, *values: Any) -> None:
    with Warehouse.open(recorded.facts) as warehouse, warehouse.cursor() as cursor:
        cursor.execute(statement, list(values))


IN_BLOCK = "started_at >= '2026-01-05 09:03:00' AND started_at < '2026-01-05 09:04:00'"


def test_facts_that_were_changed_are_found(recorded: Recorded) -> None:
    facts_changed(recorded, f"UPDATE conversations SET escalated_at = started_at WHERE {IN_BLOCK} AND arm = 'baseline'")
    value = recorded.replayed()
    assert streams(value, "counts") >= {("60s+300s", "escalation_increase|all")}
    assert {one["explained"] for one in value["differences"]} == {""}
    assert not value["ok"]


def test_what_arrived_late_is_explained_and_not_held_against_the_ledger(recorded: Recorded) -> None:
    with Warehouse.open(recorded.facts) as warehouse, warehouse.cursor() as cursor:
        name, started = cursor.execute(
            f"SELECT conversation_id, started_at FROM conversations WHERE {IN_BLOCK} AND escalated_at IS NULL LIMIT 1"
        ).fetchall()[0]
        cursor.execute("UPDATE conversations SET escalated_at = ? WHERE conversation_id = ?", [started, name])
        cursor.execute(
            "INSERT INTO interactions BY NAME SELECT 'late' AS interaction_id, ? AS conversation_id, 2 AS turn, CAST(? AS TIMESTAMP) AS ts, "
            "TRUE AS escalated, 0 AS id_hash, 0 AS raw_hash, 2 AS batch_id, 1 AS line",
            [name, started],
        )
    value = recorded.replayed()
    assert value["ok"]
    assert value["explained"] > 0
    assert {one["explained"] for one in value["differences"]} == {"1 row(s) arrived after the block had closed"}
    assert "difference(s) explained" in evidence_replay.text(value)


def test_who_was_forgotten_is_explained(recorded: Recorded) -> None:
    facts_changed(
        recorded,
        "DELETE FROM conversations WHERE conversation_id IN "
        f"(SELECT min(conversation_id) FROM conversations WHERE {IN_BLOCK} AND escalated_at IS NOT NULL)",
    )
    value = recorded.replayed()
    assert value["ok"]
    assert {one["explained"] for one in value["differences"]} == {"1 conversation(s) were forgotten since"}


def test_facts_that_are_older_than_the_state_are_named(recorded: Recorded) -> None:
    facts_changed(recorded, "UPDATE unit_progress SET closed_until = TIMESTAMP '2026-01-05 09:10:00'")
    value = recorded.replayed()
    assert not value["ok"]
    assert "the facts are older" in evidence_replay.text(value)


def test_only_one_half_can_be_asked_for(recorded: Recorded) -> None:
    alone = recorded.replayed(ledger=False)
    assert alone["ok"]
    assert "decisions" not in alone["rollouts"][0]
    recorded.facts.unlink()
    assert recorded.replayed(facts=False)["ok"]


def test_the_command_reads_only_and_its_exit_code_says_whether_all_is_well(recorded: Recorded) -> None:
    cli = Cli(recorded.home)
    before = (recorded.home / "state.sqlite").read_bytes(), recorded.facts.read_bytes()
    assert cli.json("evidence", "replay")["ok"]
    assert ((recorded.home / "state.sqlite").read_bytes(), recorded.facts.read_bytes()) == before
    recorded.change("UPDATE ledger SET last_batch = 7 WHERE seq = 1")
    assert "NOT verified" in cli("evidence", "replay", "--ledger-only", code=1).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--facts-only", "--ledger-only"], "leave nothing to do"),
        (["--rollout", "v9-nothing"], "the evidence ledger has no rollout 'v9-nothing'; it has v1-"),
    ],
)
def test_wrong_use_is_told(recorded: Recorded, words: list[str], said: str) -> None:
    assert said in Cli(recorded.home).refused("evidence", "replay", *words, code=2)


def test_a_policy_that_is_gone_is_named(recorded: Recorded) -> None:
    recorded.change("DELETE FROM policies")
    message = Cli(recorded.home).refused("evidence", "replay", "--ledger-only", code=2)
    assert "is not registered: restore the state" in message


def test_a_workspace_without_evidence_has_nothing_to_verify(deps: Deps, started: str) -> None:
    deps.warehouse.close()
    said = Cli(deps.home)("evidence", "replay")
    assert "the evidence ledger is empty" in said.out
