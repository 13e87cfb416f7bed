"""Every kind of bad row goes to quarantine with its line, reason and field, and nothing else is harmed."""

import json
from datetime import timedelta

import pytest

from controlplane.core.masking import mask
from controlplane.ingest.schema import MAX_RECORD_BYTES, RECORDS, FieldType
from controlplane.store.facts import IngestCounts
from controlplane.store.warehouse import Warehouse
from tests.store.facts_world import NOW, dumps, exposure, feedback, ingest, interaction, moment, one, rows, write_lines

VALID = {
    "interaction": interaction(1, "valid"),
    "exposure": exposure(1, "valid"),
    "model_call": {"record": "model_call", "call_id": "m1", "ts": moment(0)},
    "dependency_call": {"record": "dependency_call", "call_id": "d1", "ts": moment(0)},
    "workflow_run": {"record": "workflow_run", "run_id": "r1", "ts": moment(0), "workflow": "w", "status": "completed"},
    "feedback": feedback(1, "valid"),
    "evaluation": {"record": "evaluation", "evaluation_id": "v1", "ts": moment(0), "name": "groundedness"},
    "heartbeat": {"record": "heartbeat", "ts": moment(0), "source": "s"},
}
NAN, INFINITE = float("nan"), float("inf")
WRONG = {
    FieldType.TEXT: [{}, [], True, {"a": 1}, ["x"]],
    FieldType.TIME: [5, True, {}, "yesterday", "2026-13-01", "infinity", "2026-01-01T00:00:00 Europe/Berlin"],
    FieldType.NUMBER: ["5", "fast", True, [], {}],
    FieldType.COUNT: ["5", "fast", False, [], {}],
    FieldType.FLAG: ["true", "yes", 2, [], {}],
    FieldType.OBJECT: [[1], "text", 5, True],
    FieldType.ANY: [],
}


def expected_problems(record):
    """Every way one field can be wrong -> (field, value, reason), from the schema alone."""
    for field in record.fields:
        for value in WRONG[field.type]:
            yield field.name, value, "wrong_type"
        if field.required:
            missing = [None] if field.type in (FieldType.COUNT, FieldType.TIME) else [None, ""]
            yield from ((field.name, value, "missing_required") for value in missing)
        if field.low is not None:
            outside = [field.low - 1, field.high + 1, NAN, INFINITE, -1e308]
            outside += [field.low] if field.above_low else []
            outside += [1.5] if field.type is FieldType.COUNT else []
            yield from ((field.name, value, "impossible_value") for value in outside)
        if field.choices:
            reason = "unknown_arm" if field.name in ("arm", "variant") else "impossible_value"
            yield from ((field.name, value, reason) for value in ("blue", 5))
        if field.type is FieldType.TIME:
            yield field.name, "1999-12-31T23:59:59Z", "impossible_value"
            yield field.name, (NOW + timedelta(minutes=5, seconds=1)).isoformat(), "future_time"


@pytest.mark.parametrize("kind", RECORDS)
def test_every_field_of_every_record_type_is_held_to_the_schema(tmp_path, kind):
    record = RECORDS[kind]
    problems = list(expected_problems(record))
    lines = []
    for number, (name, value, _) in enumerate(problems):
        spoiled = dict(VALID[kind])
        if record.id_field:
            spoiled[record.id_field] = f"bad-{number}"
        lines.append(json.dumps({**spoiled, name: value}))
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        counts = ingest(warehouse, write_lines(tmp_path / "bad.jsonl", [*lines, VALID[kind]]))
        found = rows(warehouse, "SELECT line, reason, field, record FROM quarantine ORDER BY line")
        assert [(line, reason, name) for line, reason, name, _ in found] == [
            (line, reason, name) for line, (name, _, reason) in enumerate(problems, start=1)
        ]
        assert {kind for *_, kind in found} == {kind}
        heartbeat = kind == "heartbeat"
        assert counts == IngestCounts(len(lines) + (not heartbeat), int(not heartbeat), 0, len(lines))


ACCEPTED = {
    "bounds": {"intent_conf": 1, "csat": 5, "latency_ms": 0, "tokens_in": 0, "cost_usd": 0},
    "integral float": {"turn": 3.0, "tokens_out": 12.0},
    "flags as 0 and 1": {"escalated": 1, "resolved": 0},
    "numbers as ids": {"user_id": 17, "release": 2},
    "nulls": {"arm": None, "csat": None, "extra": None, "sources": None, "question": None, "user_id": None},
    "texts that look like JSON": {"question": "[1] {x}", "answer": "true", "workflow": "{}", "segment": "false"},
    "sources of any shape": {"sources": {"a": [1]}},
    "a little ahead of the clock": {"ts": (NOW + timedelta(minutes=5)).isoformat()},
    "other letters": {"question": "Привет", "answer": "你好"},
}


@pytest.mark.parametrize("fields", ACCEPTED.values(), ids=ACCEPTED)
def test_unusual_but_right_records_are_stored(tmp_path, fields):
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        line = json.dumps({**interaction(1), **fields})
        assert ingest(warehouse, write_lines(tmp_path / "a.jsonl", [line])) == IngestCounts(1, 1, 0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-30T10:00:00", "2026-04-30 10:00:00"),
        ("2026-04-30 10:00:00", "2026-04-30 10:00:00"),
        ("2026-04-30T10:00:00Z", "2026-04-30 10:00:00"),
        ("2026-04-30T12:00:00+02:00", "2026-04-30 10:00:00"),
        ("2026-04-30T04:30:00-0530", "2026-04-30 10:00:00"),
        ("2026-04-30T10:00:00.1234567Z", "2026-04-30 10:00:00.123456"),
        ("2026-04-30T10:00Z", "2026-04-30 10:00:00"),
        ("2026-04-30", "2026-04-30 00:00:00"),
    ],
)
def test_times_as_they_are_met(tmp_path, text, expected):
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        ingest(warehouse, write_lines(tmp_path / "a.jsonl", [interaction(1, ts=text)]))
        assert rows(warehouse, "SELECT CAST(ts AS VARCHAR) FROM interactions") == [(expected,)]


def test_lines_that_are_no_records(tmp_path):
    big = interaction(2, question="x" * MAX_RECORD_BYTES)
    lines = [
        b'{"interaction_id": "torn", "conv',
        b"not json",
        b"[1, 2]",
        b"5",
        b"null",
        dumps(big),
        b'{"interaction_id": "\xff\xfe"}',
        dumps({**interaction(3), "record": "unheard_of"}),
        dumps(interaction(4))[:-1] + b', "arm": "baseline"}',
        b"{" * 5000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"\x00",
        b"",
        b"   \t",
        dumps(interaction(1)),
    ]
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        counts = ingest(warehouse, write_lines(tmp_path / "a.jsonl", lines))
        assert counts == IngestCounts(13, 1, 0, 12)
        found = rows(warehouse, "SELECT line, reason FROM quarantine ORDER BY line")
    assert found == [
        (1, "not_json"),
        (2, "not_json"),
        (3, "not_json"),
        (4, "not_json"),
        (5, "not_json"),
        (6, "oversized"),
        (7, "invalid_utf8"),
        (8, "unknown_record"),
        (9, "repeated_key"),
        (10, "not_json"),
        (11, "missing_required"),
        (12, "not_json"),
    ]


def test_a_last_line_without_line_end_is_read_and_a_torn_one_named(tmp_path):
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    whole.write_bytes(b"\xef\xbb\xbf" + dumps(interaction(1)) + b"\r\n" + dumps(interaction(2)))
    torn.write_bytes(dumps(interaction(3)) + b"\n" + dumps(interaction(4))[:-5])
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        assert ingest(warehouse, whole) == IngestCounts(2, 2, 0, 0)
        assert ingest(warehouse, torn) == IngestCounts(2, 1, 0, 1)
        assert rows(warehouse, "SELECT line, reason FROM quarantine") == [(2, "torn_line")]


def test_a_line_longer_than_a_slice_is_passed_over(tmp_path):
    lines = [interaction(1), b'{"x": "' + b"y" * 3 * MAX_RECORD_BYTES + b'"}', interaction(2)]
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        path = write_lines(tmp_path / "a.jsonl", lines)
        assert ingest(warehouse, path, slice_bytes=4096) == IngestCounts(3, 2, 0, 1)
        assert rows(warehouse, "SELECT line, reason, length(raw) FROM quarantine") == [(2, "oversized", 4096)]
        assert rows(warehouse, "SELECT line FROM interactions ORDER BY line") == [(1,), (3,)]
        assert rows(warehouse, "SELECT max(to_offset) FROM batches") == [(path.stat().st_size,)]
        assert ingest(warehouse, path) == IngestCounts(3, 0, 2, 1)


def test_the_quarantine_shows_file_reason_and_masked_text(tmp_path):
    record = interaction(1, csat=9, question="mail jane@mail.example")
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        path = write_lines(tmp_path / "a.jsonl", [record, "torn jane@mail.example {"])
        ingest(warehouse, path)
        found = one(warehouse, "SELECT * FROM quarantine WHERE line = 1")
        assert found["path"] == str(path)
        assert found["detail"] == "the value is outside the field's range: csat"
        assert json.loads(found["raw"]) == {**record, "question": "mail [email]"}
        assert one(warehouse, "SELECT raw FROM quarantine WHERE line = 2") == {"raw": mask("torn jane@mail.example {")}


def test_content_is_masked_and_ids_times_and_numbers_are_not(tmp_path):
    card = "4111111111111111"
    record = interaction(
        1,
        card,
        question=f"my card {card}",
        answer="write to a@b.co",
        escalation_reason="call +44 20 7946 0958",
        sources=["a@b.co"],
        extra={"password": "hunter2", "n": 4111111111111111},
    )
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        ingest(warehouse, write_lines(tmp_path / "a.jsonl", [record, feedback(1, card, comment="a@b.co")]))
        found = one(warehouse, "SELECT * FROM interactions")
        assert found["conversation_id"] == card
        assert (found["question"], found["answer"]) == ("my card [card]", "write to [email]")
        assert found["escalation_reason"] == "call [phone]"
        assert json.loads(found["sources"]) == ["[email]"]
        assert json.loads(found["extra"]) == {"password": "[secret]", "n": 4111111111111111}
        assert rows(warehouse, "SELECT comment FROM feedback") == [("[email]",)]


def test_unknown_keys_are_kept(tmp_path):
    lines = [
        interaction(1, extra={"a": 1, "both": "nested"}, beta={"x": None}, both="outer"),
        interaction(2, label="good", score="not a number here"),
        exposure(1, "c1", colour="red"),
    ]
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        assert ingest(warehouse, write_lines(tmp_path / "a.jsonl", lines)) == IngestCounts(3, 3, 0, 0)
        extras = [json.loads(row[0]) for row in rows(warehouse, "SELECT extra FROM interactions ORDER BY turn")]
        assert rows(warehouse, "SELECT extra ->> 'both' FROM interactions WHERE turn = 1") == [("nested",)]
        assert (extras[0]["a"], extras[0]["beta"]) == (1, {"x": None})
        assert extras[1] == {"label": "good", "score": "not a number here"}
        assert rows(warehouse, "SELECT record, extra FROM extra_fields") == [("exposure", '{"colour":"red"}')]
