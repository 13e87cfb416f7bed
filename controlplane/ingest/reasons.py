"""Why a row goes to quarantine. One reason a row: the first that is found, in this order of checks."""

from enum import StrEnum


class Reason(StrEnum):
    """Stored in `quarantine.reason`; EXPLANATIONS has the words for people."""

    TORN_LINE = "torn_line"
    INVALID_UTF8 = "invalid_utf8"
    OVERSIZED = "oversized"
    NOT_JSON = "not_json"
    UNREADABLE_ROW = "unreadable_row"
    UNMAPPED = "unmapped"
    UNKNOWN_RECORD = "unknown_record"
    REPEATED_KEY = "repeated_key"
    WRONG_TYPE = "wrong_type"
    MISSING_REQUIRED = "missing_required"
    IMPOSSIBLE_VALUE = "impossible_value"
    UNKNOWN_ARM = "unknown_arm"
    FUTURE_TIME = "future_time"
    CHANGED_DUPLICATE = "changed_duplicate"
    CONTRADICTS_CONVERSATION = "contradicts_conversation"


EXPLANATIONS: dict[Reason, str] = {
    Reason.TORN_LINE: "the writer died in the middle of this line; it was never acknowledged",
    Reason.INVALID_UTF8: "the line is not UTF-8",
    Reason.OVERSIZED: "the record is larger than 256 KiB",
    Reason.NOT_JSON: "the line is not one JSON object",
    Reason.UNREADABLE_ROW: "the row does not have the columns of the header",
    Reason.UNMAPPED: "the column map can't be applied to the row",
    Reason.UNKNOWN_RECORD: "`record` names no known record type",
    Reason.REPEATED_KEY: "the record gives one key twice",
    Reason.WRONG_TYPE: "the field has the wrong type",
    Reason.MISSING_REQUIRED: "the required field is missing, null or empty",
    Reason.IMPOSSIBLE_VALUE: "the value is outside the field's range",
    Reason.UNKNOWN_ARM: "the arm is neither `assistant` nor `baseline`",
    Reason.FUTURE_TIME: "the time is more than 5 minutes ahead of the clock",
    Reason.CHANGED_DUPLICATE: "a record with this id and other content came before",
    Reason.CONTRADICTS_CONVERSATION: "the conversation already has another arm or customer",
}


def explain(reason: Reason, field: str | None) -> str:
    """One sentence for a person, with the field where there is one."""
    text = EXPLANATIONS[reason]
    return f"{text}: {field}" if field and field not in ("arm", "variant", "record", "ts") else text
