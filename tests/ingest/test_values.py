"""Cells of tables -> values of the landing schema."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from controlplane.ingest.schema import INTERACTION, FieldType
from controlplane.ingest.values import canonical, from_text, plain, typed_record


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        ("", FieldType.NUMBER, None),
        ("12", FieldType.COUNT, 12),
        ("12.0", FieldType.COUNT, 12),
        ("1e3", FieldType.NUMBER, 1000),
        ("0.5", FieldType.NUMBER, 0.5),
        ("fast", FieldType.NUMBER, "fast"),
        ("nan", FieldType.NUMBER, "nan"),
        ("1_000", FieldType.NUMBER, "1_000"),
        ("True", FieldType.FLAG, True),
        ("0", FieldType.FLAG, False),
        ("maybe", FieldType.FLAG, "maybe"),
        ('{"a": 1}', FieldType.OBJECT, {"a": 1}),
        ("{'a': 1}", FieldType.OBJECT, "{'a': 1}"),
        ("NaN", FieldType.ANY, "NaN"),
        ("[" * 100_000, FieldType.ANY, "[" * 100_000),
        ("00123", FieldType.TEXT, "00123"),
    ],
)
def test_a_csv_cell_is_read_as_the_schema_wants(text, wanted, value):
    assert from_text(text, wanted) == value


def test_a_typed_cell_keeps_its_type_and_nan_means_missing():
    row = {
        "n": float("nan"),
        "i": float("inf"),
        "t": datetime(2026, 1, 1, tzinfo=UTC),
        "d": date(2026, 1, 1),
        "s": timedelta(seconds=3),
        "c": Decimal("1.5"),
        "b": b"\xffx",
        "l": [1, (2, None)],
        "o": object,
    }
    made = plain(row)
    assert made.pop("o").startswith("<class")
    assert made == {
        "n": None,
        "i": None,
        "t": "2026-01-01T00:00:00+00:00",
        "d": "2026-01-01",
        "s": 3.0,
        "c": 1.5,
        "b": "\\xffx",
        "l": [1, [2, None]],
    }


def test_the_canonical_row_does_not_depend_on_the_order_of_columns():
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'


def test_a_record_of_text_cells():
    made = typed_record(
        {"turn": "1", "escalated": "true", "user_id": "7", "other": "5", "extra": {"a": 1}}, INTERACTION
    )
    assert made == {"turn": 1, "escalated": True, "user_id": "7", "other": "5", "extra": {"a": 1}}
    assert json.dumps(made)
