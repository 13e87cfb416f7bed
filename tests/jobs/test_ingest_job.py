"""The ingest job: the landing folder at each heartbeat, finished files and folders on command."""

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from controlplane.store.facts import IngestCounts, SourceError
from controlplane.store.landing import LandingWriter
from controlplane.store.warehouse import Warehouse
from jobs.ingest import ingest_paths, run
from tests.store.facts_world import KEY, NOW, interaction, rows, write_lines


@dataclass
class Deps:
    warehouse: Warehouse
    landing: Path
    hmac_key: bytes = KEY


@pytest.fixture
def warehouse(tmp_path):
    with Warehouse.open(tmp_path / "w.duckdb") as opened:
        yield opened


def test_the_job_stores_what_has_landed_and_waits_for_a_folder(tmp_path, warehouse):
    deps = Deps(warehouse, tmp_path / "landing")
    assert run(deps, NOW) == IngestCounts()
    with LandingWriter(deps.landing, "phone") as writer:
        writer.write([interaction(1)])
        assert run(deps, NOW) == IngestCounts(1, 1, 0, 0)
        assert run(deps, NOW) == IngestCounts()


def test_files_and_folders_are_summed_up_with_a_bar_on_the_console_given(tmp_path, warehouse):
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    write_lines(tmp_path / "logs" / "a.jsonl", [interaction(1), "torn"])
    write_lines(tmp_path / "logs" / "deep" / "b.ndjson", [interaction(2), interaction(1)])
    (tmp_path / "logs" / "empty.jsonl").touch()
    (tmp_path / "logs" / "README.md").write_text("not a log")
    single = write_lines(tmp_path / "c.jsonl", [interaction(3)])
    shown = io.StringIO()
    counts = ingest_paths(
        warehouse, [tmp_path / "logs", single], now=NOW, key=KEY, console=Console(file=shown, force_terminal=True)
    )
    assert counts == IngestCounts(5, 3, 1, 1)
    assert "ingest" in shown.getvalue()
    assert rows(warehouse, "SELECT DISTINCT source FROM batches") == [("file",)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", r"missing\.jsonl does not exist"),
        ("empty.jsonl", r"empty\.jsonl is empty"),
        ("notes.docx", r"notes\.docx: unknown format"),
        ("bare", "bare holds no log files"),
    ],
)
def test_a_path_that_cannot_be_read_stops_everything_before_it_starts(tmp_path, warehouse, name, message):
    good = write_lines(tmp_path / "good.jsonl", [interaction(1)])
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes.docx").write_text("x")
    (tmp_path / "bare").mkdir()
    with pytest.raises(SourceError, match=message):
        ingest_paths(warehouse, [good, tmp_path / name], now=NOW, key=KEY)
    assert rows(warehouse, "SELECT count(*) FROM interactions") == [(0,)]
