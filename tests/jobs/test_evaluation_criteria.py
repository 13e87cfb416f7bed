"""Versions of acceptance criteria: a change says who, why, what differs, and what recorded runs would have been."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.acceptance import Comparison, Criteria, Criterion
from controlplane.core.acceptance_changes import dataset_differences, differences
from jobs.evaluation_criteria import LAST, recent
from tests.jobs.command_line import Cli
from tests.jobs.evaluation_world import ACTOR, REASON, Bench, criteria

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    found = Bench(Cli(tmp_path / "home"))
    found.add()
    return found


def change(bench: Bench, limit: float, *more: str) -> Any:
    """The criteria with another limit, registered."""
    path = criteria(bench.folder / f"c{limit}.toml", limit)
    return bench.cli.json("eval", "register", path, *ACTOR, *more)


# what differs


def made(*items: Criterion, owner: str = "ada") -> Criteria:
    return Criteria("quality", owner, (), items, "")


LINE = Criterion(metric="intent_accuracy", comparison=Comparison.AT_LEAST, limit=0.8)
ITEMS = [
    LINE,
    Criterion(metric="misrouting_rate", comparison=Comparison.AT_MOST, limit=0.1),
    Criterion(metric="error_rate", comparison=Comparison.AT_MOST, limit=0.2),
]


def test_a_moved_line_names_both_ends() -> None:
    other = Criterion(metric="intent_accuracy", comparison=Comparison.AT_LEAST, limit=0.9, slices=("topic",))
    (found,) = differences(made(LINE), made(other))
    assert found.kind == "changed"
    assert found.fields == {"limit": (0.8, 0.9), "slices": ([], ["topic"])}
    assert found.text() == "intent_accuracy: limit was 0.8, is 0.9, slices was [], is ['topic']"
    assert [one.name for one in differences(made(LINE), made(LINE, owner="ben"))] == ["owner"]


@given(st.lists(st.sampled_from(ITEMS), unique=True), st.lists(st.sampled_from(ITEMS), unique=True))
def test_what_one_has_and_the_other_has_not(before: list[Criterion], after: list[Criterion]) -> None:
    found = {one.name: one.kind for one in differences(made(*before), made(*after))}
    old, new = ({item.label for item in items} for items in (before, after))
    assert found == dict.fromkeys(old - new, "removed") | dict.fromkeys(new - old, "added")


def test_data_sets_differ_by_version() -> None:
    found = dataset_differences({"a": "1" * 64, "b": "2" * 64}, {"a": "3" * 64, "c": "4" * 64})
    assert [(one.name, one.kind) for one in found] == [
        ("data set a", "changed"),
        ("data set b", "removed"),
        ("data set c", "added"),
    ]


def test_the_last_months_runs_else_the_last_ones() -> None:
    def run(number: int, days: float | None, name: str = "quality") -> Any:
        finished = None if days is None else NOW - timedelta(days=days)
        return SimpleNamespace(run_id=number, criteria_name=name, finished_at=finished)

    runs = [run(1, 90), run(2, 40), run(3, 20), run(4, 5), run(5, 5, "others"), run(6, None)]
    assert [one.run_id for one in recent(runs, "quality", NOW)] == [3, 4]
    assert [one.run_id for one in recent(runs[:2], "quality", NOW)] == [1, 2]
    assert len(recent([run(n, 90) for n in range(30)], "quality", NOW)) == LAST


# the record


def test_a_change_without_a_reason_is_refused_and_changes_nothing(bench: Bench) -> None:
    bench.register()
    path = criteria(bench.folder / "other.toml", 0.5)
    for why in ((), ("--reason", "  ")):
        said = bench.cli("eval", "register", path, *ACTOR, *why, code=1)
        assert "quality is registered already" in said.err
        assert "--reason" in said.err
    assert len(bench.cli.json("eval", "criteria")["criteria"]) == 1
    assert bench.cli.json("eval", "register", criteria(path), *ACTOR)["new"] is False, "the same again needs none"


def test_a_stricter_line_says_who_why_and_what_the_last_run_would_have_been(bench: Bench) -> None:
    good = bench.run(bench.register())
    bad = bench.run(bench.register(), model="m2", wrong=range(4))
    assert (good["verdict"], bad["verdict"]) == ("PASS", "PASS")
    told = change(bench, 0.9, "--reason", "disputes ask for more")["change"]
    assert (told["actor"], told["reason"]) == ("ada", "disputes ask for more")
    assert told["differences"] == [{"name": "intent_accuracy", "kind": "changed", "fields": {"limit": [0.8, 0.9]}}]
    by_run = {run["run_id"]: run for run in told["runs"]}
    assert (by_run[good["run_id"]]["now"], by_run[good["run_id"]]["criteria"]) == ("PASS", [])
    assert by_run[bad["run_id"]]["now"] == "INCONCLUSIVE"
    (moved,) = by_run[bad["run_id"]]["criteria"]
    assert (moved["name"], moved["then"], moved["now"]) == ("intent_accuracy", "PASS", "INCONCLUSIVE")
    rows = bench.cli.json("eval", "criteria", "quality")["criteria"]
    assert [row["in_force"] for row in rows] == [False, True]
    assert rows[1]["reason"] == "disputes ask for more"
    assert rows[1]["runs"] == told["runs"]
    text = bench.cli("eval", "criteria").out
    assert "limit was 0.8, is 0.9" in text
    assert "PASS, would have been INCONCLUSIVE" in text
    (vouched,) = [row for row in bench.cli.json("audit", "log")["rows"] if row["event"] == "criteria_changed"]
    assert (vouched["actor"], vouched["reason"]) == ("ada", "disputes ask for more")
    assert len(bench.cli.json("eval", "list")["runs"]) == 2, "nothing was run"


def test_runs_whose_outcomes_are_gone_or_changed_are_unknown(bench: Bench) -> None:
    bench.run(bench.register())
    (outcomes,) = (bench.cli.home / "evaluations").glob("*.jsonl")
    text = outcomes.read_text()
    outcomes.write_text(text.replace('"intent_correct":true', '"intent_correct":false'))
    (run,) = change(bench, 0.9, *REASON)["change"]["runs"]
    assert (run["then"], run["now"]) == ("PASS", "unknown")
    assert "was changed" in run["reason"]
    outcomes.unlink()
    (run,) = change(bench, 0.95, *REASON)["change"]["runs"]
    assert run["now"] == "unknown"
    assert "is gone" in run["reason"]


def test_a_new_data_set_version_needs_a_reason_and_moves_no_line(bench: Bench) -> None:
    bench.run(bench.register())
    bench.add(61)
    path = criteria(bench.folder / "criteria.toml")
    bench.cli("eval", "register", path, *ACTOR, code=1)
    told = bench.cli.json("eval", "register", path, *ACTOR, *REASON)["change"]
    assert [one["name"] for one in told["differences"]] == ["data set support"]
    assert told["runs"] == []


def test_a_changed_record_and_an_unknown_name_are_refused(bench: Bench) -> None:
    bench.register()
    change(bench, 0.9, *REASON)
    assert "no criteria 'x' are registered; there are quality" in bench.cli("eval", "criteria", "x", code=1).err
    with closing(sqlite3.connect(bench.cli.home / "state.sqlite")) as connection, connection:
        statement = "UPDATE artefacts SET summary = replace(summary, 'for the test', 'for no reason') WHERE kind = 'criteria_change'"
        assert connection.execute(statement).rowcount == 1
    assert "was changed after it was recorded" in bench.cli("eval", "criteria", code=1).err
