"""The drift job end to end: real facts, Evidently in its own process, an artefact, and three oracles that agree."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial import distance

from controlplane.analysis.drift_report import comparable, sample, sealed
from controlplane.core.model import Verdict
from controlplane.store.state_rows import AuditEntry, Commit
from controlplane.store.warehouse import Warehouse
from jobs import drift

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
FORGED = "</script><script>document.title = 'forged'</script>"


@dataclass
class Recorded:
    """Records artefacts in a list."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)

    def record_artefact(
        self, artefact_id: str, kind: str, path: str, summary: Mapping[str, Any], now: datetime
    ) -> None:
        json.dumps(summary, allow_nan=False)
        self.rows.append({"id": artefact_id, "kind": kind, "path": path, "summary": dict(summary), "now": now})

    def commit(self, change: Commit, now: datetime) -> None:
        self.audit += change.audit


def interactions(start: datetime, rows: int, shift: float, intents: list[str], seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    naive = start.replace(tzinfo=None)
    return pl.DataFrame(
        {
            "interaction_id": [f"{seed}-{i}" for i in range(rows)],
            "conversation_id": [f"c{seed}-{i // 2}" for i in range(rows)],
            "turn": [1 + i % 2 for i in range(rows)],
            "ts": [naive + timedelta(seconds=3600 * i / rows) for i in range(rows)],
            "arm": rng.choice(["assistant", "baseline"], rows),
            "intent_pred": rng.choice(intents, rows),
            "intent_conf": rng.beta(8, 2, rows),
            "latency_ms": rng.lognormal(6 + shift, 0.4, rows),
            "tokens_in": rng.integers(50, 400, rows),
            "question": ["how do I freeze my card"[: int(n)] for n in rng.integers(5, 23, rows)],
            "cost_usd": rng.lognormal(-8, 0.3, rows),
            "id_hash": range(rows),
            "raw_hash": range(rows),
            "batch_id": [1] * rows,
            "line": range(rows),
        }
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("home")
    with Warehouse.open(home / "facts.duckdb") as warehouse:
        cursor = warehouse.cursor()
        for frame in (
            interactions(START, 900, 0.0, ["card", "transfer", "balance"], 1),
            interactions(START + HOUR, 700, 0.5, ["card", "transfer", FORGED], 2),
        ):
            cursor.register("incoming", frame.to_arrow())
            cursor.execute("INSERT INTO interactions BY NAME SELECT * FROM incoming")
            cursor.unregister("incoming")
        cursor.close()
        yield SimpleNamespace(home=home, warehouse=warehouse, state=Recorded())


@pytest.fixture(scope="module")
def finished(workspace: SimpleNamespace) -> SimpleNamespace:
    windows = drift.Window("before", START, START + HOUR), drift.Window("after", START + HOUR, START + 2 * HOUR)
    run = drift.start(workspace, START + 2 * HOUR, *windows)
    frames = {
        name: pl.read_parquet(workspace.home / f"reports/drift/{run.artefact_id}/{name}.parquet")
        for name in ("reference", "current")
    }
    assert not run.done()
    outcome = run.finish()
    return SimpleNamespace(outcome=outcome, frames=frames, record=workspace.state.rows[0])


def test_the_artefact_is_recorded_and_complete(finished: SimpleNamespace, workspace: SimpleNamespace) -> None:
    record = finished.record
    assert finished.outcome.report_error is None
    assert record["path"] == f"reports/drift/{record['id']}"
    folder = workspace.home / record["path"]
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "summary.json"]
    assert json.loads((folder / "summary.json").read_text()) == record["summary"]
    assert record["summary"]["windows"]["current"]["since"] == "2026-01-05T10:00:00Z"


def test_what_changed_is_found_and_the_rest_is_quiet(finished: SimpleNamespace) -> None:
    assert set(finished.record["summary"]["drifted"]) == {"latency_ms", "intent_pred"}
    columns = {column.column: column for column in finished.outcome.result.columns}
    assert columns["intent_pred"].new_categories[0][0] == FORGED
    assert columns["tokens_out"].verdict is Verdict.NO_DATA
    assert columns["arm"].verdict is Verdict.PASS


def test_our_numbers_equal_evidentlys_and_scipys_on_the_same_rows(finished: SimpleNamespace) -> None:
    theirs = finished.record["summary"]["evidently"]["columns"]
    ours = finished.record["summary"]["columns"]
    assert {"latency_ms", "intent_conf", "question_length", "tokens_in", "intent_pred", "arm"} <= set(theirs)
    for name, score in theirs.items():
        reference, current = (finished.frames[side][name] for side in ("reference", "current"))
        if score["method"] == "wasserstein":
            spread = float(np.std(reference.to_numpy()))
            if spread == 0:  # no deviation to measure in: ours is another measure there
                assert ours[name]["method"] != "Wasserstein / sd"
                continue
            expected = stats.wasserstein_distance(reference.to_numpy(), current.to_numpy())
            assert ours[name]["score"] == pytest.approx(expected / spread, rel=1e-9)
            assert score["score"] == pytest.approx(expected / max(spread, 0.001), rel=1e-9)
        else:
            keys = sorted(set(reference) | set(current))
            shares = [[int((side == key).sum()) for key in keys] for side in (reference, current)]
            assert ours[name]["score"] == pytest.approx(distance.jensenshannon(*shares), abs=1e-9)
            assert ours[name]["score"] == pytest.approx(score["score"], abs=1e-9)


def test_the_report_asks_nobody_for_anything_and_runs_no_foreign_script(
    finished: SimpleNamespace, workspace: SimpleNamespace
) -> None:
    page = (workspace.home / finished.record["path"] / "report.html").read_text()
    head = page[: page.index("</head>")]
    assert "default-src 'none'" in head
    assert not [tag for tag in ('src="http', "src='http", 'href="http', "@import", "url(http") if tag in head]
    assert FORGED not in page
    assert page.count("<script>document") == 0


def test_a_report_that_fails_leaves_the_numbers(workspace: SimpleNamespace) -> None:
    run = drift.start(workspace, START, drift.Window("a", START, START + HOUR), drift.Window("b", START, START + HOUR))
    run._process.kill()
    outcome = run.finish()
    assert outcome.report_error is not None
    assert "code -9" in outcome.report_error
    assert outcome.result.drifted == ()
    assert workspace.state.rows[-1]["summary"]["report"] is None


def test_a_stopped_run_leaves_nothing(workspace: SimpleNamespace) -> None:
    before = len(workspace.state.rows)
    window = drift.Window("a", START, START + HOUR)
    run = drift.start(workspace, START + HOUR, window, window)
    folder = workspace.home / "reports" / "drift" / run.artefact_id
    run.stop()
    assert not folder.exists()
    assert len(workspace.state.rows) == before


def test_an_empty_window_is_no_data(workspace: SimpleNamespace) -> None:
    later = drift.Window("nothing", START + 30 * HOUR, START + 31 * HOUR)
    run = drift.start(workspace, START + 3 * HOUR, drift.Window("a", START, START + HOUR), later)
    run.stop()
    assert {column.verdict for column in run.result.columns} == {Verdict.NO_DATA}


def test_a_window_that_ends_before_it_begins_is_refused(workspace: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="'back' ends 2026-01-05T09:00:00Z"):
        drift.start(workspace, START, drift.Window("back", START + HOUR, START), drift.Window("b", START, START + HOUR))


def test_columns_without_values_are_left_out_and_listed() -> None:
    reference = pl.DataFrame(
        {"kept": [1.0], "empty": [None], "gone": [1.0], "typed": [1.0], "a<b": [1.0]},
        schema_overrides={"empty": pl.Float64},
    )
    current = pl.DataFrame({"kept": [float("nan")], "empty": [1.0], "typed": ["x"], "new": [1.0], "a<b": [1.0]})
    kept, left_out = comparable(reference, current)
    assert kept == []
    assert set(left_out) == {"kept", "empty", "gone", "typed", "new", "a<b"}


def test_the_sample_is_the_same_every_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"n": range(250_000), "when": [START] * 250_000}).write_parquet(path)
    first, second = sample(path), sample(path)
    assert len(first) == 100_000
    assert first.equals(second)
    assert first.columns == ["n"]


def test_a_page_that_cannot_be_sealed_is_refused() -> None:
    with pytest.raises(ValueError, match="no <head>"):
        sealed("<html></html>")
