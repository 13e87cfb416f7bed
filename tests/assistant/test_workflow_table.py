"""Workflow files: what ships is sound, and a mistake is named with file and line."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources

import pytest

from controlplane.assistant.model import PendingWorkflow, SafetyRoute
from controlplane.assistant.workflow_states import (
    STATUS,
    TRANSITIONS,
    Event,
    IllegalTransition,
    Phase,
    after,
    diagram,
    phase_of,
)
from controlplane.assistant.workflow_table import (
    WORKFLOWS,
    WorkflowError,
    digest,
    load_workflows,
    parse_workflow,
    table,
)

GOOD = """title = "A copy"
intent = "statement_copy"
confirm = "Send {month}?"
done = "Sent {month}, {reference}."

[[slots]]
name = "month"
reader = "month"
question = "Which month?"

[[steps]]
name = "order"
operation = "order_statement"
"""


def test_the_workflows_that_ship() -> None:
    names = {workflow.name for workflow in WORKFLOWS}
    assert names >= {"card_block_and_replace", "refund_status", "dispute_intake", "address_change", "statement_copy"}
    assert load_workflows() is WORKFLOWS
    for workflow in WORKFLOWS:
        assert workflow.read_only == (not workflow.confirm)
        assert all(slot.question or not slot.ask for slot in workflow.slots)
    by_name = {workflow.name: workflow for workflow in WORKFLOWS}
    assert by_name["dispute_intake"].after_route is SafetyRoute.FINANCIAL_DISPUTE
    assert by_name["refund_status"].read_only


def test_a_workflow_is_read() -> None:
    workflow = parse_workflow("copy", GOOD, "copy.toml")
    assert (workflow.name, workflow.intent, workflow.read_only) == ("copy", "statement_copy", False)
    assert [slot.name for slot in workflow.slots] == ["month"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'title = "A copy"',
            'title = "A copy"\ncolour = "red"',
            r"copy.toml:2: unknown key 'colour'; known are after_route",
        ),
        ('title = "A copy"\n', "", r"copy.toml:1: title must be given"),
        ('reader = "month"', 'reader = "moon"', r"copy.toml:8: unknown reader 'moon'; known are address, amount"),
        ("order_statement", "rob_bank", r"copy.toml:13: unknown operation 'rob_bank'"),
        ("order_statement", "set_address", r"copy.toml:13: set_address needs address: add a slot or a look_up"),
        ("{month}?", "{year}?", r"copy.toml:3: \{year\} is filled by nothing; there is month"),
        ("Send {month}?", "Send {reference}?", r"copy.toml:3: \{reference\} is filled by nothing"),
        ("{month}?", "{month?", r"copy.toml:3: confirm has a stray brace"),
        ('confirm = "Send {month}?"\n', "", r"copy.toml:1: confirm must be given"),
        ('question = "Which month?"', "", r"copy.toml:6: question must be given"),
        (
            'question = "Which month?"',
            'question = "Which?"\nprivate = "yes"',
            r"copy.toml:10: private must be true or false",
        ),
        (
            'intent = "statement_copy"',
            'intent = "statement_copy"\ncue = "("',
            r"copy.toml:3: cue is not a regular expression",
        ),
        (
            'intent = "statement_copy"',
            'intent = "x"\nafter_route = "sport"',
            r"copy.toml:3: unknown safety route 'sport'",
        ),
        ('intent = "statement_copy"', 'intent = "x"\nlook_up = ["stars"]', r"copy.toml:3: unknown look-up 'stars'"),
        ('[[steps]]\nname = "order"\noperation = "order_statement"\n', "", r"copy.toml:3: a workflow without steps"),
        ('title = "A copy"', "title = ", r"copy.toml: not TOML"),
        (
            '[[slots]]\nname = "month"',
            '[[slots]]\nname="order"\nreader="date"\nquestion="?"\n[[slots]]\nname="order"',
            "slots has two",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_line(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(WorkflowError, match=message):
        parse_workflow("copy", GOOD.replace(old, new, 1), "copy.toml")


def test_a_run_can_only_go_where_the_table_says() -> None:
    for phase in Phase:
        for event in Event:
            if event in TRANSITIONS.get(phase, {}):
                assert after(phase, event) is TRANSITIONS[phase][event]
            else:
                with pytest.raises(IllegalTransition, match=f"that is {phase.value} cannot meet '{event.value}'"):
                    after(phase, event)


def test_every_phase_is_reached_and_ended_and_every_event_happens() -> None:
    reached = {Phase.NEW}
    while len(more := reached | {to for phase in reached for to in TRANSITIONS.get(phase, {}).values()}) > len(reached):
        reached = more
    assert reached == set(Phase)
    assert {event for events in TRANSITIONS.values() for event in events} == set(Event)
    assert set(STATUS) == set(Phase) - {Phase.NEW, Phase.EXECUTING}
    assert phase_of(PendingWorkflow("w", "k", {}, None)) is Phase.CONFIRMING
    assert phase_of(PendingWorkflow("w", "k", {}, "month")) is Phase.COLLECTING


def test_nothing_is_executed_without_a_yes_unless_it_only_reads() -> None:
    ways = {
        (phase, event) for phase, events in TRANSITIONS.items() for event, to in events.items() if to is Phase.EXECUTING
    }
    assert ways == {(Phase.CONFIRMING, Event.YES), (Phase.NEW, Event.ONLY_READS)}


def test_documents_are_drawn_from_the_tables() -> None:
    drawn = diagram()
    assert drawn.startswith("stateDiagram-v2")
    assert len(re.findall(r"^  \w+ --> \w+: ", drawn, re.MULTILINE)) == sum(map(len, TRANSITIONS.values()))
    rows = table().splitlines()
    assert len(rows) == len(WORKFLOWS) + 2
    assert any("set (undo), letters" in row for row in rows)


def test_the_digest_names_the_files_by_content() -> None:
    folder = resources.files("controlplane.assistant").joinpath("workflows")
    found = sorted(
        (page.name, page.read_text(encoding="utf-8")) for page in folder.iterdir() if page.name.endswith(".toml")
    )
    assert len(found) == len(WORKFLOWS)
    assert digest() == hashlib.sha256(json.dumps(found).encode()).hexdigest()
