"""What each conversation of a planted incident meets, given the cause: failures, latency, wrong intents, ungrounded answers, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KINDS = (
    *("release", "prompt", "model", "knowledge", "classifier"),
    *("policy", "traffic", "dependency", "infrastructure", "logging"),
)
INTENTS = ("balance", "card_lost", "fees", "transfer", "mortgage", "login", "address", "statement")
COLUMNS: dict[str, tuple[str, ...]] = {
    "intent": INTENTS,
    "channel": ("app", "web", "phone", "chat"),
    "region": ("north", "south", "east", "west"),
    "segment": ("retail", "business", "student"),
}
MODELS = ("small-1", "large-1")
DEPENDENCIES = ("core-banking", "cards", "crm")
SEARCH = "knowledge-search"
OBJECTIVE_MS = 4_000.0
BEFORE, AFTER = timedelta(hours=6), timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was planted: for the examiner only."""

    kind: str
    dimension: str
    value: str
    size: float
    silent: bool
    how: str


@dataclass(slots=True)
class World:
    """Columns of all conversations; every array has one entry a conversation."""

    rng: np.random.Generator
    n: int
    at: Floats  # seconds from the begin
    late: Bools
    treated: Bools
    columns: dict[str, Ints]
    model: Ints
    cached: Bools
    uses: Ints  # dependency, -1 for none
    hot: Bools = field(init=False)  # late, and in the slice


def inside(world: World, dimension: str, value: str) -> Bools:
    if dimension == "model":
        return np.asarray(world.treated & ~world.cached & (world.model == MODELS.index(value)))
    if dimension == "dependency":
        return np.asarray(world.uses == DEPENDENCIES.index(value))
    if not dimension:
        return np.ones(world.n, dtype=np.bool_)
    return np.asarray(world.columns[dimension] == COLUMNS[dimension].index(value))


class Harm:
    """What each conversation meets, given the cause."""

    def __init__(self, world: World, answer: Answer) -> None:
        rng, n = world.rng, world.n
        self.world, self.answer = world, answer
        hot = world.hot & (world.treated | np.isin(answer.kind, ("traffic", "dependency", "infrastructure")))
        if answer.kind == "logging" and rng.random() < 0.5:
            hot = world.hot
        elif answer.kind == "logging":
            hot = world.hot & world.treated
        self.hot, kind, size = hot, answer.kind, answer.size

        def lift(base: float | Floats, more: float, where: Bools = hot) -> Bools:
            return np.asarray(rng.random(n) < base + more * where)

        big = 0.9 if kind == "classifier" else 0.0
        self.wrong = lift(0.06, big * max(size, 0.25))
        self.confidence = np.clip(
            rng.beta(9, 2, n) - 0.15 * self.wrong - (kind == "classifier") * 0.12 * hot, 0.02, 1.0
        )
        grounded = {"prompt": 0.5, "model": 0.6, "knowledge": 0.9}.get(kind, 0.0)
        self.ungrounded = lift(0.03, grounded * size)
        self.dependency_failed = lift(0.004, size * (kind == "dependency") + 0.25 * size * (kind == "infrastructure"))
        self.dependency_failed &= world.uses >= 0
        self.model_failed = lift(0.003, 0.25 * size * (kind == "infrastructure"))
        self.code_failed = lift(0.001, 0.5 * size * (kind == "release") * (rng.random() < 0.5))
        self.timed_out = lift(0.003, 0.5 * size * (kind == "infrastructure"))
        slower = rng.uniform(1.8, 3.5)
        usual = np.where(world.late, rng.uniform(1.0, 1.08), 1.0)
        self.latency = usual * np.where(hot & (kind == "infrastructure"), slower, 1.0)
        self.dependency_latency = usual * np.where(hot & np.isin(kind, ("infrastructure", "dependency")), slower, 1.0)
        self.model_latency = np.where(hot & (kind == "model"), rng.choice([0.6, 1.7]), 1.0)
        self._tokens(rng, kind)
        self.routed = lift(0.03, size * (kind == "policy"))
        self.low_confidence = (self.confidence < 0.4) & world.treated
        self._outcome(rng, kind, size)

    def _tokens(self, rng: np.random.Generator, kind: str) -> None:
        hot, n = self.hot, self.world.n
        treated_late = self.world.late & self.world.treated
        prompt = rng.choice([-1, 1]) * rng.uniform(0.12, 0.4)
        # the new prompt is sent with every question, whatever its slice; what it spoils may be one slice
        self.tokens_in = rng.lognormal(6.4, 0.25, n) * np.where(treated_late & (kind == "prompt"), 1 + prompt, 1.0)
        harmless = kind == "release" and rng.random() < 0.3
        self.tokens_in *= np.where(treated_late & harmless, 1 + prompt / 2, 1.0)
        self.tokens_in *= np.where(hot & (kind == "knowledge"), rng.uniform(0.95, 1.12), 1.0)
        length = rng.choice([-1, 1]) * rng.uniform(0.15, 0.4)
        self.tokens_out = rng.lognormal(4.6, 0.35, n) * np.where(
            hot & np.isin(kind, ("prompt", "model")), 1 + length, 1.0
        )

    def _outcome(self, rng: np.random.Generator, kind: str, size: float) -> None:
        world, n = self.world, self.world.n
        base = rng.uniform(0.06, 0.22, len(INTENTS))[world.columns["intent"]]
        base = base + rng.uniform(0.0, 0.06, 4)[world.columns["channel"]] + 0.04 * ~world.treated
        if kind == "traffic":
            base = base + rng.uniform(0.25, 0.4) * inside(world, self.answer.dimension, self.answer.value)
        failed = self.dependency_failed | self.model_failed | self.code_failed | self.timed_out
        bad = 0.5 * failed + world.treated * (0.45 * self.wrong + 0.45 * self.ungrounded)
        bad = bad + 0.6 * size * self.hot * np.isin(kind, ("release", "prompt", "model"))
        self.escalated = np.asarray(rng.random(n) < base + bad) | ((self.routed | self.low_confidence) & world.treated)
        mood = 4.2 - 1.2 * self.escalated - 1.0 * failed - 0.6 * world.treated * (self.wrong | self.ungrounded)
        self.rating = np.clip(np.rint(rng.normal(mood, 0.9)), 1, 5).astype(int)
        self.rated = rng.random(n) < 0.5
        lost = self.hot & (kind == "logging") & (self.answer.how == "lost") & ~self.escalated
        self.lost = np.asarray(rng.random(n) < np.where(lost, 0.3 + size, 0.001))
        blank = self.hot & (kind == "logging") & (self.answer.how == "blank")
        self.blank = np.asarray(rng.random(n) < np.where(blank, 0.3 + size, 0.001))
        silent = self.hot & (kind == "logging") & (self.answer.how == "ratings") & (self.rating >= 3)
        self.rated &= ~(silent & (rng.random(n) < 0.5 + size))
