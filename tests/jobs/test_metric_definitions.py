"""A definition that changes: who, why, and what last month's numbers were and would have been."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from controlplane import settings as settings_module
from controlplane.core.metrics import METRICS
from controlplane.core.policy import parse
from controlplane.settings import shipped_policy
from controlplane.store import rollups
from controlplane.store.metric_recount import kept, recounted
from controlplane.store.queries import load
from controlplane.store.state import StateWriter
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse
from jobs import metric_definitions as job
from jobs.deps import Deps
from jobs.refused import Refused
from tests.jobs.command_line import Cli

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MONTH = datetime(2026, 2, 1, tzinfo=UTC)
N = 400


def put(warehouse: Warehouse) -> None:
    """February: of each arm's conversations a quarter comes back after 30 hours and a tenth after 60; a fifth is escalated; answers take 100 ms."""
    rows, turns = [], []
    for i in range(2 * N):
        arm, n = ("assistant", "baseline")[i % 2], i // 2
        started = to_naive(MONTH + timedelta(minutes=7 * i))
        back = timedelta(hours=30) if n % 4 == 0 else timedelta(hours=60) if n % 10 == 1 else None
        row = {
            "conversation_id": f"c{i}",
            "id_hash": i,
            "user_id": f"u{i}",
            "arm": arm,
            "release": "v1",
            "eligible": True,
        }
        row |= {"started_at": started, "turns": 1, "returned_at": None if back is None else started + back}
        row |= {"escalated_at": started if n % 5 == 0 else None, "batch_id": 1}
        rows.append(row)
        turns.append(
            {
                "interaction_id": f"i{i}",
                "conversation_id": f"c{i}",
                "turn": 1,
                "ts": started,
                "latency_ms": 100.0,
                "id_hash": i,
                "raw_hash": i,
                "line": 1,
                "batch_id": 1,
            }
        )
    with warehouse.cursor() as cursor:
        times = {"returned_at": pl.Datetime("us"), "escalated_at": pl.Datetime("us")}
        cursor.register("rows", pl.DataFrame(rows, schema_overrides=times).to_arrow())
        cursor.execute("INSERT INTO conversations BY NAME SELECT * FROM rows")
        cursor.register("turns", pl.DataFrame(turns).to_arrow())
        cursor.execute("INSERT INTO interactions BY NAME SELECT * FROM turns")
    minutes = [MONTH + timedelta(minutes=m) for m in range(7 * 2 * N)]
    rollups.touch(warehouse, minutes)
    rollups.refresh(warehouse, NOW)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path_factory.mktemp("facts") / "facts.duckdb") as found:
        put(found)
        yield found


@pytest.fixture
def deps(warehouse: Warehouse, tmp_path: Path) -> Iterator[Deps]:
    settings = settings_module.load(tmp_path / "home", env={})
    settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(NOW)
    yield Deps(settings, warehouse, state, parse(shipped_policy("default")))
    state.close()


def test_the_first_registration_is_the_programs_and_the_next_start_changes_nothing(deps: Deps) -> None:
    assert job.at_start(deps.state, NOW) is None
    assert not job.register_shipped(deps.state, NOW)
    found = job.newest(deps.state)
    assert found is not None
    assert (found["version"], found["actor"], found["reason"]) == (1, job.SHIPPED_BY, job.SHIPPED_WHY)
    assert set(found["definitions"]) == set(METRICS)
    assert job.note(deps.state) is None
    assert job.register(deps, NOW, "ana", "once more")["new"] is False


def test_a_shorter_contact_window_says_who_why_and_what_it_does(deps: Deps) -> None:
    job.register_shipped(deps.state, NOW)
    changed = {
        **METRICS,
        "contact_rate": replace(METRICS["contact_rate"], maturity=timedelta(hours=48), numerator="within 48 hours"),
    }
    told = job.register(deps, NOW, "ana", "as the contract says", metrics=changed)
    assert (told["version"], told["actor"], told["reason"]) == (2, "ana", "as the contract says")
    (change,) = told["changes"]
    assert change["fields"]["maturity"] == [72 * 3600.0, 48 * 3600.0]
    assert told["impact"]["month"]["since"] == MONTH.isoformat()
    arms = told["impact"]["metrics"]["contact_rate"]["arms"]
    for arm in ("assistant", "baseline"):
        assert arms[arm]["then"] == {"value": pytest.approx(0.35), "n": N}
        assert arms[arm]["now"] == {"value": pytest.approx(0.25), "n": N}
    rows = [row for row in deps.state.audit_rows() if row["event"] == job.EVENT]
    assert [(row["actor"], row["reason"]) for row in rows] == [
        (job.SHIPPED_BY, job.SHIPPED_WHY),
        ("ana", "as the contract says"),
    ]


def test_another_numerator_in_sql_shows_which_numbers_move(deps: Deps) -> None:
    job.register_shipped(deps.state, NOW)

    def sql(name: str) -> str:
        text = load(name)
        if name == "rollups/conversations_insert":
            assert "count(c.escalated_at) AS escalated" in text
            return text.replace("count(c.escalated_at) AS escalated", "count(c.escalated_at) * 2 AS escalated")
        return text

    told = job.register(deps, NOW, "ben", "twice", sql=sql)
    names = {change["name"] for change in told["changes"]}
    assert "escalation_rate" in names
    assert "latency_mean" not in names
    metrics = told["impact"]["metrics"]
    assert set(metrics) == names
    moved = {
        name for name, one in metrics.items() for both in one.get("arms", {}).values() if both["then"] != both["now"]
    }
    assert moved == {"escalation_rate"}
    both = metrics["escalation_rate"]["arms"]["assistant"]
    assert (both["then"]["value"], both["now"]["value"]) == (pytest.approx(0.2), pytest.approx(0.4))
    assert metrics["csat"] == {"unknown": "the month has no data of it"}


def test_what_the_policy_sets_is_unknown_and_quantiles_are_told(deps: Deps) -> None:
    job.register_shipped(deps.state, NOW)
    changed = {name: replace(METRICS[name], title="Other") for name in ("slow_share", "model_usage", "latency_p95")}
    told = job.register(deps, NOW, "ana", "words", metrics={**METRICS, **changed})
    metrics = told["impact"]["metrics"]
    assert "policy" in metrics["slow_share"]["unknown"]
    assert "shares of a whole" in metrics["model_usage"]["unknown"]
    both = metrics["latency_p95"]["arms"]["assistant"]
    assert both["then"] == both["now"]
    assert both["now"]["value"] == pytest.approx(100, rel=0.011)


def test_counting_again_by_the_same_queries_is_what_is_kept(warehouse: Warehouse) -> None:
    until = MONTH + timedelta(days=28)
    with kept(warehouse, MONTH, until) as old, recounted(warehouse, MONTH, until) as new:
        assert old.sums() == new.sums()
        assert old.sums()
    with warehouse.cursor() as cursor:
        temporary = cursor.execute("SELECT count(*) FROM duckdb_tables() WHERE temporary").fetchall()
    assert temporary == [(0,)]


def test_a_metric_that_is_new_or_gone_has_one_number(deps: Deps) -> None:
    job.register_shipped(deps.state, NOW)
    without = {name: one for name, one in METRICS.items() if name != "contact_rate"}
    gone = job.register(deps, NOW, "ana", "not ours", metrics=without)["impact"]["metrics"]["contact_rate"]["arms"][
        "baseline"
    ]
    assert (gone["then"]["value"], gone["now"]) == (pytest.approx(0.35), None)
    back = job.register(deps, NOW, "ana", "ours after all")["impact"]["metrics"]["contact_rate"]["arms"]["baseline"]
    assert (back["then"], back["now"]["value"]) == (None, pytest.approx(0.35))


def test_without_a_reason_and_with_a_changed_record_it_is_refused(deps: Deps) -> None:
    with pytest.raises(Refused, match="needs a reason"):
        job.register(deps, NOW, "ana", "  ")
    job.register_shipped(deps.state, NOW)
    path = deps.settings.workspace.state
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE artefacts SET summary = replace(summary, '259200', '172800')")
    assert "was changed" in str(job.at_start(deps.state, NOW)), "a control process says it and goes on"
    with pytest.raises(Refused, match=r"metrics-v1-\w+ was changed after it was registered"):
        job.newest(deps.state)


def test_what_was_begun_and_never_vouched_for_is_none(deps: Deps) -> None:
    """A crash between the artefact and its row of the log."""
    deps.state.record_artefact("metrics-v1-0", job.KIND, "", {"version": 1, "catalogue_hash": "x"}, NOW)
    assert job.newest(deps.state) is None
    assert job.register_shipped(deps.state, NOW)
    assert len(job.versions(deps.state)) == 1


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = Cli(tmp_path / "home")
    settings_module.load(tmp_path / "home", env={}).workspace.create("live")
    assert "nothing is registered" in cli("metric", "diff").out
    assert cli.json("metric", "register", "--actor", "ana", "--reason", "first")["version"] == 1
    cli("metric", "register", "--actor", "ana", code=2)
    cli("metric", "register", "--actor", "ana", "--reason", " ", code=2)
    changed = {**METRICS, "csat": replace(METRICS["csat"], title="Satisfaction")}
    for module in ("jobs.metric_definitions", "jobs.metric_command"):
        monkeypatch.setattr(f"{module}.METRICS", changed)
    assert cli.json("metric", "diff", code=1)["changes"][0]["fields"] == {"title": ["CSAT", "Satisfaction"]}
    assert "unregistered definitions changed: csat" in str(
        job.note(StateWriter(f"sqlite:///{tmp_path}/home/state.sqlite"))
    )
    assert {row["name"] for row in cli.json("metric", "list")["metrics"] if row["changed"]} == {"csat"}
    assert "no metric 'nope'" in cli("metric", "show", "nope", code=2).everything
    shown = cli.json("metric", "show", "csat")
    assert [(one["version"], one["actor"], one["reason"]) for one in shown["versions"]] == [(1, "ana", "first")]
    assert "ana: first" in cli("metric", "show", "csat").out
