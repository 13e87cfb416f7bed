"""The machine that runs workflows: deterministic, confirmed, idempotent. Its states and their order are in `workflow_states`.

Rules
- A workflow starts only from an intent of at least `min_confidence`, and never while execution is disabled. The switch is asked again
  at every message and right before each single step; once it is off no further call to the bank is made, not even to undo.
- Nothing is changed before an explicit yes to a sentence that says what will be done. A workflow that only reads asks for none.
- A run has one idempotency key, made from conversation, workflow and the turn it began in. Each step uses it with the
  step's name, so a repeated confirmation, a replayed message or a restart between two steps never does anything twice.
- What an undo needs is read before the confirmation and kept with the run. A step that the bank refuses undoes the steps before it
  that can be undone (compensation), and a person takes over. Silence proves nothing: the run stays open, and the same key makes the
  next try safe.
- Disputes belong to a person. Their workflow (`after_route`) cannot start by itself: a person was called first, and while the customer
  waits the details go into a case. Whatever else is safety's comes before it, also in the middle.
- Private slot values stay with the bank and the conversation; a run's record says only that they were given.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from controlplane.assistant import dialogue
from controlplane.assistant.model import (
    EscalationReason,
    Message,
    PendingWorkflow,
    ReplyKind,
    SafetyRoute,
    WorkflowRun,
    WorkflowStatus,
)
from controlplane.assistant.protocols import Bank, BankError
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.text import normalise
from controlplane.assistant.workflow_states import STATUS, Event, Phase, after, phase_of
from controlplane.assistant.workflow_table import WORKFLOWS, Slot, Step, Workflow

MAX_ATTEMPTS = 2
PRIVATE = "(given)"
DISABLED = "execution_disabled"
SILENCE = frozenset({"timeout", "connection", "service_error", "breaker_open"})

_YES = re.compile(
    r"^(?:yes|yeah|yep|yup|sure|ok(?:ay)?|confirm(?:ed)?|correct|please do|go ahead|do it|of course|absolutely|y)\b"
    r"(?!.*\b(?:but|not|no|don't|wait)\b)"
)
_NO = re.compile(r"^(?:no|nope|nah|n|don't|do not|stop|cancel|never ?mind|not now|rather not)\b")
_SKIP = re.compile(
    r"^(?:skip|pass|next|unknown|(?:i )?(?:do not|don't|dont|can't|cannot) (?:know|remember|recall)|no idea|not sure|dunno|idk)\b"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a workflow says after one message.

    `pending` is what to remember. `ready` asks for `execute` at once, without a confirmation. `reason` is why a person is called,
    None if nobody is.
    """

    kind: ReplyKind
    text: str
    workflow: str
    status: WorkflowStatus
    pending: PendingWorkflow | None
    run: WorkflowRun | None
    reason: EscalationReason | None = None
    ready: bool = False

    @property
    def handover(self) -> bool:
        """Whether a person takes over."""
        return self.reason is not None


class WorkflowEngine:
    """Runs the workflows of a table against one bank."""

    def __init__(
        self,
        bank: Bank,
        execution_enabled: Callable[[], bool],
        min_confidence: float,
        workflows: tuple[Workflow, ...] = WORKFLOWS,
    ) -> None:
        """`execution_enabled` is asked at every message and before every single step."""
        self._bank = bank
        self._enabled = execution_enabled
        self._min_confidence = min_confidence
        self._by_name = {workflow.name: workflow for workflow in workflows}
        self._by_intent = {workflow.intent: workflow for workflow in workflows if workflow.after_route is None}
        self._by_route = {workflow.after_route: workflow for workflow in workflows if workflow.after_route is not None}

    def for_intent(self, intent: str, confidence: float) -> str | None:
        """The workflow that this intent may start at this confidence, None if none."""
        workflow = self._by_intent.get(intent)
        return workflow.name if workflow is not None and confidence >= self._min_confidence else None

    def for_message(self, intent: str, confidence: float, text: str) -> str | None:
        """The workflow that this message asks for: its intent sure enough, its cue there, and no mere question about the subject.

        A workflow that only reads answers questions too; while execution is disabled the knowledge base does.
        """
        name = self.for_intent(intent, confidence)
        if name is None or not self.has_cue(name, text):
            return None
        if self._by_name[name].read_only:
            return name if self._enabled() else None
        return None if dialogue.asks_for_information(text) else name

    def has_cue(self, name: str, text: str) -> bool:
        """Whether a message has the words that this workflow wants, if it wants any."""
        cue = self._by_name[name].cue
        return cue is None or cue.search(normalise(text)) is not None

    def knows(self, name: str) -> bool:
        """Whether there is a workflow of this name."""
        return name in self._by_name

    def only_reads(self, name: str) -> bool:
        """Whether this workflow changes nothing at the bank, so that a question may start it."""
        return self._by_name[name].read_only

    def intent_of(self, pending: PendingWorkflow) -> str:
        """The intent that a waiting run serves."""
        return self._by_name[pending.workflow].intent

    def understands(self, pending: PendingWorkflow, message: Message) -> bool:
        """Whether a message answers what the waiting run asked: the awaited value, a yes or a no."""
        plain = normalise(message.text)
        if _NO.match(plain) or (pending.awaiting is None and _YES.match(plain)):
            return True
        return pending.awaiting is not None and self._answer(self._slot(pending), message) is not None

    def wants_execution(self, pending: PendingWorkflow, message: Message) -> bool:
        """Whether this message is the explicit yes to a run that has all it needs."""
        return pending.awaiting is None and _YES.match(normalise(message.text)) is not None

    def start(self, name: str, message: Message) -> Outcome:
        """Begins a run with whatever values the message already holds."""
        workflow = self._by_name[name]
        slots = {slot.name: slot.read(message.text, message.ts) for slot in workflow.slots}
        known = {slot: value for slot, value in slots.items() if value is not None}
        run = PendingWorkflow(name, _run_key(message, name), known, None)
        if not self._enabled():
            return self._refuse(run, message, Phase.NEW, Event.DISABLED, DISABLED)
        if workflow.read_only:
            after(Phase.NEW, Event.ONLY_READS)
            return Outcome(ReplyKind.CLARIFY, "", name, WorkflowStatus.STARTED, run, None, ready=True)
        outcome = self._ask(run, message, Phase.NEW)
        return replace(outcome, run=outcome.run or self._event(message, run, WorkflowStatus.STARTED))

    def intake(self, route: SafetyRoute, intent: str, confidence: float, message: Message) -> Outcome | None:
        """The first question of the run that takes details for a person who was called by `route`.

        None if there is none to take: another subject under the same route (payment difficulties), a mere suspicion, a switch that is off.
        """
        workflow = self._by_route.get(route)
        if workflow is None or workflow.intent != intent or confidence < self._min_confidence or not self._enabled():
            return None
        return self.start(workflow.name, message)

    def advance(self, pending: PendingWorkflow, message: Message) -> Outcome:
        """Takes the customer's answer to what the run asked, short of execution."""
        phase, plain = phase_of(pending), normalise(message.text)
        if not self._enabled():
            return self._refuse(pending, message, phase, Event.DISABLED, DISABLED)
        value = self._answer(self._slot(pending), message) if pending.awaiting else None
        skipped = value is not None and _SKIP.match(plain) is not None
        if _NO.match(plain) and not skipped:
            return self._refuse(pending, message, phase, Event.NO, None)
        if pending.awaiting is None:
            return self._ask_again(pending, message, "Please answer yes or no.")
        if value is None:
            return self._ask_again(pending, message, self._slot(pending).question)
        known = {**self._found(pending, message), **pending.slots, pending.awaiting: value}
        return self._ask(replace(pending, slots=known, awaiting=None, attempts=0), message, phase)

    def abandon(self, pending: PendingWorkflow, message: Message) -> WorkflowRun:
        """The event of a run that the customer left for another subject."""
        return self._event(message, pending, STATUS[after(phase_of(pending), Event.LEFT)], "abandoned")

    def execute(self, pending: PendingWorkflow, message: Message, draw: ServiceDraw) -> Outcome:
        """Does the steps. A failing `draw` is the bank not answering: an error before the work, a time-out after it."""
        workflow = self._by_name[pending.workflow]
        after(Phase.NEW, Event.ONLY_READS) if workflow.read_only else after(phase_of(pending), Event.YES)
        if not self._enabled():
            return self._refuse(pending, message, Phase.EXECUTING, Event.DISABLED, DISABLED)
        if draw.failed and not draw.timed_out:
            return self._unconfirmed(pending, message, draw.error_type or "service_error")
        try:
            run = self._looked_up(pending, message)
        except BankError as error:
            return self._unconfirmed(pending, message, error.error_type)
        done: list[Step] = []
        reference = ""
        for step in workflow.steps:
            if not self._enabled():
                return self._stopped(run, message, done)
            try:
                reference = step.do(self._bank, message.user_id, run.slots, _step_key(run, step))
            except BankError as error:
                if error.error_type in SILENCE:
                    return self._unconfirmed(run, message, error.error_type)
                return self._compensate(run, message, done, error)
            done.append(step)
        if draw.timed_out:
            return self._unconfirmed(run, message, "timeout")
        text = workflow.done.format(**run.slots, reference=reference)
        event = self._event(message, run, STATUS[after(Phase.EXECUTING, Event.DONE)])
        return Outcome(ReplyKind.DONE, text, workflow.name, event.status, None, event)

    def private_values(self, before: PendingWorkflow | None, outcome: Outcome, message: Message) -> tuple[str, ...]:
        """What of this message and its reply must not be logged: values of private slots, and the message that answers for one."""
        run = outcome.pending or before
        if run is None:
            return ()
        slots = {slot.name: slot for slot in self._by_name[run.workflow].slots if slot.private}
        values = [run.slots[name] for name, slot in slots.items() if run.slots.get(name) not in (None, slot.skip)]
        answers = (
            before is not None and before.awaiting in slots and self._answer(self._slot(before), message) is not None
        )
        return (*values, message.text) if answers else tuple(values)

    def _compensate(self, run: PendingWorkflow, message: Message, done: list[Step], error: BankError) -> Outcome:
        """Undoes what can be undone, newest first; what could not be undone is told to the customer."""
        left = []
        for step in reversed(done):
            try:
                if step.undo is None or not self._enabled():
                    raise BankError("cannot_undo", f"step {step.name} has no undo, or execution was disabled")
                step.undo(self._bank, message.user_id, run.slots, f"{_step_key(run, step)}:undo")
            except BankError:
                left.append(step.name)
        happened = (Event.NOT_UNDONE if left else Event.UNDONE) if done else Event.STEP_REFUSED
        event = self._event(message, run, STATUS[after(Phase.EXECUTING, happened)], error.error_type)
        return self._half_done(run, event, left, EscalationReason.FAILURE)

    def _stopped(self, run: PendingWorkflow, message: Message, done: list[Step]) -> Outcome:
        """Execution was disabled between two steps: nothing more is done, not even undone, and a person is told."""
        if not done:
            return self._refuse(run, message, Phase.EXECUTING, Event.DISABLED, DISABLED)
        event = self._event(message, run, STATUS[after(Phase.EXECUTING, Event.DISABLED_HALFWAY)], DISABLED)
        return self._half_done(run, event, [step.name for step in done], EscalationReason.EXECUTION_DISABLED)

    def _half_done(
        self, run: PendingWorkflow, event: WorkflowRun, left: list[str], reason: EscalationReason
    ) -> Outcome:
        told = f"only a part of it is done ({', '.join(left)})" if left else "nothing was changed"
        text = f"That did not work: {told}. A colleague will take care of it and get back to you."
        return Outcome(ReplyKind.HANDOVER, text, run.workflow, event.status, None, event, reason)

    def _unconfirmed(self, run: PendingWorkflow, message: Message, error_type: str) -> Outcome:
        if run.attempts + 1 >= MAX_ATTEMPTS:
            event = self._event(message, run, STATUS[after(Phase.EXECUTING, Event.UNCONFIRMED_AGAIN)], error_type)
            text = "I could not get a confirmation from our system. A colleague will check it and get back to you."
            return Outcome(ReplyKind.HANDOVER, text, run.workflow, event.status, None, event, EscalationReason.FAILURE)
        after(Phase.EXECUTING, Event.UNCONFIRMED)
        event = self._event(message, run, WorkflowStatus.FAILED, error_type)
        text = "I got no confirmation from our system. Shall I try again? It will not be done twice. (yes or no)"
        if self._by_name[run.workflow].read_only:
            text = "I cannot look that up at the moment. Shall I try again? (yes or no)"
        again = replace(run, attempts=run.attempts + 1)
        return Outcome(ReplyKind.CONFIRM, text, run.workflow, event.status, again, event)

    def _ask(self, run: PendingWorkflow, message: Message, phase: Phase) -> Outcome:
        """Asks for the first missing slot; when nothing is missing, reads what undoing will need and asks for the confirmation."""
        workflow = self._by_name[run.workflow]
        missing = next((slot for slot in workflow.slots if slot.ask and slot.name not in run.slots), None)
        if missing is not None:
            status = STATUS[after(phase, Event.VALUE_MISSING)]
            return Outcome(
                ReplyKind.CLARIFY, missing.question, workflow.name, status, replace(run, awaiting=missing.name), None
            )
        try:
            ready = replace(self._looked_up(run, message), awaiting=None)
        except BankError as error:
            event = self._event(message, run, STATUS[after(phase, Event.UNREADABLE)], error.error_type)
            return self._half_done(run, event, [], EscalationReason.FAILURE)
        text = workflow.confirm.format(**ready.slots)
        return Outcome(ReplyKind.CONFIRM, text, workflow.name, STATUS[after(phase, Event.ALL_KNOWN)], ready, None)

    def _ask_again(self, run: PendingWorkflow, message: Message, question: str) -> Outcome:
        phase = phase_of(run)
        if run.attempts + 1 >= MAX_ATTEMPTS:
            return self._refuse(run, message, phase, Event.NOT_UNDERSTOOD_AGAIN, "not_understood")
        kind = ReplyKind.CLARIFY if run.awaiting else ReplyKind.CONFIRM
        again = replace(run, attempts=run.attempts + 1)
        text = f"Sorry, I did not understand that. {question}"
        return Outcome(kind, text, run.workflow, STATUS[after(phase, Event.NOT_UNDERSTOOD)], again, None)

    def _refuse(
        self, run: PendingWorkflow, message: Message, phase: Phase, happened: Event, error_type: str | None
    ) -> Outcome:
        event = self._event(message, run, STATUS[after(phase, happened)], error_type)
        if error_type is None:
            text = "All right, nothing was changed. Is there anything else?"
            return Outcome(ReplyKind.DECLINE, text, run.workflow, event.status, None, event)
        text = "I cannot do this for you at the moment. A colleague will take care of it."
        reason = EscalationReason.EXECUTION_DISABLED if error_type == DISABLED else EscalationReason.FAILURE
        return Outcome(ReplyKind.HANDOVER, text, run.workflow, event.status, None, event, reason)

    def _looked_up(self, run: PendingWorkflow, message: Message) -> PendingWorkflow:
        """The run with what the bank knows; what the run already holds stays, or a restart would remember its own changes."""
        found: dict[str, str] = {}
        for look_up in self._by_name[run.workflow].look_up:
            found |= look_up(self._bank, message.user_id, message.ts.date())
        return replace(run, slots={**found, **run.slots})

    def _found(self, run: PendingWorkflow, message: Message) -> dict[str, str]:
        """Values of other slots that the message holds besides the one asked for."""
        slots = [slot for slot in self._by_name[run.workflow].slots if slot.name != run.awaiting]
        values = {slot.name: slot.read(message.text, message.ts) for slot in slots}
        return {name: value for name, value in values.items() if value is not None}

    def _answer(self, slot: Slot, message: Message) -> str | None:
        if slot.skip is not None and _SKIP.match(normalise(message.text)):
            return slot.skip
        return slot.answer(message.text, message.ts)

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
