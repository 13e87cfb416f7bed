"""The machine that runs workflows: deterministic, confirmed, idempotent.

    start --slot missing--> collecting --slot given--> confirming --yes--> executing --> completed
                                |                          |                   |------> failed (one more try)
                                '--no, not understood------'--> refused        '------> compensated or failed -> person

Rules
- A workflow starts only from an intent of at least `min_confidence`, and never while execution is disabled; disabling
  stops runs that already wait for a confirmation too.
- Nothing is done before an explicit yes to a sentence that says what will be done.
- A run has one idempotency key, made from conversation, workflow and the turn it began in. Each step uses it with the
  step's name, so a repeated confirmation or a replayed message never does anything twice.
- A step that the bank refuses undoes the steps before it that can be undone (compensation), and a person takes over. A
  time-out proves nothing: the run stays open, and the same key makes the next try safe.
- Private slot values stay with the bank and the conversation; a run's record says only that they were given.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from controlplane.assistant.model import Message, PendingWorkflow, ReplyKind, WorkflowRun, WorkflowStatus
from controlplane.assistant.protocols import Bank, BankError
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.text import normalise
from controlplane.assistant.workflow_table import WORKFLOWS, Slot, Step, Workflow

MAX_ATTEMPTS = 2
PRIVATE = "(given)"

_YES = re.compile(
    r"^(?:yes|yeah|yep|yup|sure|ok(?:ay)?|confirm(?:ed)?|correct|please do|go ahead|do it|of course|absolutely|y)\b"
    r"(?!.*\b(?:but|not|no|don't|wait)\b)"
)
_NO = re.compile(r"^(?:no|nope|nah|n|don't|do not|stop|cancel|never ?mind|not now|rather not)\b")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a workflow says after one message. `pending` is what to remember; `handover` asks for a person."""

    kind: ReplyKind
    text: str
    workflow: str
    status: WorkflowStatus
    pending: PendingWorkflow | None
    run: WorkflowRun | None
    handover: bool = False


class WorkflowEngine:
    """Runs the workflows of a table against one bank."""

    def __init__(
        self,
        bank: Bank,
        execution_enabled: Callable[[], bool],
        min_confidence: float,
        workflows: tuple[Workflow, ...] = WORKFLOWS,
    ) -> None:
        """`execution_enabled` is asked before every start and every execution."""
        self._bank = bank
        self._enabled = execution_enabled
        self._min_confidence = min_confidence
        self._by_name = {workflow.name: workflow for workflow in workflows}
        self._by_intent = {workflow.intent: workflow for workflow in workflows}

    def for_intent(self, intent: str, confidence: float) -> str | None:
        """The workflow that this intent may start at this confidence, None if none."""
        workflow = self._by_intent.get(intent)
        return workflow.name if workflow is not None and confidence >= self._min_confidence else None

    def intent_of(self, pending: PendingWorkflow) -> str:
        """The intent that a waiting run serves."""
        return self._by_name[pending.workflow].intent

    def understands(self, pending: PendingWorkflow, message: Message) -> bool:
        """Whether a message answers what the waiting run asked: the awaited value, a yes or a no."""
        plain = normalise(message.text)
        if _NO.match(plain) or (pending.awaiting is None and _YES.match(plain)):
            return True
        return pending.awaiting is not None and self._slot(pending).read(message.text, message.ts) is not None

    def wants_execution(self, pending: PendingWorkflow, message: Message) -> bool:
        """Whether this message is the explicit yes to a run that has all it needs."""
        return pending.awaiting is None and _YES.match(normalise(message.text)) is not None

    def start(self, name: str, message: Message) -> Outcome:
        """Begins a run with whatever values the message already holds."""
        slots = {slot.name: slot.read(message.text, message.ts) for slot in self._by_name[name].slots}
        known = {slot: value for slot, value in slots.items() if value is not None}
        run = PendingWorkflow(name, _run_key(message, name), known, None)
        if not self._enabled():
            return self._refuse(run, message, "execution_disabled")
        outcome = self._ask(run)
        return replace(outcome, run=self._event(message, run, WorkflowStatus.STARTED))

    def advance(self, pending: PendingWorkflow, message: Message) -> Outcome:
        """Takes the customer's answer to what the run asked, short of execution."""
        if _NO.match(normalise(message.text)):
            return self._refuse(pending, message, None)
        if pending.awaiting is None:
            return self._ask_again(pending, message, "Please answer yes or no.")
        value = self._slot(pending).read(message.text, message.ts)
        if value is None:
            return self._ask_again(pending, message, self._slot(pending).question)
        return self._ask(replace(pending, slots={**pending.slots, pending.awaiting: value}, awaiting=None, attempts=0))

    def abandon(self, pending: PendingWorkflow, message: Message) -> WorkflowRun:
        """The event of a run that the customer left for another subject."""
        return self._event(message, pending, WorkflowStatus.REFUSED, "abandoned")

    def execute(self, pending: PendingWorkflow, message: Message, draw: ServiceDraw) -> Outcome:
        """Does the steps. A failing `draw` is the bank not answering: an error before the work, a time-out after it."""
        workflow = self._by_name[pending.workflow]
        if not self._enabled():
            return self._refuse(pending, message, "execution_disabled")
        if draw.failed and not draw.timed_out:
            return self._unconfirmed(pending, message, draw.error_type or "service_error")
        prepared = replace(pending, slots={**workflow.prepare(self._bank, message.user_id), **pending.slots})
        done: list[Step] = []
        reference = ""
        try:
            for step in workflow.steps:
                reference = step.do(self._bank, message.user_id, prepared.slots, _step_key(prepared, step))
                done.append(step)
        except BankError as error:
            return self._compensate(prepared, message, done, error)
        if draw.timed_out:
            return self._unconfirmed(prepared, message, "timeout")
        text = workflow.done.format(**prepared.slots, reference=reference)
        run = self._event(message, prepared, WorkflowStatus.COMPLETED)
        return Outcome(ReplyKind.DONE, text, workflow.name, run.status, None, run)

    def _compensate(self, run: PendingWorkflow, message: Message, done: list[Step], error: BankError) -> Outcome:
        """Undoes what can be undone, newest first; what could not be undone is told to the customer."""
        left = []
        for step in reversed(done):
            try:
                if step.undo is None:
                    raise BankError("cannot_undo", f"step {step.name} has no undo")
                step.undo(self._bank, message.user_id, run.slots, f"{_step_key(run, step)}:undo")
            except BankError:
                left.append(step.name)
        status = WorkflowStatus.COMPENSATED if done and not left else WorkflowStatus.FAILED
        told = f"only a part of it is done ({', '.join(left)})" if left else "nothing was changed"
        text = f"That did not work: {told}. A colleague will take care of it and get back to you."
        event = self._event(message, run, status, error.error_type)
        return Outcome(ReplyKind.HANDOVER, text, run.workflow, status, None, event, handover=True)

    def _unconfirmed(self, run: PendingWorkflow, message: Message, error_type: str) -> Outcome:
        event = self._event(message, run, WorkflowStatus.FAILED, error_type)
        if run.attempts + 1 >= MAX_ATTEMPTS:
            text = "I could not get a confirmation from our system. A colleague will check it and get back to you."
            return Outcome(ReplyKind.HANDOVER, text, run.workflow, event.status, None, event, handover=True)
        text = "I got no confirmation from our system. Shall I try again? It will not be done twice. (yes or no)"
        again = replace(run, attempts=run.attempts + 1)
        return Outcome(ReplyKind.CONFIRM, text, run.workflow, event.status, again, event)

    def _ask(self, run: PendingWorkflow) -> Outcome:
        """Asks for the first missing slot, or for the confirmation."""
        workflow = self._by_name[run.workflow]
        missing = next((slot for slot in workflow.slots if slot.name not in run.slots), None)
        waiting = replace(run, awaiting=missing.name if missing else None)
        kind = ReplyKind.CLARIFY if missing else ReplyKind.CONFIRM
        text = missing.question if missing else workflow.confirm.format(**run.slots)
        return Outcome(kind, text, workflow.name, WorkflowStatus.STARTED, waiting, None)

    def _ask_again(self, run: PendingWorkflow, message: Message, question: str) -> Outcome:
        if run.attempts + 1 >= MAX_ATTEMPTS:
            return self._refuse(run, message, "not_understood")
        kind = ReplyKind.CLARIFY if run.awaiting else ReplyKind.CONFIRM
        again = replace(run, attempts=run.attempts + 1)
        text = f"Sorry, I did not understand that. {question}"
        return Outcome(kind, text, run.workflow, WorkflowStatus.STARTED, again, None)

    def _refuse(self, run: PendingWorkflow, message: Message, error_type: str | None) -> Outcome:
        event = self._event(message, run, WorkflowStatus.REFUSED, error_type)
        if error_type is None:
            text = "All right, nothing was changed. Is there anything else?"
            return Outcome(ReplyKind.DECLINE, text, run.workflow, event.status, None, event)
        text = "I cannot do this for you at the moment. A colleague will take care of it."
        return Outcome(ReplyKind.HANDOVER, text, run.workflow, event.status, None, event, handover=True)

    def _slot(self, run: PendingWorkflow) -> Slot:
        return next(slot for slot in self._by_name[run.workflow].slots if slot.name == run.awaiting)

    def _event(
        self, message: Message, run: PendingWorkflow, status: WorkflowStatus, error_type: str | None = None
    ) -> WorkflowRun:
        """One event of a run; its id is unique because a run has at most one event in a message."""
        slots = {
            slot.name: PRIVATE if slot.private else run.slots[slot.name]
            for slot in self._by_name[run.workflow].slots
            if slot.name in run.slots
        }
        run_id = f"{message.interaction_id}:{run.workflow}"
        return WorkflowRun(run_id, run.workflow, status, run.idempotency_key, slots, error_type)


def _run_key(message: Message, workflow: str) -> str:
    return hashlib.sha256(f"{message.conversation_id}|{workflow}|{message.turn}".encode()).hexdigest()[:32]


def _step_key(run: PendingWorkflow, step: Step) -> str:
    return f"{run.idempotency_key}:{step.name}"
