"""The evaluation job on real stores: one rate a block, each answer judged once, unknown where there is nothing to judge by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.llm_judge import Judgement, JudgeVerdict, OpenAIJudge
from controlplane.assistant.model import Passage
from controlplane.core.policy import Policy, parse
from controlplane.core.sampling import block_start, sampled
from controlplane.settings import SettingsError, load
from controlplane.store.landing import LandingWriter
from controlplane.store.utc import to_aware
from jobs import evaluate, ingest
from jobs.deps import Deps
from jobs.evaluate import stage_events
from jobs.judging import AnswerJudge, answer_judge, fixings, run_once
from tests.jobs.conftest import START, Minutes

PAGE = load_knowledge().get("card-delivery")
TRUE = " ".join(PAGE.sentences[:2])
FALSE = "A courier brings the new card within 2 hours for a fee of 95 euros, and Mister Brown signs for it."
PER_MINUTE = 30
BASE = 0.2

POLICY = """
schema = 1
name = "judged"
owner = "tests"
baseline = "menu"
[budget]
horizon_weeks = 0.1
[assignment]
salt = "s"
[watch]
lateness_seconds = 0
[evaluation]
required = false
[validity]
sample_ratio = false
aa_shadow = false
response_margin = 0.0
swapped_arms = false
[judge]
sample_base = 0.2
[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.5]
approvals = 1
"""
TRIGGER = """
[[triggers]]
name = "hallucination_breach"
metric = "hallucination_rate"
kind = "one_sample"
limit = 0.2
maturity_minutes = 2
weight = 1.0
action = "page"
"""
OTHER = """
[[triggers]]
name = "api_errors"
metric = "api_error_rate"
kind = "one_sample"
limit = 0.1
weight = 1.0
action = "page"
"""


@pytest.fixture
def policy() -> Policy:
    return parse(POLICY + TRIGGER)


class World:
    """Lives minute by minute: answers land, are stored and judged, blocks close."""

    def __init__(self, deps: Deps, rollout_id: str) -> None:
        self.deps = deps
        self.rollout_id = rollout_id
        self.app = LandingWriter(deps.landing, "app")
        self.api = LandingWriter(deps.landing, "api")
        self.judge = AnswerJudge(self.api)
        self.minute = 0

    def answers(self, text: str, sources: Sequence[str], kind: str = "answer") -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        for i in range(PER_MINUTE):
            ts = START + timedelta(minutes=self.minute, seconds=60 * i / PER_MINUTE)
            key = f"c{self.minute}-{i}"
            base = {"conversation_id": key, "ts": ts.isoformat(), "user_id": f"u{key}"}
            exposure = {"record": "exposure", "exposure_id": f"x{key}", "variant": "assistant", "eligible": True}
            names = {"rollout_id": self.rollout_id, "release": "v1"}
            said = {"interaction_id": f"{key}:1", "turn": 1, "arm": "assistant", "release": "v1"}
            texts = {"question": "when will my card arrive", "answer": text, "sources": list(sources)}
            records += [base | exposure | names, base | said | texts | {"extra": {"kind": kind}}]
        return records

    def live(self, minutes: int, text: str = TRUE, sources: Sequence[str] = (PAGE.id,), kind: str = "answer") -> None:
        for _ in range(minutes):
            records = self.answers(text, sources, kind)
            self.minute += 1
            now = self.now
            self.app.write(records)
            for source in (self.app, self.api):
                source.heartbeat(now)
            self.beat(now)
            self.judge.run(self.deps, now)

    def beat(self, now: datetime) -> None:
        ingest.run(self.deps, now)
        evaluate.run(self.deps, now)
        self.deps.last_beat = now

    @property
    def now(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    def labels(self) -> list[tuple[str, datetime, str, float]]:
        """(interaction, answered at, label, rate) of every stored judgement."""
        self.beat(self.now)
        query = """
            SELECT e.interaction_id, i.ts, e.label, e.sampling_rate FROM evaluations AS e
            JOIN interactions AS i ON i.interaction_id = e.interaction_id WHERE e.name = 'groundedness' ORDER BY i.ts
        """
        cursor = self.deps.warehouse.cursor()
        rows = cursor.execute(query).fetchall()
        cursor.close()
        return [(row[0], to_aware(row[1]), row[2], row[3]) for row in rows]

    def count(self, table: str) -> int:
        cursor = self.deps.warehouse.cursor()
        rows = cursor.execute("SELECT count(*) FROM query_table($table)", {"table": table}).fetchall()
        cursor.close()
        return int(rows[0][0])


@pytest.fixture
def world(deps: Deps, started: str) -> Iterator[World]:
    found = World(deps, started)
    yield found
    found.app.close()
    found.api.close()


def test_a_sound_release_is_judged_by_the_sample_the_hash_draws(world: World) -> None:
    world.live(4)
    found = world.labels()
    assert {label for _, _, label, _ in found} == {"grounded"}
    by_rate = {rate for _, _, _, rate in found}
    assert BASE in by_rate
    expected = {
        f"c{minute}-{i}:1" for minute in range(2) for i in range(PER_MINUTE) if sampled(f"c{minute}-{i}:1", BASE)
    }
    early = {name for name, ts, _, _ in found if ts < START + timedelta(minutes=2)}
    assert early == expected  # before any block has closed there is no evidence: the base rate


def test_harm_raises_the_rate_from_the_next_block_on_and_for_all_of_it(world: World) -> None:
    world.live(2)
    world.live(6, FALSE)
    found = world.labels()
    history = stage_events(world.deps, world.deps.state.rollout())  # type: ignore[arg-type]
    rates: dict[datetime, set[float]] = {}
    for _, ts, _, rate in found:
        opened = block_start(history, 60, ts)
        assert opened is not None
        rates.setdefault(opened, set()).add(rate)
    assert all(len(each) == 1 for each in rates.values())
    newest = max(rates)
    assert rates[newest] == {1.0}
    assert sum(1 for _, ts, _, _ in found if ts >= newest) == PER_MINUTE
    assert {label for _, ts, label, _ in found if ts >= newest} == {"ungrounded"}
    fixed = fixings(world.deps.state, world.rollout_id)
    assert fixed[0].fixed_at == START
    assert fixed[0].rate == BASE
    assert fixed[-1].rate == 1.0
    assert all(later.fixed_at > earlier.fixed_at for earlier, later in pairwise(fixed))


def test_a_restart_judges_nothing_twice_and_by_the_same_rates(world: World) -> None:
    world.live(4)
    before = world.labels()
    fixed = fixings(world.deps.state, world.rollout_id)
    again = AnswerJudge(world.api).run(world.deps, world.now)
    assert again.judged == 0
    assert world.labels() == before
    assert fixings(world.deps.state, world.rollout_id) == fixed
    assert world.count("quarantine") == 0


def test_a_crash_before_the_labels_landed_judges_the_same_answers_later(world: World) -> None:
    world.live(2)

    class Full:
        def write(self, records: list[dict[str, Any]]) -> int:
            raise OSError("the disk is full")

    judged = len(world.labels())
    records = world.answers(TRUE, [PAGE.id])
    world.minute += 1
    world.app.write(records)
    world.beat(world.now)
    broken = AnswerJudge(Full())
    for _ in range(2):  # what has not landed is not done
        with pytest.raises(OSError, match="full"):
            broken.run(world.deps, world.now)
    done = world.judge.run(world.deps, world.now)
    assert done.judged == len(world.labels()) - judged > 0


def test_pages_that_are_not_there_give_no_verdict(world: World) -> None:
    world.live(1, TRUE, ["a-page-of-another-bank"])
    world.live(1, FALSE, [])
    found = world.labels()
    assert found
    assert {label for _, _, label, _ in found} == {"unknown"}
    query = "SELECT count(*) FROM judgements WHERE metric = 'hallucination_rate'"
    cursor = world.deps.warehouse.cursor()
    assert cursor.execute(query).fetchall() == [(0,)]  # neither for nor against
    cursor.close()


@pytest.mark.parametrize("kind", ["confirm", "handover", "clarify"])
def test_what_claims_nothing_is_not_judged(world: World, kind: str) -> None:
    world.live(2, TRUE, [PAGE.id], kind)
    assert world.labels() == []


def test_nothing_is_judged_before_the_first_heartbeat_or_without_a_trigger(world: World) -> None:
    world.deps.last_beat = None
    assert world.judge.run(world.deps, world.now).seen == 0
    world.live(1)
    world.deps.policy = parse(POLICY + OTHER)
    assert AnswerJudge(world.api).run(world.deps, world.now).rate is None


def test_a_language_model_may_judge(world: World) -> None:
    asked: list[tuple[str, Sequence[Passage]]] = []

    class Model:
        def judge(self, answer: str, passages: Sequence[Passage]) -> Judgement:
            asked.append((answer, passages))
            verdict = JudgeVerdict.UNGROUNDED if len(asked) % 2 else JudgeVerdict.UNKNOWN
            probability = 0.1 if verdict is JudgeVerdict.UNGROUNDED else None
            return Judgement(verdict, probability, (), "", "m", "p1", None if probability else "timeout")

    world.judge = AnswerJudge(world.api, Model())
    world.live(2)
    found = [label for _, _, label, _ in world.labels()]
    assert len(found) == len(asked) > 2
    assert set(found) == {"ungrounded", "unknown"}
    assert PAGE in asked[0][1]


def test_one_heartbeat_without_a_control_process(world: World, at: Minutes) -> None:
    world.app.write(world.answers(TRUE, [PAGE.id]))
    world.app.heartbeat(at(1))
    world.minute = 1
    world.beat(at(1))
    done = run_once(world.deps, at(1))
    assert (done.seen, done.rate) == (PER_MINUTE, BASE)
    assert len(world.labels()) == done.judged > 0
    cursor = world.deps.warehouse.cursor()
    live = dict(cursor.execute("SELECT source, live FROM sources").fetchall())
    cursor.close()
    assert live["judge"] is False  # no block waits for it


def test_the_judge_is_named_by_the_environment(world: World) -> None:
    settings = load(env={"CONTROLPLANE_JUDGE_URL": "http://127.0.0.1:9/v1", "CONTROLPLANE_JUDGE_MODEL": "judge-1"})
    judge = answer_judge(settings, world.api).judge
    assert isinstance(judge, OpenAIJudge)
    assert judge.model == "judge-1"
    judge.close()
    assert answer_judge(load(env={}), world.api).judge is None
    with pytest.raises(SettingsError, match="CONTROLPLANE_JUDGE_MODEL is not set"):
        load(env={"CONTROLPLANE_JUDGE_URL": "http://127.0.0.1:9/v1"})
    secret = load(env={"CONTROLPLANE_JUDGE_URL": "u", "CONTROLPLANE_JUDGE_MODEL": "m", "CONTROLPLANE_LLM_KEY": "very"})
    assert secret.judge is not None
    assert secret.judge.key == "very"
    assert "very" not in repr(secret)
