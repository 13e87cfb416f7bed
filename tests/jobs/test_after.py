"""After an incident: what failed joins a data set with what people said, action items are kept, and a restart asks for both."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.audit import canonical, sha256_text
from tests.jobs.command_line import Cli
from tests.jobs.evaluation_world import ACTOR, REASON, Bench, replies, rows, write

START = ("release", "start", "v2", "--actor", "ana", "--author", "ben", "--artefact")


def conversation(i: int, at: datetime, **said: str) -> list[dict[str, Any]]:
    """One conversation of the assistant, and what a person said about it."""
    base = {"conversation_id": f"c{i}", "ts": at.isoformat()}
    found = [
        base | {"record": "exposure", "exposure_id": f"x{i}", "variant": "assistant", "user_id": f"u{i}"},
        base
        | {"interaction_id": f"c{i}:1", "turn": 1, "arm": "assistant", "answer": "a", "intent_pred": "fees"}
        | {"question": f"question {i}"},
    ]
    for name, label in said.items():
        key = {"evaluation_id": f"c{i}:{name}", "interaction_id": f"c{i}:1", "evaluator": "human:rita"}
        found.append(base | {"record": "evaluation", "name": name, "label": label} | key)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a release had passed its evaluation, ran, failed three customers and was rolled back by a person."""
    folder = tmp_path_factory.mktemp("cut")
    cli = Cli(folder / "home")
    bench = Bench(cli)
    bench.add()
    bench.run(bench.register())
    bench.start()
    at = datetime.now(UTC) - timedelta(minutes=5)
    lines = conversation(1, at, groundedness="ungrounded", intent_true="card_lost")
    lines += conversation(2, at, safety_route="misrouted", intent_true="fraud")
    lines += conversation(3, at, groundedness="grounded")
    lines += conversation(4, at, safety_route="misrouted")
    write(folder / "log.jsonl", lines)
    assert cli.json("ingest", folder / "log.jsonl")["quarantined"] == 0
    cli("rollback", "--actor", "kim", "--reason", "wrong answers")
    return cli.home


@pytest.fixture
def cli(made: Path, tmp_path: Path) -> Cli:
    """Commands on a copy of it."""
    shutil.copytree(made, tmp_path / "home")
    return Cli(tmp_path / "home")


@pytest.fixture
def cut(cli: Cli) -> str:
    """Its incident."""
    (found,) = cli.json("incident", "list")["incidents"]
    return str(found["incident_id"])


def move(cli: Cli, incident: str, *events: str) -> None:
    for event in events:
        cli("incident", event, incident, "--actor", "kim", "--reason", "seen to")


def evaluated(cli: Cli, criteria: str, model: str) -> None:
    """A passing run of other artefacts on the newest data; they also do right by the customers that were failed."""
    right = {"turn": 1, "answer": "a", "intent_conf": 0.9, "latency_ms": 100}
    mended = [
        {**right, "conversation_id": "c1", "intent_pred": "card_lost", "escalated": False},
        {**right, "conversation_id": "c2", "intent_pred": "fraud", "escalated": True, "safety_route": "fraud"},
        {**right, "conversation_id": "c4", "intent_pred": "fees", "escalated": True, "safety_route": "fees"},
    ]
    file = write(cli.home.parent / f"answers-{model}.jsonl", [*replies(), *mended])
    words = ("eval", "run", "--data", "support", "--criteria", criteria, "--replies", file)
    assert cli.json(*words, "--label", model, "--artefact", f"model={model}")["verdict"] == "PASS"


def test_a_restart_needs_the_review_and_an_evaluation_that_has_seen_what_failed(cli: Cli, cut: str) -> None:
    bench = Bench(cli)
    evaluated(cli, "quality", "m2")
    assert "is not resolved" in cli.refused(*START, "model=m2", code=1)
    move(cli, cut, "ack", "resolve")
    assert f"incident {cut} is resolved and not reviewed" in cli.refused(*START, "model=m2", code=1)
    move(cli, cut, "review")
    assert "with the conversations of incident" in cli.refused(*START, "model=m2", code=1)

    found = cli.json("incident", "learn", cut, "--data", "support", *ACTOR)
    assert (found["found"], found["added"], found["labelled"], found["rows"]) == (3, 3, 3, 63)
    assert "register the criteria" in cli("incident", "learn", cut, "--data", "support", *ACTOR).out
    assert cli.json("dataset", "show", "support")["summary"]["incidents"] == {cut: 3}
    assert "with the conversations of incident" in cli.refused(*START, "model=m2", code=1), "the run was before"

    bench.registered = 1
    evaluated(cli, bench.register(), "m2")
    assert cli.json(*START, "model=m2")["state"] == "RUNNING"


def test_rows_carry_what_a_person_said_and_who(cli: Cli, cut: str, tmp_path: Path) -> None:
    cli("incident", "learn", cut, "--data", "support", *ACTOR)
    cli("dataset", "export", "support", "--out", tmp_path / "out.jsonl")
    found = {row["id"]: row for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert (found["c1"]["expected_intent"], found["c1"]["origin"]) == ("card_lost", f"incident:{cut}")
    assert found["c1"]["note"] == "rita: intent card_lost, answer ungrounded"
    assert found["c2"]["mandatory_route"] == "fraud"
    assert found["c4"]["mandatory_route"] == "fees", "the topic it was taken for, where nobody named another"
    assert "c3" not in found


def test_an_incident_that_left_no_wrong_answer_is_said_so_on_record(cli: Cli, cut: str) -> None:
    evaluated(cli, "quality", "m2")
    move(cli, cut, "ack", "resolve", "review")
    learn = ("incident", "learn", cut)
    assert "with --reason" in cli.refused(*learn, "--nothing", *ACTOR, code=2)
    assert "either --data" in cli.refused(*learn, *ACTOR, code=2)
    assert "either --data" in cli.refused(*learn, "--nothing", "--data", "support", *REASON, *ACTOR, code=2)
    assert "on record" in cli(*learn, "--nothing", "--reason", "the provider was down", *ACTOR).out
    assert cli.json(*START, "model=m2")["state"] == "RUNNING"
    said = [row for row in cli.json("audit", "log")["rows"] if row["event"] == "incident_taught_nothing"]
    assert [(row["actor"], row["subject"], row["reason"]) for row in said] == [("ada", cut, "the provider was down")]


def test_what_cannot_be_learned_from_is_refused(cli: Cli, cut: str) -> None:
    assert "there is no data set 'other'" in cli.refused("incident", "learn", cut, "--data", "other", *ACTOR, code=1)
    assert "'i9'" in cli.refused("incident", "learn", "i9", "--data", "support", *ACTOR, code=1)
    assert "'i9'" in cli.refused("incident", "learn", "i9", "--nothing", *REASON, *ACTOR, code=1)
    with closing(sqlite3.connect(cli.home / "state.sqlite")) as state:
        state.execute(
            "UPDATE incidents SET onset_at = '2026-01-01T00:00:00.000000Z', cut_at = '2026-01-01T01:00:00.000000Z'"
        )
        state.commit()
    said = cli.refused("incident", "learn", cut, "--data", "support", *ACTOR, code=1)
    assert "no failed conversation was found between 2026-01-01" in said
    assert "--nothing --reason" in said


def test_action_items_are_kept_until_somebody_shows_that_they_are_done(cli: Cli, cut: str) -> None:
    add = ("incident", "action", "add", cut, "Cite the table", "--kind", "prompt", "--owner", "sam", "--actor", "kim")
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    first = cli.json(*add, "--due", soon)
    second = cli.json(*add[:4], "Answer jane.doe@example.com", *add[5:])
    assert second["text"] == "Answer [email]"
    assert [first["action_id"], second["action_id"]] == [f"{cut}-a1", f"{cut}-a2"]
    assert "has passed" in cli.refused(*add, "--due", "2026-01-01", code=1)
    assert "is no time" in cli.refused(*add, "--due", "soon", code=2)
    assert "by whom: give both" in cli.refused(*add[:4], " ", *add[5:], code=1)
    assert "no kind of action" in cli.refused(*add[:6], "wish", *add[7:], code=1)
    done = ("incident", "action", "done", first["action_id"], "--actor", "sam", "--evidence")
    assert "what shows it?" in cli.refused(*done, " ", code=1)
    assert cli.json(*done, "ev-7")["outcome"] == "done"
    assert "is done already" in cli.refused(*done, "ev-8", code=1)
    assert "no action item 'a9'" in cli.refused(
        "incident", "action", "done", "a9", "--evidence", "x", "--actor", "sam", code=1
    )
    assert [row["action_id"] for row in cli.json("incident", "action", "list", "--open")["actions"]] == [f"{cut}-a2"]
    cli("incident", "action", "drop", f"{cut}-a2", "--actor", "sam", "--reason", "twice the same")
    everything = cli.json("incident", "action", "list", cut)["actions"]
    assert [(row["outcome"], row["evidence"]) for row in everything] == [
        ("done", "ev-7"),
        ("dropped", "twice the same"),
    ]
    assert cli.json("incident", "action", "list", "other")["actions"] == []
    assert cli.json("audit", "verify")["ok"] is True


def test_an_item_whose_time_has_passed_is_marked(cli: Cli, cut: str) -> None:
    words = ("incident", "action", "add", cut, "Look", "--kind", "other", "--owner", "sam", "--actor", "kim", "--due")
    cli(*words, (datetime.now(UTC) + timedelta(days=3)).isoformat())
    assert "OVERDUE" not in cli("incident", "action", "list").out
    with closing(sqlite3.connect(cli.home / "state.sqlite")) as state:
        state.execute("UPDATE incident_actions SET due_at = '2026-01-01T00:00:00.000000Z'")
        state.commit()
    assert "OVERDUE" in cli("incident", "action", "list").out


def test_rows_without_any_incident_have_the_summary_that_they_had(cli: Cli, tmp_path: Path) -> None:
    cli("dataset", "add", "plain", write(tmp_path / "a.jsonl", rows(3)), *ACTOR)
    assert "incidents" not in cli.json("dataset", "show", "plain")["summary"]


def test_the_report_says_what_the_record_says_and_is_vouched_for(cli: Cli, cut: str, tmp_path: Path) -> None:
    move(cli, cut, "ack", "resolve")
    cli("incident", "learn", cut, "--data", "support", *ACTOR)
    words = ("incident", "report", cut, *ACTOR)
    made = cli.json(*words, "--out", tmp_path / "copy.md")
    found = made["document"]
    (row,) = cli.json("incident", "list")["incidents"]
    assert (found["incident_id"], found["state"], found["trigger"]) == (cut, "resolved", "person")
    assert found["times"]["detected"] is not None
    assert found["times"]["reviewed"] is None
    assert found["seconds"]["resolve"] > 0
    assert found["learned"][0]["added"] == 3
    told = [item["text"] for item in found["timeline"]]
    assert set(told) > {item["text"] for item in row["timeline"]}, "the whole timeline: also what was done beside it"
    assert any(line.startswith("incident learned: 3 of 3 failed conversations joined") for line in told)
    assert found["told"][0]["message"] == f"{cut}:opened"
    assert Path(made["markdown"]).read_text() == (tmp_path / "copy.md").read_text()
    assert f"Post-incident report &middot; <code>{cut}</code>" in Path(made["html"]).read_text()
    (said,) = [r for r in cli.json("audit", "log")["rows"] if r["event"] == "incident_reported"]
    assert json.loads(said["payload"])["document_hash"] == sha256_text(canonical(found))
    cli(*words)  # again, with what has happened since
    assert "ends in .html or .md" in cli.refused(*words, "--out", tmp_path / "x.pdf", code=2)
    assert "is a folder" in cli.refused(*words, "--out", tmp_path, code=2)
    assert "'i9'" in cli.refused("incident", "report", "i9", *ACTOR, code=1)
