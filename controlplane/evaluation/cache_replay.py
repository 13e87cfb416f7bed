"""How often the semantic cache would serve, and how often wrongly: labelled questions replayed through the real cache.

How it is measured
- The questions come in one seeded random order. Each is classified and looked up by the rules of `SemanticCache`; a miss is
  kept under the predicted intent for later ones, as the assistant keeps its answer. The cache begins empty, or with `warm`
  questions that came before (their look-ups are not counted).
- A hit is wrong if the question that was answered then has another true intent. A question outside all intents (label None) that
  hits is wrong always.
- Hit rate = hits of all questions of the stream, also of those that the guards turned away. Saved share = tokens of the questions that
  were hits, of the tokens of all.
- The thresholds of the cache, least confidence and least cosine, are chosen on other questions (`choose`): the pair of a grid with
  the highest hit rate among those whose wrong-serve rate is within the target. A figure on the questions that chose them is no
  evidence. The grid has a floor, because two questions of one intent may still need different answers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product

import numpy as np
import numpy.typing as npt

from controlplane.assistant.cache import CacheConfig, CachedAnswer, SemanticCache
from controlplane.assistant.generation import count_tokens
from controlplane.assistant.model import IntentPrediction
from controlplane.core.estimates import Interval, clopper_pearson

COSINES = (0.5, 0.6, 0.7, 0.8, 0.9)
CONFIDENCES = (0.7, 0.8, 0.9, 0.93, 0.95, 0.97, 0.98)
KEPT = (0.97,)
_THEN = datetime(2026, 1, 1, tzinfo=UTC)
_VERSIONS, _LOCALE = "replay", "en"


@dataclass(frozen=True, slots=True)
class Asked:
    """One labelled question. `truth` None = about none of the intents; `vector` (dimensions,) has unit length."""

    text: str
    truth: str | None
    prediction: IntentPrediction
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CacheReplay:
    """Counts of one replay and its figures; `wrong_interval` covers 95 %, None without a hit."""

    min_cosine: float
    min_confidence: float
    requests: int
    bypassed: int
    hits: int
    wrong: int
    saved_share: float
    wrong_interval: Interval | None

    @property
    def hit_rate(self) -> float:
        """Hits of all requests."""
        return self.hits / self.requests if self.requests else 0.0

    @property
    def wrong_serve(self) -> float | None:
        """Wrong ones of the hits."""
        return self.wrong / self.hits if self.hits else None


def replay(stream: Sequence[Asked], config: CacheConfig, seed: int = 0, warm: Sequence[Asked] = ()) -> CacheReplay:
    """Sends the questions through a new cache, in an order that `seed` shuffles."""
    store = SemanticCache(lambda text: _nothing(text), config)
    truths: dict[int, str | None] = {}
    for asked in warm:
        _look_up(store, asked, truths)
    store.stats.bypassed = 0
    order = list(stream)
    random.Random(seed).shuffle(order)
    hits = wrong = saved = 0
    for asked in order:
        entry = _look_up(store, asked, truths)
        if entry is not None:
            hits += 1
            wrong += asked.truth is None or truths[entry] != asked.truth
            saved += count_tokens(asked.text)
    total = sum(count_tokens(asked.text) for asked in order)
    return CacheReplay(
        min_cosine=config.min_cosine,
        min_confidence=config.min_confidence,
        requests=len(order),
        bypassed=store.stats.bypassed,
        hits=hits,
        wrong=wrong,
        saved_share=saved / total if total else 0.0,
        wrong_interval=clopper_pearson(wrong, hits) if hits else None,
    )


def choose(
    stream: Sequence[Asked],
    config: CacheConfig,
    most_wrong: float,
    seeds: Sequence[int] = (0, 1),
    warm: Sequence[Asked] = (),
    cosines: Sequence[float] = COSINES,
    confidences: Sequence[float] = CONFIDENCES,
    kept: Sequence[float] = KEPT,
) -> CacheConfig:
    """The thresholds with the highest hit rate at a wrong-serve rate of at most `most_wrong` on this stream.

    Both rates are means over the orders of `seeds`: in one order a single early wrong entry can serve many. The strictest pair
    where none is within it. `config` gives capacity and time to live; its own thresholds do not matter.
    """
    best = replace(config, min_cosine=max(cosines), min_confidence=max(confidences), keep_confidence=max(kept))
    best_hits = 0
    for confidence, cosine, keep in product(confidences, cosines, kept):
        candidate = replace(config, min_cosine=cosine, min_confidence=confidence, keep_confidence=keep)
        found = [replay(stream, candidate, seed, warm) for seed in seeds]
        hits, wrong = sum(run.hits for run in found), sum(run.wrong for run in found)
        if hits > best_hits and wrong <= most_wrong * hits:
            best, best_hits = candidate, hits
    return best


def _look_up(store: SemanticCache, asked: Asked, truths: dict[int, str | None]) -> int | None:
    """The entry that answers the question; None if there is none, and then its own answer is kept where that is allowed."""
    if store.guard(asked.text, asked.prediction) is not None:
        return None
    intent = asked.prediction.label
    hit = store.find(asked.vector, intent, _VERSIONS, _LOCALE, _THEN)
    if hit is not None:
        return hit.entry
    if not store.may_keep(asked.prediction):
        return None
    kept = CachedAnswer("", (), "", None, count_tokens(asked.text), None)
    truths[store.keep(asked.vector, intent, _VERSIONS, _LOCALE, _THEN, kept)] = asked.truth
    return None


def _nothing(text: str) -> npt.NDArray[np.float32]:
    raise NotImplementedError(f"a replay brings its own vectors, also for {text!r}")
