"""`policy backtest` as a person uses it: keys, exit codes, report, record, and the gate at `release start`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controlplane.core.policy import parse
from controlplane.store.state import StateWriter
from controlplane.store.state_evaluation import ArtefactRow
from controlplane.store.warehouse import Warehouse, WarehouseError, WarehouseLocked
from jobs.backtest_gate import KIND, failing, missing_backtest, vouched
from jobs.backtest_history import histories, opened, read_windows
from jobs.console import BAD_INPUT, OUTSIDE, REFUSED
from tests.analysis.backtest_world import flat_records, history, iso, policy
from tests.jobs.command_line import Cli

TOP = {"replays", "false_rollback", "harms", "rivals", "seconds"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Path:
    """A day of plain logs of the old menu: no arms, no exposures."""
    path = tmp_path_factory.mktemp("logs") / "menu.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in flat_records(history(blocks=48, per_block=50, rated=0.5))))
    return path


@pytest.fixture
def four(tmp_path: Path) -> Path:
    path = tmp_path / "four.toml"
    path.write_text(policy(stage_minutes=240).text)
    return path


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


def test_plain_logs_without_a_workspace(cli, four, logs, tmp_path):
    out = tmp_path / "sub" / "report.html"
    said = cli("policy", "backtest", four, "--history", logs, "--replays", "200", "--out", out, "--json")
    found = json.loads(said.out.splitlines()[-1])
    assert set(found) == TOP | {"ok", "failing", "policy_hash", "recorded", "report", "detail"}
    assert found["replays"] == 200
    assert set(found["false_rollback"]) >= {"count", "upper95", "promised"}
    assert len(found["harms"]) >= 3
    for harm in found["harms"]:
        assert set(harm) >= {"name", "detect_minutes", "exposed"}
    assert any(harm["detect_minutes"] is not None for harm in found["harms"])
    assert len(found["rivals"]) >= 3
    assert all("false_rollback" in rival for rival in found["rivals"].values())
    assert found["ok"]
    assert found["recorded"] is None
    assert not cli.home.exists(), "no workspace is made"
    assert found["seconds"] > 0
    assert "<svg" in out.read_text()
    assert found["detail"]["history"]["arm"] == "baseline"


def test_a_workspace_records_the_result_and_the_gate_reads_it(cli, four, logs):
    cli("ingest", logs)
    words = cli("policy", "backtest", four, "--replays", "100", "--actor", "ana").out
    assert "keeps its promise" in words or "not shown" in words
    again = cli.json("policy", "backtest", four, "--replays", "100")
    assert Path(again["report"]).is_file()
    with closing(StateWriter(f"sqlite:///{cli.home / 'state.sqlite'}")) as state:
        rows = state.artefacts(KIND)
        assert len(rows) == 2
        summary = rows[-1].summary
        assert rows[-1].artefact_id == again["recorded"]
        assert summary["history"]["conversations"] == 2400
        assert len(summary["history"]["hash"]) == 64
        assert summary["seed"] == 7
        assert summary["code"]
        assert summary["policy_hash"] == again["policy_hash"]
        text = four.read_text()
        assert missing_backtest(state, parse(text, "p")) is None
        required = parse(text + "\n[decisions]\nbacktest_required = true\n", "p")
        assert "asks for a backtest and none is recorded" in (missing_backtest(state, required) or "")
    cli("audit", "verify")
    with closing(sqlite3.connect(cli.home / "state.sqlite")) as connection, connection:
        connection.execute("UPDATE artefacts SET summary = replace(summary, '\"seed\":7', '\"seed\":8')")
    with closing(StateWriter(f"sqlite:///{cli.home / 'state.sqlite'}")) as state:
        assert "does not agree with the audit log" in (missing_backtest(state, parse(text, "p")) or "")


def test_a_policy_that_breaks_its_promise_ends_with_1_and_starts_no_release_but_on_record(cli, four, logs, monkeypatch):
    from controlplane.analysis import backtest

    def broken(bench, aa):
        count = {"count": 40, "replays": 200, "share": 0.2, "lower95": 0.15, "upper95": 0.25, "promised": 0.01}
        return count | {
            "at_stake": 0.01,
            "verdict": "broken",
            "any_alarm": count,
            "counted_streams": 4,
            "triggers": 4,
            "judged": 4,
        }

    monkeypatch.setattr(backtest, "false_rollbacks", broken)
    cli("ingest", logs)
    said = cli("policy", "backtest", four, "--replays", "100", code=REFUSED)
    assert "BREAKS its promise" in said.out
    assert "FAILING: 40 of 200 harmless replays were rolled back (at least 15.00%)" in said.out
    with closing(StateWriter(f"sqlite:///{cli.home / 'state.sqlite'}")) as state:
        why = missing_backtest(state, parse(four.read_text(), "p"))
        assert why is not None
        assert "failed: 40 of 200" in why
        assert "--override-backtest REASON" in why
    monkeypatch.undo()
    assert cli.json("policy", "backtest", four, "--replays", "100", "--seed", "8")["ok"]
    with closing(StateWriter(f"sqlite:///{cli.home / 'state.sqlite'}")) as state:
        why = missing_backtest(state, parse(four.read_text(), "p")) or ""
        assert "failed: 40 of 200" in why, "no seed is tried until it passes"
        assert "1 others passed, which does not undo it" in why
        other = parse(four.read_text().replace('name = "four"', 'name = "five"'), "p")
        assert missing_backtest(state, other) is None, "another text is another policy"
    start = ("release", "start", "v1", "--artefact", "model=m", "--actor", "ana", "--author", "ben", "--policy", four)
    message = cli.refused(*start, code=REFUSED)
    assert "failed: 40 of 200 harmless replays were rolled back" in message
    cli(*start, "--override-backtest", "the history holds a known outage")
    with closing(sqlite3.connect(cli.home / "state.sqlite")) as connection:
        (payload,) = connection.execute("SELECT payload FROM audit WHERE event = 'start'").fetchone()
    assert "the history holds a known outage" in payload
    assert "failed: 40 of 200" in payload


class Recorded:
    """A state that knows of these backtests, all vouched for."""

    def __init__(self, *summaries):
        self.rows = [
            ArtefactRow(f"b{i}", KIND, "", {"policy_hash": REQUIRED.hash, "failing": [], **summary}, NOW)
            for i, summary in enumerate(summaries)
        ]

    def artefacts(self, kind):
        return self.rows

    def vouched(self, event, subject):
        return [vouched(row.summary) for row in self.rows if row.artefact_id == subject]


NOW = datetime(2026, 1, 5, tzinfo=UTC)
REQUIRED = policy(extra="\n[decisions]\nbacktest_required = true\n")


def tried(replays, verdict="not shown"):
    return {"verdict": verdict, "false_rollback": {"replays": replays}}


@pytest.mark.parametrize(
    ("summaries", "opens"),
    [
        ([tried(20)], False),
        ([tried(1_999), tried(20)], False),
        ([tried(2_000)], True),
        ([tried(400, "kept"), tried(20)], True),
        ([tried(2_000, "kept"), tried(2_000) | {"failing": ["stress drift"]}], False),
        ([tried(2_000) | {"failing": ["stress drift"]}, tried(2_000, "kept")], False),
    ],
)
def test_where_a_backtest_is_asked_for_a_handful_of_replays_or_a_second_try_does_not_do(summaries, opens):
    assert (missing_backtest(Recorded(*summaries), REQUIRED) is None) == opens


def test_what_fails_is_named():
    rollbacks = {"count": 3, "replays": 100, "lower95": 0.008, "promised": 0.01}
    stress = [
        {"name": "drift", "verdict": "broken", "count": 9, "replays": 100},
        {"name": "over_dispersion", "verdict": "above the promise"},
    ]
    found = failing({"false_rollback": rollbacks, "detail": {"stress": stress}})
    assert found == ["stress drift: 9 of 100 harmless replays were rolled back, promised are 1.00%"]


def test_bad_input_is_a_message(cli, four, logs, tmp_path):
    assert "is no workspace yet" in cli.refused("policy", "backtest", four, code=BAD_INPUT)
    assert "does not exist" in cli.refused(
        "policy", "backtest", four, "--history", tmp_path / "no.jsonl", code=BAD_INPUT
    )
    assert "does not exist" in cli.refused(
        "policy", "backtest", tmp_path / "no.toml", "--history", logs, code=BAD_INPUT
    )
    assert "choose baseline" in cli.refused(
        "policy", "backtest", four, "--history", logs, "--arm", "menu", code=BAD_INPUT
    )
    junk = tmp_path / "junk.jsonl"
    junk.write_text("nothing\n")
    assert "none of 1 records could be used" in cli.refused(
        "policy", "backtest", four, "--history", junk, code=BAD_INPUT
    )
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(json.dumps(row) for row in flat_records(history(blocks=2, per_block=5))))
    message = cli.refused("policy", "backtest", four, "--history", few, code=BAD_INPUT)
    assert message.startswith("too little history for a backtest: the history spans")
    thin = tmp_path / "thin.jsonl"
    thin.write_text("\n".join(json.dumps(row) for row in flat_records(history(blocks=40, per_block=1))))
    message = cli.refused("policy", "backtest", four, "--history", thin, code=BAD_INPUT)
    assert "could not fire if all of them were bad" in message


def test_labelled_windows(tmp_path):
    table = tmp_path / "w.toml"
    table.write_text(
        '[[incidents]]\nname = "outage"\nstart = 2026-01-05T01:00:00Z\nend = "2026-01-05T02:00:00+00:00"\n'
    )
    (found,) = read_windows(table)
    assert (found.name, iso(found.start), iso(found.end)) == ("outage", "2026-01-05T01:00:00Z", "2026-01-05T02:00:00Z")
    rows = tmp_path / "w.csv"
    rows.write_text("name,start,end\n,2026-01-05T01:00:00,2026-01-05T02:00:00\n")
    assert read_windows(rows)[0] == replace(found, name="incident 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,start,end\nx,yesterday,today\n", "incident 1 needs start and end"),
        ("name,start\nx,2026-01-05T01:00:00\n", "incident 1 needs start and end"),
        ("name,start,end\nx,2026-01-05T02:00:00,2026-01-05T01:00:00\n", "ends before it starts"),
        ("name,start,end\n", "names none"),
    ],
)
def test_bad_windows_name_the_place(cli, four, logs, tmp_path, text, message):
    path = tmp_path / "w.csv"
    path.write_text(text)
    assert message in cli.refused("policy", "backtest", four, "--history", logs, "--incidents", path, code=BAD_INPUT)


def test_facts_that_are_in_use_say_what_to_do(cli, four, logs, monkeypatch):
    cli("ingest", logs)

    def locked(path, **more):
        raise WarehouseLocked(f"the warehouse {path} is in use by process 7")

    monkeypatch.setattr(Warehouse, "open", locked)
    message = cli.refused("policy", "backtest", four, "--replays", "20", code=OUTSIDE)
    assert "in use by process 7; or name the logs themselves" in message


def test_facts_of_an_earlier_version_are_read_and_left_as_they_are(tmp_path):
    path = tmp_path / "facts.duckdb"
    with Warehouse.open(path) as warehouse:
        cursor = warehouse.cursor()
        cursor.execute("DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations)")
        cursor.execute("DROP TABLE rollup_service")  # what the newest migration made
    before = path.read_bytes()
    with pytest.raises(WarehouseError, match="lacks"):
        Warehouse.open(path, read_only=True)
    with opened(None, path, datetime(2026, 1, 5, tzinfo=UTC)) as warehouse:
        found, both = histories(warehouse, "baseline", both=True)
    assert found.rows == 0
    assert both is not None
    assert path.read_bytes() == before
