"""Workflows: nothing without a yes, nothing twice, nothing while execution is off, and undone where half done."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant import Assistant, ConversationState, SqliteBank
from controlplane.assistant.model import EscalationReason, ReplyKind, WorkflowStatus
from controlplane.assistant.protocols import BankError, Receipt
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.workflow import PRIVATE, Outcome, WorkflowEngine
from controlplane.assistant.workflow_table import read_address, read_month
from tests.assistant.conftest import MakeAssistant
from tests.assistant.talk import NOW, converse, message

OK = ServiceDraw(100.0)
ERROR = ServiceDraw(100.0, "service_error")
TIMEOUT = ServiceDraw(10_000.0, "timeout", timed_out=True)
LOST = "I lost my card, please block it"


class NoLetters(SqliteBank):
    """A bank whose post room is closed."""

    def send_address_letters(self, user_id: str, key: str) -> Receipt:
        raise BankError("post_room_closed", "no letters today")


def engine(bank: SqliteBank, enabled: bool = True) -> WorkflowEngine:
    return WorkflowEngine(bank, lambda: enabled, 0.6)


def start(machine: WorkflowEngine, name: str, text: str) -> Outcome:
    return machine.start(name, message(text))


def test_block_and_replace_from_start_to_end(assistant: Assistant, bank: SqliteBank) -> None:
    asked, done = converse(assistant, LOST, "yes please")
    assert (asked.kind, asked.workflow_status) == (ReplyKind.CONFIRM, WorkflowStatus.STARTED)
    assert (done.kind, done.workflow_status) == (ReplyKind.DONE, WorkflowStatus.COMPLETED)
    assert bank.operations("u1") == [("block_card", "card blocked"), ("order_card", "card sent")]
    assert asked.workflow_runs[0].idempotency_key == done.workflow_runs[0].idempotency_key
    assert asked.workflow_runs[0].run_id != done.workflow_runs[0].run_id
    assert done.dependency_calls[0].dependency == "bank"


@pytest.mark.parametrize("answer", ["no", "No thanks", "stop", "never mind"])
def test_no_means_no(assistant: Assistant, bank: SqliteBank, answer: str) -> None:
    refused = converse(assistant, LOST, answer)[1]
    assert refused.workflow_status is WorkflowStatus.REFUSED
    assert not refused.escalated
    assert bank.operations("u1") == []


@pytest.mark.parametrize("answer", ["yes but not today", "maybe", "hm", "yes, wait"])
def test_only_a_plain_yes_executes(assistant: Assistant, bank: SqliteBank, answer: str) -> None:
    converse(assistant, LOST, answer)
    assert bank.operations("u1") == []


def test_a_replayed_yes_does_nothing_twice(assistant: Assistant, bank: SqliteBank) -> None:
    state, _ = assistant.respond(ConversationState(), message(LOST))
    yes = message("yes", turn=2)
    once, twice = assistant.respond(state, yes), assistant.respond(state, yes)
    assert once == twice
    assert len(bank.operations("u1")) == 2


def test_a_time_out_after_the_work_is_tried_again_without_doing_it_again(bank: SqliteBank) -> None:
    machine = engine(bank)
    pending = start(machine, "card_block_and_replace", LOST).pending
    assert pending is not None
    unsure = machine.execute(pending, message("yes", 2), TIMEOUT)
    assert (unsure.status, unsure.kind) == (WorkflowStatus.FAILED, ReplyKind.CONFIRM)
    assert unsure.pending is not None
    again = machine.execute(unsure.pending, message("yes", 3), OK)
    assert again.status is WorkflowStatus.COMPLETED
    assert len(bank.operations("u1")) == 2


def test_an_error_before_the_work_does_nothing_and_the_second_one_calls_a_person(bank: SqliteBank) -> None:
    machine = engine(bank)
    pending = start(machine, "card_block_and_replace", LOST).pending
    assert pending is not None
    first = machine.execute(pending, message("yes", 2), ERROR)
    assert first.pending is not None
    second = machine.execute(first.pending, message("yes", 3), ERROR)
    assert second.handover
    assert bank.operations("u1") == []


def test_a_statement_asks_for_its_month(assistant: Assistant, bank: SqliteBank) -> None:
    asked, confirm, done = converse(assistant, "please send me my bank statement", "January", "yes")
    assert (asked.kind, asked.workflow) == (ReplyKind.CLARIFY, "statement_copy")
    assert "2026-01" in confirm.text
    assert done.workflow_runs[0].slots == {"month": "2026-01"}
    assert bank.operations("u1") == [("order_statement", "2026-01")]


def test_an_address_is_changed_and_kept_private(assistant: Assistant, bank: SqliteBank) -> None:
    replies = converse(assistant, "I moved, please change my address", "12 Elm Road, Leeds LS1 4AB", "yes")
    assert bank.address_of("u1") == "12 Elm Road, Leeds LS1 4AB"
    assert replies[2].workflow_runs[0].slots == {"address": PRIVATE}


def test_two_answers_that_are_no_address_end_the_run(assistant: Assistant) -> None:
    replies = converse(assistant, "I moved, please change my address", "hm", "dunno")
    assert replies[1].workflow_status is WorkflowStatus.STARTED
    assert replies[2].workflow_status is WorkflowStatus.REFUSED
    assert replies[2].workflow_runs[0].error_type == "not_understood"
    assert replies[2].escalated


def test_half_done_is_undone() -> None:
    bank = NoLetters()
    before = bank.address_of("u1")
    machine = engine(bank)
    pending = start(machine, "address_change", "change my address to 12 Elm Road, Leeds LS1 4AB").pending
    assert pending is not None
    outcome = machine.execute(pending, message("yes", 2), OK)
    assert outcome.status is WorkflowStatus.COMPENSATED
    assert outcome.handover
    assert "nothing was changed" in outcome.text
    assert outcome.run is not None
    assert outcome.run.error_type == "post_room_closed"
    assert bank.address_of("u1") == before


def test_what_cannot_be_undone_is_said(bank: SqliteBank) -> None:
    class NoCards(SqliteBank):
        def order_card(self, user_id: str, key: str) -> Receipt:
            raise BankError("no_cards", "no blank cards")

    machine = engine(NoCards())
    pending = start(machine, "card_block_and_replace", LOST).pending
    assert pending is not None
    outcome = machine.execute(pending, message("yes", 2), OK)
    assert outcome.status is WorkflowStatus.FAILED
    assert "only a part of it is done (block)" in outcome.text


def test_disabled_execution_starts_nothing_and_stops_what_waits(
    make_assistant: MakeAssistant, bank: SqliteBank
) -> None:
    enabled = [True]
    assistant = make_assistant(execution_enabled=lambda: enabled[0])
    state, _ = assistant.respond(ConversationState(), message(LOST))
    enabled[0] = False
    for stopped in (assistant.respond(state, message("yes", 2))[1], converse(assistant, LOST)[0]):
        assert stopped.workflow_status is WorkflowStatus.REFUSED
        assert stopped.workflow_runs[0].error_type == "execution_disabled"
        assert stopped.escalation_reason is EscalationReason.EXECUTION_DISABLED
    assert bank.operations("u1") == []


def test_another_subject_abandons_the_run(assistant: Assistant) -> None:
    reply = converse(assistant, LOST, "what are the fees for using my card abroad")[1]
    assert reply.workflow_runs[0].error_type == "abandoned"
    assert "1.5 %" in reply.text


def test_low_confidence_starts_no_workflow(bank: SqliteBank) -> None:
    machine = engine(bank)
    assert machine.for_intent("card_lost_or_stolen", 0.59) is None
    assert machine.for_intent("card_lost_or_stolen", 0.6) == "card_block_and_replace"
    assert machine.for_intent("fees", 1.0) is None


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("March", "2025-03"),
        ("the one from February please", "2026-02"),
        ("feb 2024", "2024-02"),
        ("last month", "2026-02"),
        ("this month", "2026-03"),
        ("2023-11", "2023-11"),
        ("2023-13", None),
        ("no idea", None),
    ],
)
def test_months(text: str, month: str | None) -> None:
    assert read_month(text, NOW) == month


def test_last_month_in_january_is_december() -> None:
    assert read_month("last month", datetime(2026, 1, 31, tzinfo=UTC)) == "2025-12"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("12 Elm Road, Leeds LS1 4AB", "12 Elm Road, Leeds LS1 4AB"),
        ("my new address is 41a Cherry Lane, Bath BA2 3DE.", "41a Cherry Lane, Bath BA2 3DE"),
        ("it's 5 mill lane york", "5 mill lane york"),
        ("I moved 2 days ago", None),
        ("Leeds", None),
    ],
)
def test_addresses(text: str, address: str | None) -> None:
    assert read_address(text, NOW) == address


@given(st.text(max_size=80))
def test_reading_slots_never_fails(text: str) -> None:
    assert read_month(text, NOW) is None or len(str(read_month(text, NOW))) >= 6
    read_address(text, NOW)
