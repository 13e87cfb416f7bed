"""The evaluation job: judges a sample of the assistant's new answers for groundedness, more of them while there is evidence of harm.

Rules
- The rate of a block is fixed before the block from the evidence of earlier ones (`controlplane.core.sampling`) and kept in the state, so a
  restart judges by the same rate. Which answers: a stable hash of the interaction id.
- An answer is judged once. Its evaluation id derives from its own; what was judged before a crash has landed, and this job begins only
  after a heartbeat has stored all that had landed.
- Labels land like any other record and take the path of all data; their time is the time of the judgement, so one that comes after the
  maturity is stored and shown but no longer counted.
- Without the reviewed text of a page that the answer cites there is no verdict: the label is "unknown", which counts neither for nor against.
- The job has a thread of its own beside the heartbeat: a slow judge makes labels late, never decisions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from controlplane.assistant import groundedness
from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.llm_judge import Judge
from controlplane.assistant.reviewed import ReviewedPassages
from controlplane.core.model import Rollout
from controlplane.core.policy import Policy
from controlplane.core.sampling import Fixing, block_start, due, grid_seconds, hallucination_triggers, rate_at, sampled
from controlplane.settings import Settings
from controlplane.store.landing import LandingWriter, iso
from controlplane.store.queries import load
from controlplane.store.state import StateReader
from controlplane.store.utc import to_aware, to_naive
from jobs.deps import Deps
from jobs.evaluate import stage_events_of

KIND = "sampling_rate"  # of the state's artefacts
SOURCE = "judge"
UNKNOWN = "unknown"
AT_LEAST = timedelta(minutes=10)  # how far back new answers are looked for, where the maturity is shorter


class Landing(Protocol):
    """Durable before it returns."""

    def write(self, records: list[dict[str, Any]]) -> int: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """What one run did: new answers seen, judged, of them without a verdict, and the rate of a block that opens now (None: no rollout)."""

    seen: int = 0
    judged: int = 0
    unknown: int = 0
    rate: float | None = None


@dataclass
class AnswerJudge:
    """Judges as answers come. `judge` None = the detector that ships; `knowledge` is the reviewed one, None = the one that ships."""

    landing: Landing
    judge: Judge | None = None
    knowledge: Knowledge | None = None
    _after: int = 0  # the newest batch whose answers are done
    _rollout: str = ""
    _pages: ReviewedPassages | None = field(default=None, repr=False)

    def run(self, deps: Deps, now: datetime) -> Judged:
        """Judge what is new. Nothing before the first heartbeat, without a rollout, or where no trigger counts judged answers."""
        rollout, seconds = deps.state.rollout(), grid_seconds(deps.policy)
        if rollout is None or seconds is None or deps.last_beat is None:
            return Judged()
        if rollout.rollout_id != self._rollout:
            self._rollout, self._after = rollout.rollout_id, 0
        fixed = fix_rate(deps, rollout, now)
        history = stage_events_of(deps.state, rollout)
        since = now - _look_back(deps.policy)
        found, last_batch = _new_answers(deps, rollout, since, self._after)
        rates: dict[str, float] = {}
        for interaction_id, ts in found:
            opened = block_start(history, seconds, ts)
            rate = None if opened is None else rate_at(fixed, opened)
            if rate is not None and sampled(interaction_id, rate):
                rates[interaction_id] = rate
        records = [self._record(row, rates[row["interaction_id"]], now) for row in _texts(deps, since, list(rates))]
        if records:
            self.landing.write(records)
        self._after = last_batch
        unknown = sum(record["label"] == UNKNOWN for record in records)
        return Judged(len(found), len(records), unknown, fixed[-1].rate if fixed else None)

    def _record(self, row: Mapping[str, Any], rate: float, now: datetime) -> dict[str, Any]:
        score, label, evaluator = self._verdict(row)
        return {
            "record": "evaluation",
            "evaluation_id": f"{row['interaction_id']}:groundedness",
            "ts": iso(now),
            "interaction_id": row["interaction_id"],
            "conversation_id": row["conversation_id"],
            "name": "groundedness",
            "score": None if score is None else round(score, 4),
            "label": label,
            "evaluator": evaluator,
            "sampling_rate": rate,
        }

    def _verdict(self, row: Mapping[str, Any]) -> tuple[float | None, str, str]:
        """Score, label and who gave it."""
        if self._pages is None:
            from controlplane.assistant.release import reference_knowledge

            self._pages = ReviewedPassages(self.knowledge or reference_knowledge())
        sources = _cited(row["sources"])
        if not self._pages.cited(sources):
            return None, UNKNOWN, "none: no reviewed page that it cites"
        passages = self._pages.passages(row["question"] or "", row["intent_pred"], row["intent_conf"], sources)
        if self.judge is not None:
            said = self.judge.judge(row["answer"], passages)
            return said.probability, str(said.verdict), said.evaluator
        found = groundedness.score(row["answer"], passages)
        return found.score, found.label, groundedness.detector()


def answer_judge(settings: Settings, landing: Landing) -> AnswerJudge:
    """With the language model that the settings name, else with the detector that ships."""
    if settings.judge is None:
        return AnswerJudge(landing)
    from controlplane.assistant.llm_judge import OpenAIJudge

    return AnswerJudge(landing, OpenAIJudge(settings.judge.url, settings.judge.model, settings.judge.key))


def run_once(deps: Deps, now: datetime) -> Judged:
    """One run with a landing source of its own, for a process that lives for one heartbeat; the source signs off, so no block waits for it."""
    with LandingWriter(deps.landing, SOURCE) as landing:
        done = answer_judge(deps.settings, landing).run(deps, now)
        landing.sign_off(now)
    return done


def fix_rate(deps: Deps, rollout: Rollout, now: datetime) -> list[Fixing]:
    """All fixings of the rollout, oldest first, after those that are due have been recorded."""
    fixed = fixings(deps.state, rollout.rollout_id)
    lanes = [lane.state for lane in deps.state.lanes(rollout.rollout_id).values()]
    for fixing in due(deps.policy, lanes, stage_events_of(deps.state, rollout), fixed, now):
        summary = {"rollout_id": rollout.rollout_id, **fixing.to_dict()}
        name = f"sampling:{rollout.rollout_id}:{fixing.fixed_at.isoformat()}"
        deps.state.record_artefact(name, KIND, "", summary, now)
        fixed.append(fixing)
    return fixed


def fixings(state: StateReader, rollout_id: str) -> list[Fixing]:
    """What was fixed for a rollout, oldest first."""
    rows = [row.summary for row in state.artefacts(KIND) if row.summary["rollout_id"] == rollout_id]
    return sorted((Fixing.from_dict(row) for row in rows), key=lambda fixing: fixing.fixed_at)


def _look_back(policy: Policy) -> timedelta:
    """A label that comes later than the maturity is not counted, so older answers need none."""
    return max([AT_LEAST, *(trigger.maturity for trigger in hallucination_triggers(policy))])


def _new_answers(deps: Deps, rollout: Rollout, since: datetime, after: int) -> tuple[list[tuple[str, datetime]], int]:
    with deps.warehouse.transaction() as cursor:
        last_batch = int(cursor.execute(load("rollups/last_batch")).fetchall()[0][0])
        if last_batch <= after:
            return [], after
        names = {"rollout_id": rollout.rollout_id, "release": rollout.release}
        bounds = {"since": to_naive(since), "after_batch": after, "last_batch": last_batch}
        rows = cursor.execute(load("judging/new_answers"), names | bounds).fetchall()
    return [(str(row[0]), to_aware(row[1])) for row in rows], last_batch


def _texts(deps: Deps, since: datetime, ids: Sequence[str]) -> list[dict[str, Any]]:
    if not ids:
        return []
    cursor = deps.warehouse.cursor()
    try:
        found = cursor.execute(load("judging/texts"), {"since": to_naive(since), "ids": list(ids)})
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    finally:
        cursor.close()


def _cited(sources: str | None) -> list[str]:
    """Ids of the cited pages; producers log them as a JSON list, anything else cites nothing."""
    try:
        found = json.loads(sources or "[]")
    except ValueError:
        return []
    return [str(item) for item in found] if isinstance(found, list) else []
