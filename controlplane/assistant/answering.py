"""Answering a question: cache, search, screen of the pages, routing, generation, groundedness, output check.

`find` does all that comes before a model writes and returns either what to say at once or a `Draft`; `write` turns a draft
into the answer, handing out what the model writes on the way.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace

from controlplane.assistant import dialogue, groundedness, replies, safety
from controlplane.assistant.breaker import Breakers
from controlplane.assistant.cache import CachedAnswer, SemanticCache, Vector
from controlplane.assistant.ladder import Ladder, Piece, Rung
from controlplane.assistant.model import (
    ConversationState,
    EscalationReason,
    IntentPrediction,
    Passage,
    ReplyKind,
)
from controlplane.assistant.output_check import OutputVerdict, check_output
from controlplane.assistant.parts import AssistantParts
from controlplane.assistant.protocols import Generation, GenerationRequest, Retriever
from controlplane.assistant.replies import Served
from controlplane.assistant.retrieval import Bm25Index, Hit
from controlplane.assistant.routing import Size
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.turn import Answer, Saved, Turn


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer that is yet to be written. `vector` is set where it may be kept for later."""

    state: ConversationState
    request: GenerationRequest
    passages: tuple[Passage, ...]
    prediction: IntentPrediction
    retrieval_score: float
    vector: Vector | None


class Answering:
    """The answering part of one release."""

    def __init__(self, parts: AssistantParts, breakers: Breakers) -> None:
        self._parts = parts
        self._policy = parts.policy
        self._breaker = breakers.of("knowledge")
        self._retriever: Retriever = parts.retriever or Bm25Index(parts.knowledge)
        small = Rung(parts.small, parts.small_price) if parts.small is not None else None
        large = Rung(parts.generator, parts.price)
        self._ladder = Ladder(large, small, breakers, parts.policy.retry, parts.clock, parts.sleep)
        self._versions = parts.artefacts.digest

    def find(self, turn: Turn, state: ConversationState, question: str, prediction: IntentPrediction) -> Served | Draft:
        """Looks up the cache and the knowledge base."""
        vector = None
        if self._parts.cache is not None:
            found = self._look_up(turn, self._parts.cache, question, prediction)
            if isinstance(found, Answer):
                return state, found
            vector = found
        hits, draw = self._search(turn, question, prediction)
        if draw is None:
            return replies.give_up(turn, state, EscalationReason.FAILURE)
        if draw.failed:
            return state, Answer(ReplyKind.ERROR, dialogue.TROUBLE)
        kept = self._screen_pages(turn, tuple(hit.passage for hit in hits))
        best = hits[0].score if hits else 0.0
        if best < self._policy.min_retrieval_score or not kept:
            return replies.give_up(turn, state, EscalationReason.NO_ANSWER)
        request = GenerationRequest(turn.message.interaction_id, self._parts.prompt, question, kept)
        return Draft(state, request, kept, prediction, best, vector)

    def write(self, turn: Turn, draft: Draft, streamed: bool) -> Generator[Piece, None, Served]:
        """Has the answer written, judges it and keeps it where that is allowed."""
        generation = yield from self._ladder.climb(turn, draft.request, self._route(turn, draft), streamed)
        if generation is None:
            return replies.offer_pages(turn, draft.state, draft.passages)
        judged = groundedness.score(generation.text, draft.passages)
        ungrounded = judged.label == groundedness.UNGROUNDED
        blocked = ungrounded and self._policy.block_ungrounded
        turn.step("groundedness", judged.label, "replace" if blocked else "continue", score=judged.score)
        output = check_output(generation.text, self._parts.prompt)
        if output.blocked and not blocked:
            turn.step("output", ",".join(output.findings), "replace", generation.model)
        checked: OutputVerdict | None = output
        if blocked or output.blocked:
            generation, checked = self._ladder.extract(draft.request), None
            judged = groundedness.score(generation.text, draft.passages)
        turn.answered_by = generation.model
        sources = generation.sources or tuple(passage.id for passage in draft.passages)
        answer = Answer(ReplyKind.ANSWER, generation.text, sources=sources, grounded=judged.score, checked=checked)
        cache = self._parts.cache
        clean = not ungrounded and not output.findings
        if clean and cache is not None and draft.vector is not None and cache.may_keep(draft.prediction):
            self._keep(turn, cache, draft, draft.vector, generation, answer)
        return draft.state, answer

    def show_page(self, turn: Turn, state: ConversationState, passage_id: str) -> Served:
        """The whole page that the customer chose."""
        kept = self._screen_pages(turn, (self._parts.knowledge.get(passage_id),))
        if not kept:
            return replies.give_up(turn, state, EscalationReason.NO_ANSWER)
        turn.step("retrieval", "chosen", "continue", passage_id)
        answer = Answer(ReplyKind.ANSWER, kept[0].body, sources=(passage_id,), grounded=1.0)
        return replace(state, offered=()), answer

    def _look_up(
        self, turn: Turn, cache: SemanticCache, question: str, prediction: IntentPrediction
    ) -> Answer | Vector | None:
        """The kept answer; else the question's vector if its answer may be kept, None if it may not."""
        reason = "conversation" if question != turn.message.text else cache.guard(question, prediction)
        if reason is not None:
            turn.step("cache", "bypassed", "continue", reason)
            return None
        vector = cache.encode(question)
        message = turn.message
        hit = cache.find(vector, prediction.label, self._versions, message.locale, message.ts)
        turn.step("cache", "hit" if hit else "miss", "serve" if hit else "continue", score=hit.cosine if hit else None)
        if hit is None:
            return vector
        turn.answered_by = hit.answer.model
        turn.saved = Saved(hit.answer.tokens, hit.answer.cost_usd)
        return Answer(ReplyKind.ANSWER, hit.answer.text, sources=hit.answer.sources, grounded=hit.answer.grounded)

    def _keep(
        self, turn: Turn, cache: SemanticCache, draft: Draft, vector: Vector, generation: Generation, answer: Answer
    ) -> None:
        """Keeps an answer with all that its request used, failed tries included."""
        costs = [call.cost_usd for call in turn.model_calls]
        kept = CachedAnswer(
            text=answer.text,
            sources=answer.sources,
            model=generation.model,
            grounded=answer.grounded,
            tokens=sum(call.tokens_in + call.tokens_out for call in turn.model_calls),
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        )
        message = turn.message
        cache.keep(vector, draft.prediction.label, self._versions, message.locale, message.ts, kept)

    def _search(
        self, turn: Turn, question: str, prediction: IntentPrediction
    ) -> tuple[tuple[Hit, ...], ServiceDraw | None]:
        """What the knowledge base has; no draw where it is left alone after repeated failures."""
        now = turn.message.ts
        if not self._breaker.allow(now):
            turn.step("retrieval", "breaker_open", "hand_over")
            return (), None
        draw = turn.draw("knowledge")
        turn.elapsed_ms()
        operation = turn.trace.retrieval(self._parts.knowledge.version, question, self._policy.passages)
        hits: tuple[Hit, ...] = ()
        searched = False
        try:
            if not draw.failed:
                hits = self._retriever.search(question, prediction, self._policy.passages)
                operation.found(hits)
                searched = True
        finally:
            self._breaker.record(searched, now)
            operation.end(draw.error_type if draw.failed or searched else "failed")
        best = hits[0].score if hits else 0.0
        found = best >= self._policy.min_retrieval_score
        verdict = draw.error_type or ("found" if found else "nothing")
        turn.step("retrieval", verdict, "continue" if found else "stop", score=best)
        turn.add_dependency("knowledge", draw, turn.steps[-1].measured_ms)
        return hits, draw

    def _screen_pages(self, turn: Turn, passages: tuple[Passage, ...]) -> tuple[Passage, ...]:
        """The pages without those that give orders to whoever reads them."""
        kept, dropped = safety.screen_passages(passages)
        if dropped:
            reasons = "; ".join(f"{passage.id}: {reason}" for passage, reason in dropped)
            turn.step("passages", "injection", "drop", reasons)
        return kept

    def _route(self, turn: Turn, draft: Draft) -> Size:
        """Which model is asked first."""
        if self._parts.small is None:
            return "large"
        prediction = draft.prediction
        score = self._parts.routing.score(
            prediction.label, prediction.confidence, draft.retrieval_score, draft.request.question
        )
        size = self._parts.routing.choose(score)
        turn.step("routing", size, "continue", score=score)
        return size
