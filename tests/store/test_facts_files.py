"""Files of every format end in the same facts: JSON lines, CSV, Parquet, gzip, column maps, real tau-bench runs."""

import csv
import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from controlplane.ingest.columns import ColumnMapError, parse_map
from controlplane.store.facts import IngestCounts, IngestError, SourceError, load_map
from controlplane.store.warehouse import Warehouse
from tests.store.facts_world import contents, dumps, ingest, interaction, moment, one, rows, write_lines

TAU = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tau_bench_airline" / "gpt4o_airline.jsonl.gz"

RECORDS = [
    interaction(
        1, minutes=0, csat=4, escalated=True, latency_ms=12.5, extra={"a": 1}, question='said "yes",\nthen left'
    ),
    interaction(2, minutes=1, resolved=False, tokens_in=7),
    interaction(1, "c2", minutes=2, interaction_id="i3", arm="baseline"),
]


@pytest.fixture
def warehouse(tmp_path):
    with Warehouse.open(tmp_path / "w.duckdb") as opened:
        yield opened


def write_csv(path, records, separator=","):
    columns = list(dict.fromkeys(name for record in records for name in record))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(columns)
        for record in records:
            cells = [record.get(name, "") for name in columns]
            writer.writerow([json.dumps(cell) if isinstance(cell, dict | bool) else cell for cell in cells])
    return path


def zipped(path):
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


def as_parquet(path, records):
    frame = pl.DataFrame(
        [{**record, "extra": json.dumps(record["extra"]) if "extra" in record else None} for record in records]
    )
    frame.with_columns(
        pl.col("ts").str.to_datetime(time_zone="UTC"), pl.col("extra").str.json_decode(pl.Struct({"a": pl.Int64}))
    ).write_parquet(path)
    return path


WRITERS = {
    "a.jsonl": write_lines,
    "a.csv": write_csv,
    "a.tsv": lambda path, records: write_csv(path, records, "\t"),
    "a.parquet": as_parquet,
}


@pytest.mark.parametrize("name", [*WRITERS, "a.jsonl.gz", "a.csv.gz"])
def test_every_format_gives_the_same_facts(tmp_path, warehouse, name):
    plain = WRITERS[name.removesuffix(".gz")](tmp_path / name.removesuffix(".gz"), RECORDS)
    path = zipped(plain) if name.endswith(".gz") else plain
    assert ingest(warehouse, path) == IngestCounts(3, 3, 0, 0)
    assert ingest(warehouse, path) == IngestCounts(3, 0, 3, 0)
    found = contents(warehouse)
    with Warehouse.open(tmp_path / "same.duckdb") as other:
        ingest(other, write_lines(tmp_path / "same.jsonl", RECORDS))
        same = contents(other)
    hashes = {value for (value,) in rows(warehouse, "SELECT raw_hash FROM interactions")}
    assert len(hashes) == 3
    assert found["conversations"] == same["conversations"]
    query = "SELECT * EXCLUDE (raw_hash, batch_id, line) FROM interactions ORDER BY interaction_id"
    with Warehouse.open(tmp_path / "same.duckdb") as other:
        assert rows(warehouse, query) == rows(other, query)


def test_bad_csv_rows_are_named_by_line(tmp_path, warehouse):
    path = tmp_path / "a.csv"
    path.write_text(
        "interaction_id,conversation_id,turn,csat,answer\n"
        "i1,c1,1,4,fine\n"
        "i2,c1,two,4,\n"
        "\n"
        'i3,c1,3,9,"two\nlines"\n'
        "i4,c1,4\n"
        ",c1,5,,\n"
        'i6,c1,6,5,"quoted" wrongly\n'
        "i7,c1,7,5,last\n"
    )
    assert ingest(warehouse, path) == IngestCounts(7, 2, 0, 5)
    assert rows(warehouse, "SELECT line, reason, field FROM quarantine ORDER BY line") == [
        (3, "wrong_type", "turn"),
        (5, "impossible_value", "csat"),
        (7, "unreadable_row", "3 cells for 5 columns"),
        (8, "missing_required", "interaction_id"),
        (9, "unreadable_row", "',' expected after '\"'"),
    ]
    assert rows(warehouse, "SELECT line FROM interactions ORDER BY line") == [(2,), (10,)]


def test_many_rows_come_in_several_batches(tmp_path, warehouse):
    records = [{"interaction_id": f"i{n}", "conversation_id": f"c{n // 3}", "turn": n % 3} for n in range(20_050)]
    assert ingest(warehouse, write_csv(tmp_path / "a.csv", records)) == IngestCounts(20_050, 20_050, 0, 0)
    assert rows(warehouse, "SELECT from_offset, to_offset FROM batches ORDER BY 1") == [(0, 20_000), (20_000, 20_050)]
    assert rows(warehouse, "SELECT count(*), sum(turns) FROM conversations") == [(6684, 20_050)]


MAP = """
version = 1
[fields]
interaction_id = "message"
conversation_id = "chat.id"
turn = "n"
ts = "when"
arm = { from = "group", values = { treatment = "assistant", control = "baseline" } }
"""


def test_a_mapped_export(tmp_path, warehouse):
    lines = [
        {"message": "m1", "chat": {"id": "c1"}, "n": 1, "when": moment(0), "group": "treatment", "mood": "good"},
        {"message": "m2", "chat": {"id": "c1"}, "n": 2, "when": moment(1), "group": "blue"},
        {"message": "m3", "chat": {}, "n": 3},
        {"message": "m1", "n": 1, "chat": {"id": "c1"}, "group": "treatment", "when": moment(0), "mood": "good"},
        "[]",
        "torn {",
        b"\xff",
        "",
    ]
    path = write_lines(tmp_path / "a.jsonl", lines)
    assert ingest(warehouse, path, map=parse_map(MAP, "m")) == IngestCounts(7, 1, 1, 5)
    assert one(warehouse, "SELECT arm, conversation_id, extra FROM interactions") == {
        "arm": "assistant",
        "conversation_id": "c1",
        "extra": '{"mood":"good"}',
    }
    found = rows(warehouse, "SELECT line, reason FROM quarantine ORDER BY line")
    assert found == [(2, "unknown_arm"), (3, "missing_required"), (5, "not_json"), (6, "not_json"), (7, "invalid_utf8")]


def test_a_mapped_csv_reads_numbers_and_flags(tmp_path, warehouse):
    text = (
        MAP.replace('"message"', '{ template = "{chat}-{n}" }').replace("chat.id", "chat")
        + 'csat = "stars"\nescalated = "handed over"\n'
    )
    path = write_csv(
        tmp_path / "a.csv",
        [{"chat": "7", "n": 1, "when": moment(0), "group": "control", "stars": 4, "handed over": "TRUE", "other": "x"}],
    )
    assert ingest(warehouse, path, map=parse_map(text, "m")) == IngestCounts(1, 1, 0, 0)
    found = one(warehouse, "SELECT * FROM interactions")
    assert (found["interaction_id"], found["csat"], found["escalated"], found["arm"]) == ("7-1", 4.0, True, "baseline")
    assert json.loads(found["extra"]) == {"other": "x"}


CONVERSATIONS = """
version = 1
[fields]
conversation_id = "id"
csat = "stars"
[messages]
at = "messages"
"""


def test_a_conversation_stands_or_falls_as_one_source_record(tmp_path, warehouse):
    def chat(name, stars, *questions):
        return {
            "id": name,
            "stars": stars,
            "messages": [{"role": "user", "content": question} for question in questions],
        }

    lines = [
        chat("c1", 5, "a", "b"),
        chat("c2", 9, "a", "b", "c"),
        chat("c1", 5, "a", "b"),
        chat("c1", 5, "a", "b", "more"),
        {"id": "c4"},
    ]
    columns = parse_map(CONVERSATIONS, "m")
    path = write_lines(tmp_path / "a.jsonl", lines)
    assert ingest(warehouse, path, map=columns) == IngestCounts(5, 1, 1, 3)
    assert rows(warehouse, "SELECT conversation_id, turns, csat FROM conversations") == [("c1", 2, 5.0)]
    found = rows(warehouse, "SELECT line, reason, field FROM quarantine ORDER BY line")
    assert found[:2] == [(2, "impossible_value", "csat"), (4, "changed_duplicate", None)]
    assert found[2][:2] == (5, "unmapped")
    assert ingest(warehouse, path, map=columns) == IngestCounts(5, 0, 2, 3)


def test_files_that_cannot_be_read(tmp_path, warehouse):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes.docx").write_text("x")
    (tmp_path / "broken.jsonl.gz").write_bytes(gzip.compress(dumps(interaction(1)) * 100)[:-20])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    for name, message in {
        "missing.jsonl": r"no file .*missing\.jsonl",
        "empty.jsonl": r"empty\.jsonl is empty",
        "notes.docx": r"notes\.docx: unknown format",
        "broken.jsonl.gz": r"broken\.jsonl\.gz: the file is damaged",
        "broken.parquet": r"broken\.parquet: the file is damaged",
        "twice.csv": "header must name every column once",
        ".": "is a folder",
    }.items():
        with pytest.raises(SourceError, match=message):
            ingest(warehouse, tmp_path / name)
    assert rows(warehouse, "SELECT count(*) FROM interactions") == [(0,)]


@pytest.mark.parametrize(("table", "where"), [("batches", "the slice from 0 to .*"), ("sources", "")])
def test_a_failing_database_says_what_was_not_stored(tmp_path, warehouse, table, where):
    warehouse.cursor().execute(f"DROP TABLE {table}")
    with pytest.raises(IngestError, match=rf"a\.jsonl.*{where} could not be stored"):
        ingest(warehouse, write_lines(tmp_path / "a.jsonl", RECORDS))
    assert rows(warehouse, "SELECT (SELECT count(*) FROM interactions), (SELECT count(*) FROM conversations)") == [
        (0, 0)
    ]


def test_maps_are_found_by_path_and_by_name(tmp_path):
    (tmp_path / "own.toml").write_text(MAP)
    assert load_map(str(tmp_path / "own.toml")).record.name == "interaction"
    assert load_map("tau_bench").messages == load_map("tau_bench.toml").messages
    with pytest.raises(SourceError, match=r"no column map nowhere.*tau_bench"):
        load_map("nowhere")
    (tmp_path / "bad.toml").write_text("version = 3")
    with pytest.raises(ColumnMapError, match=r"bad\.toml: version"):
        load_map(str(tmp_path / "bad.toml"))


@pytest.mark.skipif(not TAU.exists(), reason=f"real data is absent: {TAU}")
def test_real_support_runs_of_tau_bench(tmp_path, warehouse):
    with gzip.open(TAU, "rt", encoding="utf-8") as file:
        runs = [json.loads(line) for line in file]
    assert ingest(warehouse, TAU, map=load_map("tau_bench")) == IngestCounts(len(runs), len(runs), 0, 0)
    assert ingest(warehouse, TAU, map=load_map("tau_bench")) == IngestCounts(len(runs), 0, len(runs), 0)
    said = [message for run in runs for message in run["traj"]]
    calls = [call["function"]["name"] for message in said for call in message.get("tool_calls") or []]
    handed = {
        (run["task_id"], run["trial"]) for run in runs if "transfer_to_human_agents" in json.dumps(run["traj"][1:])
    }
    expected = {
        "conversations": len({(run["task_id"], run["trial"]) for run in runs}),
        "turns": sum(message["role"] == "user" for message in said),
        "resolved": sum(run["reward"] == 1 for run in runs),
        "unresolved": sum(run["reward"] == 0 for run in runs),
        "escalated": sum(
            "transfer_to_human_agents"
            in [c["function"]["name"] for m in run["traj"] for c in m.get("tool_calls") or []]
            for run in runs
        ),
        "with_time": 0,
    }
    assert len(handed) >= expected["escalated"] > 0
    found = one(
        warehouse,
        "SELECT count(*) AS conversations, sum(turns) AS turns, count(*) FILTER (resolved) AS resolved,"
        " count(*) FILTER (NOT resolved) AS unresolved, count(*) FILTER (escalated) AS escalated, count(started_at) AS with_time FROM conversations",
    )
    assert found == expected
    cost = one(warehouse, "SELECT sum(cost_usd) AS cost FROM conversations")["cost"]
    assert cost == pytest.approx(sum(run["info"]["user_cost"] or 0 for run in runs))
    tools = one(warehouse, "SELECT sum(json_array_length(extra, '$.tool_calls')) AS n FROM interactions")["n"]
    assert tools == len(calls)
    assert rows(warehouse, "SELECT count(*) FROM touched_minutes") == [(0,)]
