"""The landing schema agrees with itself, with the tables and with the SQL that decodes it."""

import re

import pytest

from controlplane.ingest.reasons import EXPLANATIONS, Reason, explain
from controlplane.ingest.schema import CONTENT_FIELDS, INTERACTION, RECORDS, FieldType, schema_columns
from controlplane.store.queries import load

FLAT_RECORD_V1 = (
    "interaction_id conversation_id turn ts user_id segment region channel arm phase release model agent_version intent_pred"
    " intent_true intent_conf latency_ms tokens_in tokens_cached tokens_out cost_usd csat escalated escalation_reason resolved"
    " error_type timed_out safety_route workflow question answer sources extra"
)


def test_the_flat_record_has_exactly_its_documented_fields():
    assert " ".join(INTERACTION.names()) == FLAT_RECORD_V1


@pytest.mark.parametrize(
    "record", [record for record in RECORDS.values() if record.table], ids=lambda record: record.name
)
def test_every_field_has_its_column(record):
    ddl = load("migrations/001_facts")
    body = re.search(rf"CREATE TABLE {record.table} \((.*?)\n\);", ddl, re.DOTALL)
    assert body
    columns = re.findall(r"(?:^|,)\s*([a-z_]+) [A-Z]", body.group(1), re.MULTILINE)
    assert columns == [*record.names(), "id_hash", "raw_hash", "batch_id", "line"]
    assert record.names()[0] == record.id_field


def test_the_decoder_knows_every_field_with_a_fitting_type():
    decoded = dict(re.findall(r'"(\w+)": "(VARCHAR|JSON)"', load("staging/stage")))
    expected = {"record": "VARCHAR"}
    for record in RECORDS.values():
        for field in record.fields:
            raw = "VARCHAR" if field.type in (FieldType.TEXT, FieldType.TIME) else "JSON"
            assert expected.setdefault(field.name, raw) == raw, f"{field.name} differs between record types"
    assert decoded == expected


def test_columns_are_of_equal_length():
    columns = schema_columns()
    assert {len(values) for values in columns.values()} == {sum(len(record.fields) for record in RECORDS.values())}


def test_content_fields_exist():
    known = {name for record in RECORDS.values() for name in record.names()}
    assert set(CONTENT_FIELDS) <= known


def test_an_unknown_field_is_named():
    with pytest.raises(KeyError, match="interaction has no field nope"):
        INTERACTION.field("nope")
    assert INTERACTION.field("csat").high == 5


def test_every_reason_is_explained():
    assert set(EXPLANATIONS) == set(Reason)
    assert explain(Reason.WRONG_TYPE, "csat") == "the field has the wrong type: csat"
    assert explain(Reason.UNKNOWN_ARM, "arm") == "the arm is neither `assistant` nor `baseline`"
