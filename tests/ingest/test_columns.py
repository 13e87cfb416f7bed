"""Column maps: every key known or named, every field from one place, conversations to turns."""

import pytest

from controlplane.ingest.columns import ColumnMapError, UnmappedRow, find, parse_map
from controlplane.ingest.conversations import interactions

ROWS = """
version = 1
[fields]
interaction_id = { template = "{session.id}-{n}" }
conversation_id = "session.id"
turn = "n"
arm = { from = "group", values = { treatment = "assistant", control = "baseline" } }
resolved = { from = "ok", values = { "1" = true, "0.5" = false } }
[constants]
channel = "chat"
"""

CONVERSATIONS = """
version = 1
extra = ["task"]
[fields]
conversation_id = "id"
resolved = { from = "reward", values = { "1.0" = true, "0.0" = false } }
cost_usd = "cost"
[constants]
arm = "assistant"
[messages]
at = "log.messages"
escalation_tools = ["handover"]
"""


def test_rows_are_renamed_translated_and_the_rest_is_kept():
    columns = parse_map(ROWS, "map.toml")
    record = columns.apply(
        {"session": {"id": "s1"}, "n": 2, "group": "treatment", "ok": 1, "note": "x", "nothing": None}
    )
    assert record == {
        "interaction_id": "s1-2",
        "conversation_id": "s1",
        "turn": 2,
        "arm": "assistant",
        "resolved": True,
        "channel": "chat",
        "extra": {"note": "x"},
    }


def test_an_unknown_value_stays_for_the_checks():
    assert parse_map(ROWS, "m").apply({"session": {"id": "s"}, "n": 1, "group": "blue"})["arm"] == "blue"


def test_a_template_needs_all_its_parts():
    with pytest.raises(UnmappedRow, match=r"interaction_id: the row has no session\.id"):
        parse_map(ROWS, "m").apply({"n": 1})


def test_paths_go_into_objects_arrays_and_json_texts():
    row = {"a": {"b": [{"c": 5}]}, "a.b": "whole name", "text": '{"x": [1, 2]}', "broken": "{x"}
    assert find(row, "a.b.0.c") == 5
    assert find(row, "a.b") == "whole name"
    assert find(row, "text.x.1") == 2
    assert find(row, "broken.x") is None
    assert find(row, "a.z.0") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("version = 2", "version must be 1"),
        ("nonsense = 1", "unknown key nonsense"),
        ("record = 'nope'", "record 'nope' is unknown"),
        ("record = 'heartbeat'", "record 'heartbeat' is unknown"),
        ("extra = 'all'", 'extra must be "rest" or a list'),
        ("constants = 3", "constants must be a table"),
    ],
)
def test_wrong_keys_are_named(change, message):
    text = ROWS.replace("version = 1", change if "version" in change else f"version = 1\n{change}")
    if change.startswith("constants"):
        text = text.split("[constants]")[0]
    with pytest.raises(ColumnMapError, match=f"map.toml: {message}"):
        parse_map(text, "map.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('blue = "x"', "interaction has no field blue"),
        ("phase = 3", "must be a column name or a table"),
        ("phase = { from = 'a', template = 'b' }", "either `from` or `template`"),
        ("phase = { values = {} }", "either `from` or `template`"),
        ("phase = { from = 'a', else = 'b' }", r"unknown key fields\.phase\.else"),
        ("phase = { from = 3 }", "are texts"),
        ('channel = "c"', "channel is both a field and a constant"),
    ],
)
def test_wrong_fields_are_named(line, message):
    with pytest.raises(ColumnMapError, match=message):
        parse_map(ROWS.replace("[fields]", f"[fields]\n{line}"), "map.toml")


def test_required_fields_need_a_source():
    with pytest.raises(ColumnMapError, match="required field turn has no source"):
        parse_map(ROWS.replace('turn = "n"\n', ""), "map.toml")


def test_not_toml():
    with pytest.raises(ColumnMapError, match=r"map\.toml: not valid TOML.*line 1"):
        parse_map("version == 1", "map.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('at = "log.messages"', "", "messages.at must name"),
        ('["handover"]', '"handover"', "must be a list of tool names"),
        ('conversation_id = "id"', 'conversation_id = "id"\nturn = "n"', "turn comes from the messages"),
        ("version = 1", 'version = 1\nrecord = "feedback"', "messages become interactions"),
    ],
)
def test_wrong_conversation_maps_are_named(old, new, message):
    text = CONVERSATIONS.replace(old, new)
    if "feedback" in new:
        text = text.replace("cost_usd", "csat").replace(
            '[constants]\narm = "assistant"', '[constants]\nts = "t"\nfeedback_id = "f"'
        )
    with pytest.raises(ColumnMapError, match=message):
        parse_map(text, "map.toml")


def row(*messages, **fields):
    return {"id": "c1", "reward": 1.0, "cost": 0.02, "task": 3, "log": {"messages": list(messages)}, **fields}


def say(role, content=None, *tools, **fields):
    calls = [{"type": "function", "function": {"name": name, "arguments": '{"a": 1}'}} for name in tools]
    return {"role": role, "content": content, **({"tool_calls": calls} if calls else {}), **fields}


def test_a_turn_is_a_user_message_and_what_follows():
    messages = [
        say("system", "policy"),
        say("assistant", "Hello"),
        say("user", "refund?"),
        say("assistant", None, "look_up"),
        say("tool", "result"),
        say("assistant", [{"type": "text", "text": "Done."}]),
        say("user", "a person!"),
        say("assistant", "", "handover"),
    ]
    first, second = interactions(row(*messages), parse_map(CONVERSATIONS, "m"))
    assert first == {
        "interaction_id": "c1-1",
        "turn": 1,
        "conversation_id": "c1",
        "arm": "assistant",
        "question": "refund?",
        "answer": "Hello\nDone.",
        "escalated": False,
        "extra": {"task": 3, "tool_calls": [{"name": "look_up", "arguments": {"a": 1}}]},
    }
    assert second["escalated"]
    assert second["escalation_reason"] == "handover"
    assert (second["resolved"], second["cost_usd"]) == (True, 0.02)
    assert "answer" not in second


def test_odd_messages():
    columns = parse_map(CONVERSATIONS, "m")
    only_greeting = interactions(row(say("assistant", "Hello"), "junk", {"role": "critic"}), columns)
    assert [(turn["turn"], turn["answer"]) for turn in only_greeting] == [(1, "Hello")]
    twice = interactions(row(say("user", "a"), say("user", "b")), columns)
    assert [turn["question"] for turn in twice] == ["a", "b"]
    old = interactions(
        row(say("user", "a"), {"role": "assistant", "function_call": {"name": "f", "arguments": "{x"}}), columns
    )
    assert old[0]["extra"]["tool_calls"] == [{"name": "f", "arguments": "{x"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "conversation_id: the row has none"),
        ({"log": {"messages": "none"}}, r"no array at log\.messages"),
        ({"log": {"messages": []}}, "nobody speaks"),
    ],
)
def test_rows_that_are_no_conversation(change, message):
    with pytest.raises(UnmappedRow, match=message):
        interactions(row(say("user", "a"), **change), parse_map(CONVERSATIONS, "m"))


def test_a_map_without_messages_makes_no_conversation():
    with pytest.raises(UnmappedRow, match="does not say where"):
        interactions({}, parse_map(ROWS, "m"))
