"""Whatever customers say, whatever the bank does, and wherever the process dies: not twice, not without a yes, not while disabled.

A hypothesis state machine talks to the engine over a real SQLite bank. The bank can refuse, stay silent before or after the work, and
kill the process at either moment; messages are delivered again with the state that was saved before them. What is checked is counted in
the bank's own tables and in a list of confirmations kept here, never taken from the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controlplane.assistant import SqliteBank
from controlplane.assistant.model import Message, PendingWorkflow, ReplyKind, SafetyRoute, WorkflowStatus
from controlplane.assistant.protocols import BankError, Receipt, Refund
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.workflow import PRIVATE, Outcome, WorkflowEngine
from controlplane.assistant.workflow_table import WORKFLOWS
from tests.assistant.talk import message

_KINDS = ("refused", "silent before", "silent after", "killed before", "killed after", "disabled after")
FAULTS = st.one_of(
    st.sampled_from(
        [(), (), *((kind,) for kind in _KINDS), *((None, kind) for kind in _KINDS), (None, "refused", "refused")]
    ),
    st.tuples(*[st.sampled_from((None, *_KINDS))] * 3),
)
YES = ("yes", "Yes please", "ok, do it", "sure")
OTHER = (
    "no",
    "hm",
    "what?",
    "12 Elm Road, Leeds LS1 4AB",
    "January",
    "skip",
    "yes but not today",
    "£45.50",
    "Amazon",
    "yesterday",
    "",
)
OPENINGS = {
    "card_block_and_replace": ("I lost my card", "block my card ending 0000 please"),
    "address_change": ("change my address", "my new address is 9 Oak Street, York YO1 7HU"),
    "statement_copy": ("I need a statement", "statement for March please"),
    "pin_reminder": ("send me my pin by post",),
    "refund_status": ("where is my refund",),
    "dispute_intake": ("Ryanair took £45 twice", "I want to dispute a charge"),
}
DRAWS = {
    "ok": ServiceDraw(90.0),
    "error": ServiceDraw(90.0, "service_error"),
    "timeout": ServiceDraw(9e3, "timeout", timed_out=True),
}


class Killed(BaseException):
    """The process dies."""


class RestlessBank:
    """A real bank behind a line that may fail at its next operations."""

    def __init__(self, enabled: Callable[[], bool], disable: Callable[[], None]) -> None:
        self.real = SqliteBank()
        self.faults: list[str | None] = []
        self._enabled, self._disable = enabled, disable

    def _call(self, work: Callable[[], Receipt]) -> Receipt:
        assert self._enabled(), "the bank was called while execution was disabled"
        fault = self.faults.pop(0) if self.faults else None
        if fault == "refused":
            raise BankError("refused", "not today")
        if fault == "silent before":
            raise BankError("timeout", "no answer")
        if fault == "killed before":
            raise Killed
        receipt = work()
        if fault == "disabled after":
            self._disable()
        if fault == "silent after":
            raise BankError("timeout", "no answer")
        if fault == "killed after":
            raise Killed
        return receipt

    def block_card(self, user_id: str, key: str, last_four: str = "") -> Receipt:
        return self._call(lambda: self.real.block_card(user_id, key, last_four))

    def order_card(self, user_id: str, key: str) -> Receipt:
        return self._call(lambda: self.real.order_card(user_id, key))

    def order_statement(self, user_id: str, month: str, key: str) -> Receipt:
        return self._call(lambda: self.real.order_statement(user_id, month, key))

    def order_pin_reminder(self, user_id: str, key: str) -> Receipt:
        return self._call(lambda: self.real.order_pin_reminder(user_id, key))

    def set_address(self, user_id: str, address: str, key: str) -> Receipt:
        return self._call(lambda: self.real.set_address(user_id, address, key))

    def send_address_letters(self, user_id: str, key: str) -> Receipt:
        return self._call(lambda: self.real.send_address_letters(user_id, key))

    def open_case(self, user_id: str, kind: str, detail: str, key: str) -> Receipt:
        return self._call(lambda: self.real.open_case(user_id, kind, detail, key))

    def address_of(self, user_id: str) -> str:
        return self.real.address_of(user_id)

    def refunds_of(self, user_id: str, day: date) -> tuple[Refund, ...]:
        return self.real.refunds_of(user_id, day)


class Conversations(RuleBasedStateMachine):
    """One customer, one conversation, one run at a time; the engine driven as the pipeline drives it."""

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.bank = RestlessBank(lambda: self.enabled, self._switch_off)
        self.engine = WorkflowEngine(self.bank, lambda: self.enabled, 0.6)
        self.pending: PendingWorkflow | None = None
        self.turn = 0
        self.last: tuple[PendingWorkflow | None, Message, str] | None = None
        self.confirmed: dict[str, set[str]] = {}
        self.address_before: dict[str, str] = {}

    def teardown(self) -> None:
        self.bank.real.close()

    def _switch_off(self) -> None:
        self.enabled = False

    @rule()
    def toggle(self) -> None:
        self.enabled = not self.enabled

    @precondition(lambda self: self.pending is None)
    @rule(
        name=st.sampled_from((*sorted(OPENINGS), "address_change", "address_change")),
        which=st.integers(0, 1),
        draw=st.sampled_from(sorted(DRAWS)),
    )
    def ask(self, name: str, which: int, draw: str) -> None:
        self.turn += 1
        self._deliver(None, message(OPENINGS[name][which % len(OPENINGS[name])], self.turn), name, draw)

    @precondition(lambda self: self.pending is not None)
    @rule(text=st.sampled_from((*YES, *OTHER)), draw=st.sampled_from(sorted(DRAWS)), faults=FAULTS)
    def say(self, text: str, draw: str, faults: tuple[str | None, ...]) -> None:
        self.turn += 1
        assert self.pending is not None
        self._deliver(self.pending, message(text, self.turn), self.pending.workflow, draw, faults)

    @precondition(lambda self: self.pending is not None and self.pending.awaiting is None)
    @rule(text=st.sampled_from(YES), faults=FAULTS)
    def agree(self, text: str, faults: tuple[str | None, ...]) -> None:
        self.say(text, "ok", faults)

    @precondition(lambda self: self.last is not None)
    @rule(draw=st.sampled_from(("ok", "ok", *sorted(DRAWS))), faults=FAULTS)
    def deliver_again(self, draw: str, faults: tuple[str | None, ...]) -> None:
        assert self.last is not None
        self._deliver(*self.last, draw, faults)

    def _deliver(
        self, pending: PendingWorkflow | None, said: Message, name: str, draw: str, faults: tuple[str | None, ...] = ()
    ) -> None:
        """One message as the pipeline takes it; a kill leaves the saved state as it was."""
        self.last = (pending, said, name)
        before, enabled, self.bank.faults = self.bank.real.snapshot(), self.enabled, list(faults)
        is_yes = pending is not None and pending.awaiting is None and said.text in YES
        if is_yes and pending is not None and enabled:
            self.confirmed.setdefault(name, set()).add(pending.idempotency_key)
            self.address_before.setdefault(pending.idempotency_key, self.bank.address_of("u1"))
        outcome: Outcome | None = None
        try:
            outcome = self._take(pending, said, name, DRAWS[draw])
        except Killed:
            self.pending = pending
        else:
            self.pending = outcome.pending
        if not is_yes:
            assert self.bank.real.snapshot() == before, "changed without a yes"
        if outcome is not None:
            self._check(outcome, pending)

    def _take(self, pending: PendingWorkflow | None, said: Message, name: str, draw: ServiceDraw) -> Outcome:
        if pending is None:
            if name == "dispute_intake":
                started = self.engine.intake(SafetyRoute.FINANCIAL_DISPUTE, "dispute_charge", 0.9, said)
                assert (started is None) == (not self.enabled)
            outcome = self.engine.start(name, said)
            if outcome.ready:
                assert outcome.pending is not None
                return self.engine.execute(outcome.pending, said, draw)
            return outcome
        if self.engine.wants_execution(pending, said):
            return self.engine.execute(pending, said, draw)
        return self.engine.advance(pending, said)

    def _check(self, outcome: Outcome, pending: PendingWorkflow | None) -> None:
        assert outcome.kind is not ReplyKind.HANDOVER or outcome.handover
        assert outcome.text
        if outcome.run is not None:
            private = {slot.name for workflow in WORKFLOWS for slot in workflow.slots if slot.private}
            assert all(value == PRIVATE for name, value in outcome.run.slots.items() if name in private)
        if outcome.pending is None and outcome.status in (WorkflowStatus.FAILED, WorkflowStatus.COMPENSATED):
            assert outcome.handover, "half done and nobody is told"
        if (
            outcome.status is WorkflowStatus.COMPENSATED
            and pending is not None
            and outcome.workflow == "address_change"
        ):
            assert self.bank.address_of("u1") == self.address_before[pending.idempotency_key]
        if outcome.status is WorkflowStatus.COMPLETED and pending is not None and outcome.workflow == "address_change":
            assert self.bank.address_of("u1") == pending.slots["address"] or self._later_change(pending)

    def _later_change(self, pending: PendingWorkflow) -> bool:
        """Whether a completed change is only told again after a newer one: then the newer address must stand."""
        return len(self.confirmed["address_change"]) > 1

    @invariant()
    def nothing_twice(self) -> None:
        state: dict[str, list[dict[str, Any]]] = self.bank.real.snapshot()
        done = Counter({name: len(state[name]) for name in ("statements", "letters", "pin_reminders", "cases")})
        done["cards"] = sum(int(card["sent"]) for card in state["cards"]) - len(state["cards"])
        for counted, workflow in (
            ("statements", "statement_copy"),
            ("letters", "address_change"),
            ("pin_reminders", "pin_reminder"),
            ("cases", "dispute_intake"),
            ("cards", "card_block_and_replace"),
        ):
            assert done[counted] <= len(self.confirmed.get(workflow, ())), f"{counted}: more done than confirmed"


Conversations.TestCase.settings = settings(max_examples=250, stateful_step_count=20, deadline=None)
TestConversations = Conversations.TestCase
