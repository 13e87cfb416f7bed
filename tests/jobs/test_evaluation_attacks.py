"""Ways to get a release in that is not good enough: rows taken out of the state, a baseline of one's own choice, records for another's hashes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from controlplane.core.audit import canonical
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import result_identity
from jobs.compose import open_state, workspace_settings
from jobs.console import clock
from jobs.evaluation_subject import EMBEDDED
from tests.jobs.command_line import Cli
from tests.jobs.evaluation_world import ACTOR, REASON, Bench, criteria, replies, write

PAIRED = """[[criteria]]
name = "no step back"
metric = "intent_accuracy"
comparison = "not_worse"
margin = 0.15
without_baseline = "no_data"
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Cli(tmp_path / "home"))


def state(bench: Bench, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(bench.cli.home / "state.sqlite")) as connection:
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()


def test_a_failed_run_that_is_taken_out_beside_a_passing_one_is_missed(bench: Bench) -> None:
    bench.add()
    hash_ = bench.register()
    failed = bench.run(hash_, wrong=range(0, 60, 2), code=1)
    bench.run(hash_)
    state(bench, "DELETE FROM evaluation_runs WHERE run_id = ?", failed["run_id"])
    said = bench.start(code=1)
    assert f"evaluation {failed['run_id']}, which the audit log knows, was changed or taken out" in said
    assert "Traceback" not in said


def test_a_stopped_run_that_is_taken_out_still_counts_as_seen(bench: Bench) -> None:
    bench.add()
    failed = bench.run(bench.register(), wrong=range(0, 60, 2), code=1)
    laxer = bench.register(limit=0.1)
    state(bench, "DELETE FROM evaluation_runs WHERE run_id = ?", failed["run_id"])
    said = bench.cli(*bench.words(laxer), code=1)
    assert failed["run_id"] in said.err


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM acceptance_criteria WHERE criteria_hash = ?",
        "UPDATE acceptance_criteria SET name = 'other' WHERE criteria_hash = ?",
        "UPDATE acceptance_criteria SET seq = -1 WHERE criteria_hash = ?",
    ],
)
def test_criteria_that_are_taken_out_do_not_put_the_laxer_ones_back_in_force(bench: Bench, statement: str) -> None:
    bench.add()
    bench.run(bench.register(limit=0.3))
    strict = bench.register(limit=0.99)
    assert "has replaced" in bench.start(code=1)
    state(bench, statement, strict)
    assert f"criteria quality ({strict[:12]}), which the audit log knows as the newest" in bench.start(code=1)


def test_whoever_chooses_the_baseline_chooses_what_is_shown_and_not_what_is_judged(bench: Bench) -> None:
    bench.add()
    path = criteria(bench.folder / "c.toml", limit=0.1)
    path.write_text(path.read_text() + PAIRED)
    hash_ = str(bench.cli.json("eval", "register", path, *ACTOR)["criteria_hash"])
    bad = bench.run(hash_, model="bad", wrong=range(40), code=1)
    found = bench.run(hash_, "--baseline", bad["run_id"], model="m1", code=1)
    assert found["comparison"]["run"] == bad["run_id"]
    judged = next(item for item in found["criteria"] if item["name"] == "no step back")
    assert judged["verdict"] == "NO_DATA"
    assert "may not start" in bench.start(code=1)


def test_a_baseline_that_was_changed_is_not_compared_with(bench: Bench) -> None:
    bench.add()
    hash_ = bench.register()
    first = bench.run(hash_)
    bench.start()
    with open_state(workspace_settings(str(bench.cli.home)), clock()) as opened:
        row = next(item for item in opened.evaluation_runs() if item.run_id == first["run_id"])
        assert isinstance(opened, StateReader)
    row.result["rows"] = 61  # type: ignore[index]
    values = (canonical(row.result), result_identity(row), row.run_id)
    state(bench, "UPDATE evaluation_runs SET result = ?, result_hash = ? WHERE run_id = ?", *values)
    said = bench.cli(*bench.words(hash_, model="m2"), code=1)
    assert "does not agree with the audit log" in said.err


def test_records_cannot_be_handed_in_for_the_embedded_assistant(bench: Bench) -> None:
    bench.add()
    hash_ = bench.register()
    file = write(bench.folder / "replies.jsonl", replies())
    names = [word for name in sorted(EMBEDDED) for word in ("--artefact", f"{name}=x")]
    words = ("eval", "run", "--data", "support", "--criteria", hash_, "--replies", file, "--label", "v1", *names)
    assert "which are the embedded assistant's" in bench.cli(*words, code=2).err


def test_a_run_says_that_its_answers_were_handed_in_and_of_which_content(bench: Bench) -> None:
    import hashlib

    bench.add()
    found = bench.run(bench.register())
    content = hashlib.sha256((bench.folder / "replies-m1.jsonl").read_bytes()).hexdigest()
    assert found["source"] == {"answers": "records handed in", "files": {"replies-m1.jsonl": content}}
    shown = bench.cli("eval", "show", found["run_id"]).out
    assert f"replies-m1.jsonl (sha256 {content[:12]})" in shown


def test_a_data_set_may_have_a_name_with_a_dot_or_that_of_a_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(name="support.v1")
    (bench.folder / "support.v1").write_text("something else")
    monkeypatch.chdir(bench.folder)
    hash_ = bench.register(datasets='datasets = ["support.v1"]')
    assert bench.cli.json(*bench.words(hash_, data="support.v1"))["verdict"] == "PASS"


def test_registering_says_what_it_replaces_and_what_stays_in_force(bench: Bench) -> None:
    bench.add()
    first = bench.register(limit=0.8)
    path = criteria(bench.folder / "c2.toml", limit=0.7)
    said = bench.cli("eval", "register", path, *ACTOR, *REASON).out
    assert f"it replaces {first[:12]}" in said
    again = bench.cli("eval", "register", criteria(bench.folder / "c3.toml", limit=0.8), *ACTOR).out
    assert "NOT in force" in again


def test_a_run_that_was_not_ended_has_no_report(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench.add()
    found = bench.run(bench.register())
    said = "UPDATE evaluation_runs SET finished_at = NULL, verdict = NULL, result = NULL WHERE run_id = ?"
    state(bench, said, found["run_id"])
    refused = bench.cli("eval", "show", found["run_id"], "--html", tmp_path / "r.html", code=1)
    assert "was begun and not ended" in refused.err
