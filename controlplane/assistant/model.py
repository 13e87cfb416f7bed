"""Values of the embedded assistant: what comes in, what goes out, and what is remembered in between.

Rules
- Every request ends in one `Reply`, the typed decision record: what was answered, why, and what each step said.
  A step's *verdict* (what was seen) and its *action* (what was done about it) are two fields.
- A conversation's memory is the value `ConversationState`, passed in and handed back; nothing about one
  conversation is kept inside the assistant.
- `latency_ms` is the service latency that decides; fields named `measured_ms` are what the clock of this process
  really saw. They never decide, and two replies that differ only in them are equal.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class SafetyRoute(StrEnum):
    """Subjects that a person must handle, in order of precedence (the first that applies names the hand-over)."""

    HARASSMENT = "harassment"
    FRAUD = "fraud"
    LEGAL = "legal"
    FINANCIAL_DISPUTE = "financial_dispute"
    AGENT_REQUEST = "agent_request"


SMALL_TALK_VERDICT = "small_talk"


class ReplyKind(StrEnum):
    """What a reply asks of the customer; the wording alone would be guesswork for whoever counts or reacts."""

    ANSWER = "answer"
    CLARIFY = "clarify"
    CONFIRM = "confirm"
    DONE = "done"
    HANDOVER = "handover"
    DECLINE = "decline"
    MENU = "menu"
    RATE_LIMITED = "rate_limited"
    ERROR = "error"


class EscalationReason(StrEnum):
    """Why a conversation was given to a person."""

    AGENT_REQUEST = "agent_request"
    MANDATORY_CATEGORY = "mandatory_category"
    LOW_CONFIDENCE = "low_confidence"
    OUT_OF_SCOPE = "out_of_scope"
    NO_ANSWER = "no_answer"
    FAILURE = "failure"
    INJECTION = "injection"
    EXECUTION_DISABLED = "execution_disabled"
    WITH_PERSON = "with_person"


class WorkflowStatus(StrEnum):
    """Where a workflow run stands; `started` is every state before the customer's confirmation was acted on."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    COMPENSATED = "compensated"


@dataclass(frozen=True, slots=True)
class Message:
    """One customer message. `turn` counts the customer's messages from 1; `ts` is timezone-aware UTC.

    `locale` is the language the customer is served in; answers are never shared between locales.
    """

    conversation_id: str
    turn: int
    user_id: str
    text: str
    ts: datetime
    channel: str = "app"
    region: str = "unknown"
    segment: str = "unknown"
    locale: str = "en"

    @property
    def interaction_id(self) -> str:
        """The id of this request everywhere: logs, service draws, idempotency."""
        return f"{self.conversation_id}:{self.turn}"


@dataclass(frozen=True, slots=True)
class IntentPrediction:
    """Calibrated classification of one text; `probabilities` covers every known intent and sums to 1.

    `in_scope` in [0, 1] says how likely the text is about any known intent at all. The trained classifier stores the
    threshold that keeps 95 % of the in-scope texts it was validated on; 1 where nothing was measured.
    """

    label: str
    confidence: float
    probabilities: Mapping[str, float]
    in_scope: float = 1.0


@dataclass(frozen=True, slots=True)
class Passage:
    """One short page of the knowledge base: one fact per sentence.

    `facts` are the strings a right answer about this subject carries at least one of (used by evaluation and by
    simulated customers, never by retrieval or generation). `lead` is the intent whose first page this is.
    """

    id: str
    topic: str
    title: str
    keywords: tuple[str, ...]
    intents: tuple[str, ...]
    sentences: tuple[str, ...]
    facts: tuple[str, ...] = ()
    lead: str | None = None
    workflow: str | None = None

    @property
    def body(self) -> str:
        """The whole text, one paragraph."""
        return " ".join(self.sentences)


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """What one step of the pipeline saw (`verdict`), what was done (`action`) and why. `score` is the step's own."""

    step: str
    verdict: str
    action: str
    reason: str = ""
    score: float | None = None
    measured_ms: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of the release's generator. `tokens_in` includes `tokens_cached`; `cost_usd` None = unpriced."""

    call_id: str
    operation: str
    provider: str
    model: str
    latency_ms: float
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost_usd: float | None
    error_type: str | None = None
    timed_out: bool = False
    measured_ms: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class DependencyCall:
    """One call of something the assistant needs and does not own (`knowledge`, `bank`)."""

    call_id: str
    dependency: str
    latency_ms: float
    error_type: str | None = None
    timed_out: bool = False
    measured_ms: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One event of a workflow run. All events of a run share `idempotency_key`; `slots` never holds private values."""

    run_id: str
    workflow: str
    status: WorkflowStatus
    idempotency_key: str
    slots: Mapping[str, str]
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class PendingWorkflow:
    """A workflow that waits for the customer: for the value of `awaiting` (a slot name), or for a yes or no (None)."""

    workflow: str
    idempotency_key: str
    slots: Mapping[str, str]
    awaiting: str | None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class ConversationState:
    """All memory of one conversation. A new conversation starts with `ConversationState()`.

    `offered` are the choices last shown, in order, as `kind:value` ("intent:fees", "passage:overdraft", "topic:Cards",
    "else", "agent"); `unclear_text` is what the customer wrote before a question back; `disclosed` whether the customer
    was told that a machine answers.
    """

    turns: int = 0
    last_intent: str | None = None
    pending: PendingWorkflow | None = None
    unclear_text: str = ""
    clarifications: int = 0
    offered: tuple[str, ...] = ()
    handed_over: bool = False
    mandatory: SafetyRoute | None = None  # where screening sent it to a person, before an arm was drawn
    disclosed: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The decision record of one request.

    `intent_conf` is None where no probability exists (the menu). `grounded` is the score (0..1) of the answer against
    the passages it used, None where nothing was answered from passages. `options` are the numbered choices shown, in
    order ("1" picks the first). Money in US dollars, times in milliseconds.

    `text` is all the customer sees. The first reply of a conversation begins with `disclosure` (that a machine answers), which
    says nothing about the bank: whoever judges an answer judges `answer`. `error_type` names what kept the customer from a
    reply of the intended kind; a failure that a fallback made good stands at its own call and step only. `cached` replies
    repeat an earlier answer: what that one used is `tokens_saved` and `cost_saved_usd`, never counted as used again.
    """

    interaction_id: str
    kind: ReplyKind
    text: str
    intent_pred: str | None
    intent_conf: float | None
    safety_route: SafetyRoute | None
    escalated: bool
    escalation_reason: EscalationReason | None
    workflow: str | None
    workflow_status: WorkflowStatus | None
    sources: tuple[str, ...]
    options: tuple[str, ...]
    model: str
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost_usd: float | None
    error_type: str | None
    timed_out: bool
    latency_ms: float
    grounded: float | None
    steps: tuple[StepVerdict, ...]
    model_calls: tuple[ModelCall, ...]
    dependency_calls: tuple[DependencyCall, ...]
    workflow_runs: tuple[WorkflowRun, ...]
    measured_ms: float = field(default=0.0, compare=False)
    disclosure: str = ""
    cached: bool = False
    tokens_saved: int = 0
    cost_saved_usd: float | None = 0.0
    private: tuple[str, ...] = field(
        default=(), repr=False
    )  # what the customer gave a workflow in confidence: never logged

    @property
    def is_small_talk(self) -> bool:
        """Whether this is a courtesy in fixed words, which says nothing that could be right or wrong."""
        return any(step.verdict == SMALL_TALK_VERDICT for step in self.steps)

    @property
    def answer(self) -> str:
        """The text without the disclosure."""
        return self.text.removeprefix(self.disclosure).lstrip() if self.disclosure else self.text


@dataclass(frozen=True, slots=True)
class ReleaseArtefacts:
    """What identifies a release: the sha256 of each artefact. The version is a label and does not count."""

    version: str
    model: str
    prompt: str
    knowledge: str
    classifier: str
    policy: str

    @property
    def digest(self) -> str:
        """One sha256 for all artefacts together."""
        parts = (self.model, self.prompt, self.knowledge, self.classifier, self.policy)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()
