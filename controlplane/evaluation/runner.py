"""Runs the rows of a data set through a release: each a conversation of its own, with a customer and a bank of its own.

Rules
- The customer follows the row: says the first message, says yes where an operation is wanted and no where none is, gives the next message of the
  row when asked for a detail, repeats the message when the service failed (twice at most), and stops when the row has nothing more to say.
- Nothing is shared between rows but the release itself. The bank is a new one for every row, so its state afterwards is the row's doing.
- All chance (service draws, the model's) hangs on the conversation's id, made from the seed and the row's id: the same seed gives the same
  outcome whatever else is in the set, and two releases meet the same fates (common random numbers), which makes the comparison paired.
- Where the release measures real time, latencies are real and differ from run to run; everything else does not.
- An outcome says what was seen; a field is None where the row does not ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from controlplane.assistant.bank import SqliteBank
from controlplane.assistant.model import ConversationState, Message, Reply, ReplyKind
from controlplane.assistant.protocols import Bank
from controlplane.core.masking import mask
from controlplane.evaluation.cases import NO_ROUTE, Case

BEGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)  # the clock of an evaluation; "last month" means the same in every run
GAP = timedelta(minutes=1)  # between rows: a breaker that opened in one has closed before the next
TURN = timedelta(seconds=20)
MAX_TURNS = 8
RETRIES = 2
YES, NO = "yes please", "no"
_HELPED = (ReplyKind.ANSWER, ReplyKind.DONE, ReplyKind.CONFIRM)


class Subject(Protocol):
    """What is evaluated: a release of the assistant."""

    def respond(self, state: ConversationState, message: Message) -> tuple[ConversationState, Reply]:
        """Answers one message."""
        ...


GroundednessJudge = Callable[[Message, Reply], bool | None]  # whether an answer is unsupported; None = nothing to judge
ToxicityJudge = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Judges:
    """Who judges texts. None = nobody does, and the metric has no data."""

    ungrounded: GroundednessJudge | None = None
    toxic: ToxicityJudge | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one row came to. Latencies in ms for each turn; `cost` in US dollars, None where nothing was priced."""

    id: str
    slices: Mapping[str, str]
    intent_correct: bool | None = None
    confidence: float | None = None
    resolved: bool | None = None
    hallucinated: bool | None = None
    toxic: bool | None = None
    misrouted: bool | None = None
    over_routed: bool | None = None
    rejected: bool | None = None
    cache_wrong: bool | None = None
    escalated: bool = False
    errors: int = 0
    latencies: tuple[float, ...] = ()
    cost: float | None = None
    said: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """Plain JSON values; `outcome_of` reads them again."""
        value = asdict(self)
        return value | {key: list(value[key]) for key in ("latencies", "said", "wrong")}


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    """The outcome of a stored row."""
    values = {item.name: row[item.name] for item in fields(Outcome)}
    return Outcome(**(values | {key: tuple(row[key]) for key in ("latencies", "said", "wrong")}))


class FreshBank:
    """A bank that can be replaced by a new one; the release keeps its reference."""

    def __init__(self) -> None:
        """Opens an empty bank."""
        self._bank = SqliteBank()

    def renew(self) -> SqliteBank:
        """Closes the bank and opens an empty one."""
        self._bank.close()
        self._bank = SqliteBank()
        return self._bank

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bank, name)

    @property
    def as_bank(self) -> Bank:
        """The same object as the release's bank."""
        return cast(Bank, self)


def run_cases(cases: Sequence[Case], subject: Subject, bank: FreshBank, judges: Judges, seed: int) -> Iterator[Outcome]:
    """The outcomes in the order of the cases, one at a time, so that a caller can show progress and be interrupted."""
    for position, case in enumerate(cases):
        opened = bank.renew()
        dialogue = _converse(case, subject, seed, BEGIN + position * GAP)
        yield _outcome(case, dialogue, opened, judges)


@dataclass(slots=True)
class _Exchange:
    message: Message
    reply: Reply


def _converse(case: Case, subject: Subject, seed: int, begin: datetime) -> list[_Exchange]:
    exchanges: list[_Exchange] = []
    state = ConversationState()
    waiting = list(case.turns)
    text: str | None = waiting.pop(0)
    retries = 0
    while text is not None and len(exchanges) < MAX_TURNS + retries:
        message = Message(
            conversation_id=f"ev{seed}-{case.id}",
            turn=len(exchanges) + 1,
            user_id=f"ev-{case.id}",
            text=text,
            ts=begin + len(exchanges) * TURN,
            channel=case.slices.get("channel", "app"),
            region=case.slices.get("region", "unknown"),
            segment=case.slices.get("segment", "unknown"),
        )
        state, reply = subject.respond(state, message)
        exchanges.append(_Exchange(message, reply))
        if reply.kind is ReplyKind.ERROR and retries < RETRIES:
            retries += 1
            continue
        text = _next(case, reply, waiting)
    return exchanges


def _next(case: Case, reply: Reply, waiting: list[str]) -> str | None:
    """What the customer says next; None when the row has nothing more to say."""
    if reply.kind is ReplyKind.CONFIRM:
        if case.goal is None:
            return None
        return YES if case.goal.operations else NO
    if reply.kind is ReplyKind.HANDOVER:
        return None
    return waiting.pop(0) if waiting else None


def _outcome(case: Case, dialogue: Sequence[_Exchange], bank: SqliteBank, judges: Judges) -> Outcome:
    replies = [exchange.reply for exchange in dialogue]
    understood = next((reply for reply in replies if reply.kind is not ReplyKind.ERROR), replies[0])
    costs = [reply.cost_usd for reply in replies if reply.cost_usd is not None]
    found = Outcome(
        id=case.id,
        slices={**case.slices, "origin": case.slice("origin") or ""},
        escalated=any(reply.escalated for reply in replies),
        errors=sum(reply.error_type is not None for reply in replies),
        latencies=tuple(round(reply.latency_ms, 3) for reply in replies),
        cost=sum(costs) if costs else None,
        said=tuple(mask(reply.text) for reply in replies),
        toxic=None if judges.toxic is None else any(judges.toxic(reply.text) for reply in replies),
        hallucinated=_hallucinated(dialogue, judges.ungrounded),
    )
    found = _routing(case, understood, found)
    if case.expected_intent is not None:
        found = replace(
            found, intent_correct=understood.intent_pred == case.expected_intent, confidence=understood.intent_conf
        )
    if case.out_of_scope:
        found = replace(found, rejected=not any(reply.kind in _HELPED and not reply.is_small_talk for reply in replies))
    found = replace(found, resolved=_resolved(case, dialogue, bank))
    if any(reply.cached for reply in replies) and (found.intent_correct is not None or found.resolved is not None):
        found = replace(found, cache_wrong=found.intent_correct is False or found.resolved is False)
    return replace(found, wrong=what_is_wrong(case, found, understood.intent_pred))


def _routing(case: Case, first: Reply, found: Outcome) -> Outcome:
    if case.must_reach_person:
        return replace(found, misrouted=not first.escalated)
    if case.mandatory_route == NO_ROUTE:
        return replace(found, over_routed=first.escalated and first.safety_route is not None)
    return found


def _hallucinated(dialogue: Sequence[_Exchange], judge: GroundednessJudge | None) -> bool | None:
    """Whether any judged answer of the conversation is unsupported; None when none could be judged."""
    if judge is None:
        return None
    seen = [judge(exchange.message, exchange.reply) for exchange in dialogue]
    judged = [verdict for verdict in seen if verdict is not None]
    return any(judged) if judged else None


def _resolved(case: Case, dialogue: Sequence[_Exchange], bank: SqliteBank) -> bool | None:
    if case.goal is None and not case.facts:
        return None
    user_id = dialogue[0].message.user_id
    if case.goal is not None:
        done = bank.operations(user_id)
        wanted = case.goal.operations
        same = len(done) == len(wanted) and all(
            kind == have_kind and detail in (None, have_detail)
            for (have_kind, have_detail), (kind, detail) in zip(done, wanted, strict=True)
        )
        if not same or (case.goal.address is not None and bank.address_of(user_id) != case.goal.address):
            return False
    return all_said(" ".join(exchange.reply.answer for exchange in dialogue), case)


def all_said(text: str, case: Case) -> bool:
    """Whether every fact of the row stands in the answers, as they were given or as they look when they are masked."""
    forms = (text, mask(text))
    return all(any(says(form, fact) for fact in item for form in forms) for item in case.facts)


def says(text: str, fact: str) -> bool:
    """Whether the fact stands in the text as a whole, case and spacing ignored: £4 is not in £45."""
    pattern = r"\s+".join(re.escape(word) for word in fact.casefold().split())
    return re.search(rf"(?<!\w){pattern}(?!\w)(?![.,]\d)", text.casefold()) is not None


def what_is_wrong(case: Case, found: Outcome, intent: str | None) -> tuple[str, ...]:
    """What a reader of the report should look at."""
    notes: list[str] = []
    if found.intent_correct is False:
        notes.append(f"intent {intent}, expected {case.expected_intent}")
    if found.resolved is False:
        notes.append("not resolved: the bank or the facts said are not as they should be")
    checks = (
        (found.hallucinated, "an answer is not supported by the knowledge"),
        (found.toxic, "toxic words"),
        (found.misrouted, f"{case.mandatory_route} did not reach a person at once"),
        (found.over_routed, "a person was made mandatory without need"),
        (found.rejected is False, "out of scope, and answered all the same"),
        (found.cache_wrong, "the cache served a wrong answer"),
    )
    return (*notes, *(text for failed, text in checks if failed))
