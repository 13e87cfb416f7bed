"""The landing schema, version 1: every record type with its fields, types and ranges.

This is the documented contract of the formats that ingest accepts, and what `sql/staging/validate.sql` judges by.
`stage.sql` only sorts out what needs no judging; tests hold it to this schema field by field.

Rules
- A record is one JSON object a line; the key `record` names its type, absent means interaction.
- Unknown keys are kept, never rejected. A required field is present, not null and not the empty string.
- TEXT is a JSON string, or a number taken as its text (ids are often numbers). NUMBER, COUNT and FLAG are not read from
  strings: "12" is a wrong type. A FLAG is true, false, 1 or 0.
- TIME is ISO-8601; without an offset it means UTC. An interaction without `ts` is history: stored, in no block.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 1
ARMS = ("assistant", "baseline")
MAX_RECORD_BYTES = 256 * 1024
FUTURE_TOLERANCE = timedelta(minutes=5)
MAX_COUNT = 1_000_000_000
DEFAULT_RECORD = "interaction"


class FieldType(StrEnum):
    """What a field may hold."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    COUNT = "count"
    FLAG = "flag"
    OBJECT = "object"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `low` and `high` are inclusive bounds of a NUMBER, `choices` the allowed texts."""

    name: str
    type: FieldType
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    above_low: bool = False


@dataclass(frozen=True, slots=True)
class RecordType:
    """A kind of record: the table that stores it, the field that identifies it, its fields."""

    name: str
    table: str | None
    id_field: str | None
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """The field of that name. Raises KeyError when there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"record type {self.name} has no field {name}")

    def names(self) -> tuple[str, ...]:
        """Names of all fields, in documented order."""
        return tuple(field.name for field in self.fields)


def _texts(names: str, required: bool = False) -> tuple[Field, ...]:
    return tuple(Field(name, FieldType.TEXT, required) for name in names.split())


def _counts(names: str) -> tuple[Field, ...]:
    return tuple(Field(name, FieldType.COUNT, low=0, high=MAX_COUNT) for name in names.split())


_TS = Field("ts", FieldType.TIME, required=True)
_LATENCY = Field("latency_ms", FieldType.NUMBER, low=0, high=1e9)
_COST = Field("cost_usd", FieldType.NUMBER, low=0, high=1e6)
_CSAT = Field("csat", FieldType.NUMBER, low=1, high=5)
_TIMED_OUT = Field("timed_out", FieldType.FLAG)
_RESOLVED = Field("resolved", FieldType.FLAG)

INTERACTION = RecordType(
    "interaction",
    "interactions",
    "interaction_id",
    (
        *_texts("interaction_id conversation_id", required=True),
        Field("turn", FieldType.COUNT, required=True, low=0, high=MAX_COUNT),
        Field("ts", FieldType.TIME),
        *_texts("user_id segment region channel"),
        Field("arm", FieldType.TEXT, choices=ARMS),
        *_texts("phase release model agent_version intent_pred intent_true"),
        Field("intent_conf", FieldType.NUMBER, low=0, high=1),
        _LATENCY,
        *_counts("tokens_in tokens_cached tokens_out"),
        _COST,
        _CSAT,
        Field("escalated", FieldType.FLAG),
        *_texts("escalation_reason"),
        _RESOLVED,
        *_texts("error_type"),
        _TIMED_OUT,
        *_texts("safety_route workflow question answer"),
        Field("sources", FieldType.ANY),
        Field("extra", FieldType.OBJECT),
    ),
)

EXPOSURE = RecordType(
    "exposure",
    "exposures",
    "exposure_id",
    (
        *_texts("exposure_id", required=True),
        _TS,
        *_texts("conversation_id", required=True),
        *_texts("user_id flag_key"),
        Field("variant", FieldType.TEXT, required=True, choices=ARMS),
        *_texts("reason"),
        *_counts("flag_version"),
        *_texts("rollout_id release phase"),
        Field("share", FieldType.NUMBER, low=0, high=1),
        Field("eligible", FieldType.FLAG),
        *_texts("ineligible_reason segment region channel intent_first"),
    ),
)

MODEL_CALL = RecordType(
    "model_call",
    "model_calls",
    "call_id",
    (
        *_texts("call_id", required=True),
        _TS,
        *_texts("interaction_id conversation_id operation provider model"),
        _LATENCY,
        *_counts("tokens_in tokens_cached tokens_out"),
        _COST,
        *_texts("error_type"),
        _TIMED_OUT,
    ),
)

DEPENDENCY_CALL = RecordType(
    "dependency_call",
    "dependency_calls",
    "call_id",
    (
        *_texts("call_id", required=True),
        _TS,
        *_texts("interaction_id conversation_id dependency"),
        _LATENCY,
        *_texts("error_type"),
        _TIMED_OUT,
    ),
)

WORKFLOW_RUN = RecordType(
    "workflow_run",
    "workflow_runs",
    "run_id",
    (
        *_texts("run_id", required=True),
        _TS,
        *_texts("interaction_id conversation_id"),
        *_texts("workflow", required=True),
        Field(
            "status",
            FieldType.TEXT,
            required=True,
            choices=("started", "completed", "failed", "refused", "compensated"),
        ),
        *_texts("idempotency_key error_type"),
        Field("slots", FieldType.OBJECT),
    ),
)

FEEDBACK = RecordType(
    "feedback",
    "feedback",
    "feedback_id",
    (
        *_texts("feedback_id", required=True),
        _TS,
        *_texts("conversation_id", required=True),
        _CSAT,
        _RESOLVED,
        *_texts("comment"),
    ),
)

EVALUATION = RecordType(
    "evaluation",
    "evaluations",
    "evaluation_id",
    (
        *_texts("evaluation_id", required=True),
        _TS,
        *_texts("interaction_id conversation_id"),
        *_texts("name", required=True),
        Field("score", FieldType.NUMBER, low=0, high=1),
        *_texts("label evaluator"),
        Field("sampling_rate", FieldType.NUMBER, low=0, high=1, above_low=True),
    ),
)

HEARTBEAT = RecordType("heartbeat", None, None, (_TS, *_texts("source", required=True), *_texts("status")))

RECORDS: dict[str, RecordType] = {
    record.name: record
    for record in (
        INTERACTION,
        EXPOSURE,
        MODEL_CALL,
        DEPENDENCY_CALL,
        WORKFLOW_RUN,
        FEEDBACK,
        EVALUATION,
        HEARTBEAT,
    )
}

# Fields whose text people wrote; the only ones that masking may change.
CONTENT_FIELDS = ("question", "answer", "comment", "escalation_reason", "sources", "extra", "slots")


def schema_columns() -> dict[str, list[Any]]:
    """The schema as columns of equal length, one entry a field: kind, ordinal, field, type, required, low, high,
    above_low, choices."""
    columns: dict[str, list[Any]] = {}
    for record in RECORDS.values():
        for ordinal, field in enumerate(record.fields):
            row = {"kind": record.name, "ordinal": ordinal, "field": field.name, "type": field.type.value}
            row |= {"required": field.required, "low": field.low, "high": field.high}
            row |= {"above_low": field.above_low, "choices": list(field.choices)}
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
    return columns
