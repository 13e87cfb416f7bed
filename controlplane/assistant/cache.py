"""Answers given before, served again to a question that means the same; off unless a release turns it on.

Rules (plain cosine similarity serves the answer to another intent in 4-6 of 100 hits, so a hit needs all of these)
- The same predicted intent, now with at least `min_confidence` and then with at least `keep_confidence` (a wrong entry serves
  many, so what is kept must be surer than what is served); the same artefacts (knowledge, policy, models, prompt, classifier)
  and locale; a cosine of at least `min_cosine`; an entry younger than `ttl_seconds`.
- Never kept and never looked up: what a person must handle, workflows, messages with personal content (anything that masking
  would touch, or any number), answers to half a conversation. Never kept: answers judged ungrounded or changed by the output check.
- Bounded: beyond `capacity` the entry used longest ago goes. Safe to use from several threads.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controlplane.assistant.model import IntentPrediction
from controlplane.core.masking import mask

Vector = NDArray[np.float32]
Encode = Callable[[str], Vector]
_PERSONAL = re.compile(r"\d|@|£|\$|€")


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Confidence and cosine in [0, 1], capacity in entries."""

    min_cosine: float = 0.9
    min_confidence: float = 0.7
    keep_confidence: float = 0.9
    capacity: int = 5_000
    ttl_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        for name in ("min_cosine", "min_confidence", "keep_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"cache: {name} {getattr(self, name)} must lie in 0..1")
        if self.capacity < 1 or self.ttl_seconds <= 0:
            raise ValueError(f"cache: capacity {self.capacity} must be >= 1, ttl_seconds {self.ttl_seconds} > 0")


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it was given, and what it used: tokens in and out, and US dollars (None = unpriced)."""

    text: str
    sources: tuple[str, ...]
    model: str
    grounded: float | None
    tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class CacheHit:
    """An answer found, and how close the question it was given to is. `entry` numbers the entry, oldest first."""

    answer: CachedAnswer
    cosine: float
    entry: int


@dataclass(slots=True)
class CacheStats:
    """Counts since the start. Requests that the guards turn away are `bypassed`, neither hit nor miss."""

    hits: int = 0
    misses: int = 0
    bypassed: int = 0
    stored: int = 0
    evicted: int = 0
    tokens_saved: int = 0
    cost_saved_usd: float = 0.0

    @property
    def hit_rate(self) -> float | None:
        """Hits of all look-ups, None before the first one."""
        looked_up = self.hits + self.misses
        return self.hits / looked_up if looked_up else None


@dataclass(slots=True)
class _Bucket:
    """Entries that may answer each other: ids, vectors (n, dimensions), answers, times."""

    ids: list[int] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    answers: list[CachedAnswer] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def remove(self, entry: int) -> None:
        """Forgets one entry."""
        position = self.ids.index(entry)
        for column in (self.ids, self.vectors, self.answers, self.times):
            del column[position]


class SemanticCache:
    """Answers by intent, version and locale, found by the meaning of the question."""

    def __init__(self, encode: Encode, config: CacheConfig | None = None) -> None:
        """`encode` turns a text into a vector of unit length."""
        self.config = config or CacheConfig()
        self.stats = CacheStats()
        self._encode = encode
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}
        self._order: OrderedDict[int, tuple[str, str, str]] = OrderedDict()
        self._next = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._order)

    def guard(self, question: str, prediction: IntentPrediction) -> str | None:
        """Why this question must neither be looked up nor kept, None if it may."""
        if prediction.confidence < self.config.min_confidence:
            reason = "unsure"
        elif _PERSONAL.search(question) or mask(question) != question:
            reason = "personal"
        else:
            return None
        with self._lock:
            self.stats.bypassed += 1
        return reason

    def may_keep(self, prediction: IntentPrediction) -> bool:
        """Whether the answer to a question that was looked up is sure enough to serve others."""
        return prediction.confidence >= max(self.config.min_confidence, self.config.keep_confidence)

    def encode(self, question: str) -> Vector:
        """The vector that `find` and `keep` take."""
        return self._encode(question)

    def find(self, vector: Vector, intent: str, versions: str, locale: str, now: datetime) -> CacheHit | None:
        """The answer to the nearest question of the same kind, None if none is near and young enough."""
        key = (versions, locale, intent)
        with self._lock:
            bucket = self._fresh(key, now)
            if bucket is not None and bucket.ids:
                cosines = np.stack(bucket.vectors) @ vector
                best = int(cosines.argmax())
                cosine = float(cosines[best])
                if cosine >= self.config.min_cosine:
                    answer, entry = bucket.answers[best], bucket.ids[best]
                    self._order.move_to_end(entry)
                    self.stats.hits += 1
                    self.stats.tokens_saved += answer.tokens
                    self.stats.cost_saved_usd += answer.cost_usd or 0.0
                    return CacheHit(answer, cosine, entry)
            self.stats.misses += 1
            return None

    def keep(self, vector: Vector, intent: str, versions: str, locale: str, now: datetime, answer: CachedAnswer) -> int:
        """Keeps an answer; returns the number of its entry."""
        key = (versions, locale, intent)
        with self._lock:
            entry, self._next = self._next, self._next + 1
            bucket = self._buckets.setdefault(key, _Bucket())
            bucket.ids.append(entry)
            bucket.vectors.append(vector)
            bucket.answers.append(answer)
            bucket.times.append(now)
            self._order[entry] = key
            self.stats.stored += 1
            while len(self._order) > self.config.capacity:
                oldest, where = next(iter(self._order.items()))
                self._drop(oldest, where)
            return entry

    def _fresh(self, key: tuple[str, str, str], now: datetime) -> _Bucket | None:
        """The bucket without what is too old."""
        bucket = self._buckets.get(key)
        if bucket is None:
            return None
        limit = now - timedelta(seconds=self.config.ttl_seconds)
        for entry in [entry for entry, kept in zip(bucket.ids, bucket.times, strict=True) if kept <= limit]:
            self._drop(entry, key)
        return self._buckets.get(key)

    def _drop(self, entry: int, key: tuple[str, str, str]) -> None:
        self._buckets[key].remove(entry)
        if not self._buckets[key].ids:
            del self._buckets[key]
        del self._order[entry]
        self.stats.evicted += 1
