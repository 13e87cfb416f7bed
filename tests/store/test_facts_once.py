"""Exactly once: duplicates, changed duplicates, contradictions; whatever comes in, the counts add up and nothing doubles."""

import json
import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controlplane.store.facts import IngestCounts
from controlplane.store.warehouse import Warehouse
from tests.store.facts_world import (
    FACT_TABLES,
    contents,
    dumps,
    exposure,
    feedback,
    ingest,
    interaction,
    naive,
    one,
    rows,
    write_lines,
)

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MIXED = [
    exposure(1, "c1", 0),
    *(interaction(number, "c1", number, csat=number) for number in range(1, 4)),
    feedback(1, "c1", 60, csat=2),
    {"record": "model_call", "call_id": "m1", "ts": interaction(1)["ts"], "conversation_id": "c1"},
    {"record": "dependency_call", "call_id": "m1", "ts": interaction(1)["ts"]},
    {"record": "workflow_run", "run_id": "m1", "ts": interaction(1)["ts"], "workflow": "w", "status": "failed"},
    {"record": "evaluation", "evaluation_id": "m1", "ts": interaction(1)["ts"], "name": "groundedness"},
]


@pytest.fixture
def warehouse(tmp_path):
    with Warehouse.open(tmp_path / "w.duckdb") as opened:
        yield opened


def test_every_record_type_is_stored_once_under_any_name(tmp_path, warehouse):
    first = ingest(warehouse, write_lines(tmp_path / "a.jsonl", MIXED))
    before = contents(warehouse)
    again = ingest(warehouse, write_lines(tmp_path / "b.log", [*reversed(MIXED), *MIXED]))
    assert first == IngestCounts(9, 9, 0, 0)
    assert again == IngestCounts(18, 0, 18, 0)
    assert contents(warehouse) == before


def test_the_same_id_with_other_content_goes_to_quarantine(tmp_path, warehouse):
    lines = [interaction(1), interaction(1, csat=4), interaction(1), interaction(2)]
    assert ingest(warehouse, write_lines(tmp_path / "a.jsonl", lines)) == IngestCounts(4, 2, 1, 1)
    later = [interaction(2, csat=1), interaction(2)]
    assert ingest(warehouse, write_lines(tmp_path / "b.jsonl", later)) == IngestCounts(2, 0, 1, 1)
    assert rows(warehouse, "SELECT reason, line FROM quarantine ORDER BY path") == [
        ("changed_duplicate", 2),
        ("changed_duplicate", 1),
    ]


def test_a_second_read_quarantines_nothing_twice_also_when_the_file_grew(tmp_path, warehouse):
    lines = [interaction(1), "torn", interaction(2, csat=9), b"\xff"]
    for name, more in (("a", []), ("b", []), ("c", [interaction(3)])):
        ingest(warehouse, write_lines(tmp_path / f"{name}.jsonl", [*lines, *more]))
    assert rows(warehouse, "SELECT count(*) FROM quarantine") == [(3,)]


def test_two_files_with_the_same_bad_line_are_two_findings(tmp_path, warehouse):
    for number in (1, 2):
        ingest(warehouse, write_lines(tmp_path / f"{number}.jsonl", [interaction(number), "torn"]))
    assert rows(warehouse, "SELECT count(*), count(DISTINCT path) FROM quarantine") == [(2, 2)]


def test_a_conversation_has_one_arm_and_one_customer(tmp_path, warehouse):
    lines = [
        interaction(1, "c1", 0, arm="assistant"),
        interaction(2, "c1", 1, arm="baseline"),
        interaction(3, "c1", 2, user_id="someone"),
        interaction(4, "c1", 3, arm=None, user_id=None),
        exposure(2, "c2", 5, variant="baseline"),
        interaction(5, "c2", 4, arm="assistant"),
        interaction(6, "c2", 6, arm="baseline"),
    ]
    assert ingest(warehouse, write_lines(tmp_path / "a.jsonl", lines)) == IngestCounts(7, 4, 0, 3)
    found = rows(warehouse, "SELECT line, reason, field FROM quarantine ORDER BY line")
    assert found == [
        (2, "contradicts_conversation", "arm"),
        (3, "contradicts_conversation", "user_id"),
        (6, "contradicts_conversation", "arm"),
    ]
    later = [interaction(7, "c1", 9, arm="baseline"), exposure(3, "c1", variant="baseline"), exposure(4, "c1", 1)]
    assert ingest(warehouse, write_lines(tmp_path / "b.jsonl", later)) == IngestCounts(3, 1, 0, 2)


def test_ids_of_different_record_types_do_not_meet(tmp_path, warehouse):
    lines = [
        {**record, **{key: "same" for key in record if key.endswith("_id") and key != "conversation_id"}}
        for record in MIXED[4:]
    ]
    assert ingest(warehouse, write_lines(tmp_path / "a.jsonl", lines)).stored == len(lines)


def test_small_slices_store_the_same_as_one(tmp_path):
    lines = [*MIXED, "torn", *MIXED[:3], *(interaction(9 + n, f"d{n % 3}", n, csat=1 + n % 5) for n in range(30))]
    path = write_lines(tmp_path / "a.jsonl", lines)
    found = []
    for size in (800, 2500, 1 << 20):
        with Warehouse.open(tmp_path / f"{size}.duckdb") as warehouse:
            counts = ingest(warehouse, path, slice_bytes=size)
            batches = one(
                warehouse,
                "SELECT count(*) AS n, sum(records_read) AS read, sum(stored) AS stored, max(to_offset) AS till FROM batches",
            )
            assert (batches["read"], batches["stored"], batches["till"]) == (
                counts.read,
                counts.stored,
                path.stat().st_size,
            )
            found.append((counts, contents(warehouse)))
    assert found[0] == found[1] == found[2]


def test_the_ledger_knows_file_and_source(tmp_path, warehouse):
    path = write_lines(tmp_path / "a.jsonl", MIXED)
    ingest(warehouse, path, source="phone", live=True)
    batch, file, source = (one(warehouse, f"SELECT * FROM {table}") for table in ("batches", "files", "sources"))
    assert (batch["source"], batch["path"], batch["first_ts"]) == (
        "phone",
        str(path),
        one(warehouse, "SELECT min(ts) AS t FROM interactions")["t"].replace(minute=0),
    )
    assert (file["next_offset"], file["next_line"], file["done"], file["file_key"]) == (
        path.stat().st_size,
        10,
        True,
        batch["file_key"],
    )
    assert (source["source"], source["live"], source["last_ts"]) == ("phone", True, batch["last_ts"])


def test_touched_minutes_cover_records_and_the_starts_of_their_conversations(tmp_path, warehouse):
    ingest(warehouse, write_lines(tmp_path / "a.jsonl", [interaction(1, "c1", 0), interaction(2, "c1", 30)]))
    first = rows(warehouse, "SELECT DISTINCT minute FROM touched_minutes ORDER BY minute")
    assert first == [(naive(0),), (naive(30),)]
    ingest(warehouse, write_lines(tmp_path / "b.jsonl", [feedback(1, "c1", 90, csat=1)]))
    second = rows(warehouse, "SELECT DISTINCT minute FROM touched_minutes WHERE batch_id = 2 ORDER BY minute")
    assert second == [(naive(0),), (naive(90),)]


def line_strategy():
    """Lines good, bad, repeated and half good; from few ids, so that they meet."""
    number, conversation = st.integers(1, 4), st.sampled_from(["c1", "c2"])
    good = st.builds(
        interaction,
        number,
        conversation,
        st.integers(0, 5),
        csat=st.sampled_from([None, 1, 5, 9]),
        arm=st.sampled_from(["assistant", "baseline", None, "blue"]),
    )
    other = st.builds(feedback, number, conversation, st.integers(0, 5), csat=st.sampled_from([1, 5, "5"]))
    shown = st.builds(
        exposure, number, conversation, st.integers(0, 5), variant=st.sampled_from(["assistant", "baseline"])
    )
    torn = st.builds(lambda record, cut: dumps(record)[:cut], good, st.integers(0, 60))
    free = st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["interaction_id", "record", "turn", "x"]), inner, max_size=3)
        ),
        max_leaves=4,
    )
    return st.one_of(
        good.map(dumps),
        other.map(dumps),
        shown.map(dumps),
        torn,
        st.binary(max_size=20),
        free.map(lambda value: json.dumps(value).encode()),
    )


@given(st.lists(line_strategy(), max_size=14), st.randoms(use_true_random=False))
@example([BYTE_ORDER_MARK], random.Random(1))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_in_adds_up_and_comes_in_once(tmp_path, warehouse, lines, rng):
    _clear(warehouse)
    lines = [line.replace(b"\n", b" ").replace(b"\r", b" ") for line in lines]
    path = write_lines(tmp_path / "fuzz.jsonl", lines)
    if path.stat().st_size == 0:
        return
    counts = ingest(warehouse, path, slice_bytes=rng.choice([600, 1 << 20]))
    stored = sum(
        rows(warehouse, f"SELECT count(*) FROM {table}")[0][0] for table in ("interactions", "feedback", "exposures")
    )
    lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)  # at the start of a file it says nothing
    assert counts.read == sum(1 for line in lines if line.strip())
    assert counts.read == counts.stored + counts.duplicates + counts.quarantined
    assert counts.stored == stored
    assert rows(warehouse, "SELECT count(*) FROM quarantine") == [(counts.quarantined,)]
    before = contents(warehouse)
    again = ingest(warehouse, path)
    assert again.stored == 0
    assert again.read == counts.read
    assert contents(warehouse) == before


def _clear(warehouse):
    cursor = warehouse.cursor()
    for table in (*FACT_TABLES, "batches", "files", "sources", "touched_minutes"):
        cursor.execute(f"DELETE FROM {table}")
    cursor.close()


def test_the_order_of_lines_does_not_matter(tmp_path, warehouse):
    rng = random.Random(3)
    lines = [*MIXED]
    lines += [
        interaction(
            100 + number,
            f"k{number % 9}",
            rng.randrange(500),
            turn=rng.randrange(4),
            csat=rng.choice([None, 1, 2, 5]),
            escalated=rng.random() < 0.3,
            resolved=rng.choice([None, True, False]),
            segment=rng.choice(["a", "b"]),
            user_id=f"u{number % 9 % 4}",
            workflow=rng.choice([None, "w1", "w2"]),
            safety_route=rng.choice([None, "fraud", "legal"]),
            tokens_in=3,
            cost_usd=0.25,
        )
        for number in range(60)
    ]
    lines += [
        feedback(
            50 + number, f"k{number}", rng.randrange(500), csat=rng.choice([1, 3]), resolved=rng.choice([None, True])
        )
        for number in range(9)
    ]
    lines += [
        exposure(50 + number, f"k{number}", rng.randrange(500), user_id=f"u{number % 4}", release=f"r{number}")
        for number in range(0, 9, 2)
    ]
    expected = None
    for turn in range(3):
        _clear(warehouse)
        shuffled = [*lines, *lines[:20]]
        rng.shuffle(shuffled)
        counts = ingest(
            warehouse, write_lines(tmp_path / f"{turn}.jsonl", shuffled), slice_bytes=(1 << 20, 6000, 2500)[turn]
        )
        assert counts == IngestCounts(len(lines) + 20, len(lines), 20, 0)
        expected = expected or contents(warehouse)
        assert contents(warehouse) == expected
