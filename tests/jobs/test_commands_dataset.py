"""Data sets from outside: versions by content, and failures from production that join them with their origin."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jobs.facts_query import literal, with_literals
from tests.jobs.command_line import OPEN_POLICY, Cli
from tests.jobs.evaluation_world import ACTOR, Bench, rows, write


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


def conversation(i: int, at: datetime, **more: object) -> list[str]:
    """Lines of one conversation of the assistant."""
    base = {"conversation_id": f"c{i}", "ts": at.isoformat()}
    exposure = {"record": "exposure", "exposure_id": f"x{i}", "variant": "assistant", "user_id": f"u{i}"}
    said = {
        "interaction_id": f"c{i}:1",
        "turn": 1,
        "arm": "assistant",
        "question": f"question {i}",
        "answer": "a",
        "intent_pred": "fees",
    }
    again = {"interaction_id": f"c{i}:2", "turn": 2, "arm": "assistant", "question": "and then?", "answer": "b"}
    lines = [base | exposure, base | said, base | again]
    if more:
        judged = {
            "record": "evaluation",
            "evaluation_id": f"c{i}:1:{more['name']}",
            "interaction_id": f"c{i}:1",
            "evaluator": "x",
        }
        lines.append(base | judged | more)
    return [json.dumps(line) for line in lines]


@pytest.fixture
def incident(cli: Cli, tmp_path: Path) -> str:
    """An incident, and conversations of the hour before: two that failed, one that was fine, one whose true intent is known."""
    (tmp_path / "policy.toml").write_text(OPEN_POLICY)
    status = cli.start(policy=tmp_path / "policy.toml")
    at = datetime.fromisoformat(status["since"]) - timedelta(minutes=5)
    lines = conversation(1, at, name="groundedness", label="ungrounded")
    lines += conversation(2, at + timedelta(seconds=1), name="safety_route", label="misrouted")
    lines += conversation(3, at, name="groundedness", label="grounded")
    lines += conversation(4, at, name="intent_true", label="limits")
    lines += conversation(5, at - timedelta(hours=3), name="groundedness", label="ungrounded")  # long before
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    assert cli.json("ingest", tmp_path / "log.jsonl")["quarantined"] == 0
    cli("rollback", "--actor", "kim", "--reason", "wrong answers")
    return str(cli.json("incident", "list")["incidents"][0]["incident_id"])


def test_a_version_is_its_content(cli: Cli, tmp_path: Path) -> None:
    first = cli.json("dataset", "add", "support", write(tmp_path / "a.jsonl", rows(5)), *ACTOR)
    assert (first["rows"], first["parent"], first["new"]) == (5, None, True)
    same = cli.json("dataset", "add", "support", write(tmp_path / "b.jsonl", reversed(rows(5))), *ACTOR)
    assert (same["version"], same["new"]) == (first["version"], False)
    second = cli.json("dataset", "add", "support", write(tmp_path / "c.jsonl", rows(7)[1:]), *ACTOR)
    assert second["parent"] == first["version"]
    found = cli.json("dataset", "diff", f"support@{first['version'][:8]}", "support")
    assert (found["added"], found["removed"], found["changed"]) == (["r005", "r006"], ["r000"], [])
    assert "2 added, 1 removed, 0 changed" in cli("dataset", "diff", f"support@{first['version']}", "support").out
    assert [row["version"] for row in cli.json("dataset", "list")["datasets"]] == [first["version"], second["version"]]
    out = tmp_path / "out.jsonl"
    cli("dataset", "export", f"support@{first['version'][:12]}", "--out", out)
    assert cli.json("dataset", "add", "again", out, *ACTOR)["version"] == first["version"]
    assert cli.json("dataset", "show", "support")["summary"]["asks"] == {"intent": 6, "person": 2}


def test_what_is_not_there_is_said(cli: Cli, tmp_path: Path) -> None:
    assert "name either files" in cli.refused("dataset", "add", "support", *ACTOR, code=2)
    assert "no name of a data set" in cli.refused("dataset", "add", "a/b", "--shipped", *ACTOR, code=1)
    assert "no row" in cli.refused("dataset", "add", "support", write(tmp_path / "e.jsonl", []), *ACTOR, code=1)
    assert "a.jsonl:1" in cli.refused(
        "dataset", "add", "s", write(tmp_path / "a.jsonl", [{"text": ""}]), *ACTOR, code=2
    )
    cli("dataset", "add", "support", write(tmp_path / "a.jsonl", rows(5)), *ACTOR)
    assert "there is no data set 'x'" in cli.refused("dataset", "show", "x", code=1)
    assert "has no version 0123456789" in cli.refused("dataset", "show", "support@0123456789", code=1)
    assert "at least 8 digits" in cli.refused("dataset", "show", "support@0", code=1)
    assert "--from-incident" in cli.refused("dataset", "append", "support", *ACTOR, code=1)
    assert "no incident 'i9'" in cli.refused("dataset", "append", "support", "--from-incident", "i9", *ACTOR, code=1)


def test_the_failures_of_an_incident_join_with_their_origin(cli: Cli, incident: str, tmp_path: Path) -> None:
    first = cli.json("dataset", "add", "support", write(tmp_path / "a.jsonl", rows(5)), *ACTOR)
    found = cli.json("dataset", "append", "support", "--from-incident", incident, *ACTOR)
    assert (found["added"], found["rows"], found["parent"]) == (2, 7, first["version"])
    cli("dataset", "export", "support", "--out", tmp_path / "out.jsonl")
    added = {
        row["id"]: row
        for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
        if row["id"][0] == "c"
    }
    assert set(added) == {"c1", "c2"}
    assert added["c1"]["origin"] == f"incident:{incident}"
    assert added["c1"]["turns"] == ["question 1"], "later messages answer what was said then"
    again = cli.json("dataset", "append", "support", "--from-incident", incident, *ACTOR)
    assert (again["added"], again["version"]) == (0, found["version"])


def test_named_conversations_and_history_join_too(cli: Cli, incident: str, tmp_path: Path) -> None:
    cli("dataset", "add", "support", write(tmp_path / "a.jsonl", rows(5)), *ACTOR)
    words = ("dataset", "append", "support", *ACTOR, "--from-conversation")
    assert cli.json(*words, "c4")["added"] == 1
    assert 'no conversation "it\'s"' in cli.refused(*words, "it's", code=1)
    cli("dataset", "export", "support", "--out", tmp_path / "out.jsonl")
    row = next(row for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()) if row["id"] == "c4")
    assert (row["expected_intent"], row["origin"]) == ("limits", "conversation:c4")
    found = cli.json("dataset", "add", "past", "--history", "3", *ACTOR)
    assert found["rows"] == 3
    assert cli.json("dataset", "add", "past", "--history", "3", *ACTOR)["version"] == found["version"]
    assert cli.json("dataset", "add", "past", "--history", "100", *ACTOR)["rows"] == 5


def test_a_value_cannot_leave_its_place_in_a_query() -> None:
    assert literal("it's; DROP TABLE facts --") == "'it''s; DROP TABLE facts --'"
    query = with_literals(
        "-- a head with $id\nSELECT $id, $limit, $since",
        {"id": "$limit", "limit": 3, "since": datetime.fromisoformat("2026-01-05T09:00:00+01:00")},
    )
    assert query == "SELECT '$limit', 3, TIMESTAMP '2026-01-05 08:00:00'"
    with pytest.raises(KeyError):
        with_literals("SELECT $other", {})


def test_the_shipped_set_and_assistant_go_from_criteria_to_a_start(cli: Cli, tmp_path: Path) -> None:
    """The embedded assistant itself, trained here: one evaluation with real latencies, by a release file."""
    bench = Bench(cli)
    cli("dataset", "add", "support", "--shipped", *ACTOR)
    hash_ = bench.register(limit=0.5)
    (tmp_path / "release.toml").write_text('version = "2.0"\nseed = 1\n\n[policy]\nmax_clarifications = 2\n')
    run = cli.json("eval", "run", "--data", "support", "--criteria", hash_, "--release", tmp_path / "release.toml")
    assert (run["release"], run["verdict"]) == ("2.0", "PASS")
    assert run["figures"]["resolution_rate"]["estimate"] > 0.8
    assert run["figures"]["hallucination_rate"]["n"] > 50
    cli("release", "start", "2.0", "--evaluated", run["run_id"], "--actor", "ana", "--author", "ben")
    (tmp_path / "release.toml").write_text('version = "2.0"\n\n[policy]\nmax_clarification = 2\n')
    message = cli.refused(
        "eval", "run", "--data", "support", "--criteria", hash_, "--release", tmp_path / "release.toml", code=2
    )
    assert "release.toml:4: policy.max_clarification: unknown key" in message
