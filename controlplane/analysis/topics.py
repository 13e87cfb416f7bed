"""What customers ask that the assistant does not deal with: topics, how many customers they touch, and whether a topic is new.

- Questions of two spans are grouped together, without saying which is whose: TF-IDF of words and pairs, latent semantic analysis (Deerwester et al.,
  JASIS 41, 1990), unit length, seeded k-means with a group for every `PER_GROUP` questions; or sentence embeddings where they are given. What is far
  from every centre, and what is left of a group below `MIN_SIZE`, is in no topic.
- Because the grouping does not know the span, membership and span are independent where nothing changed, and Fisher's exact test (one-sided, of the
  topic's customers among all whom the assistant served) keeps its level; p is adjusted over the topics by Benjamini and Hochberg.
- `new`: significantly more, and at most `NEW_RATIO` of the rate before. `grown`: significantly more otherwise. Without a span before: unknown.
- A topic keeps its id while its words do: the cosine of the weights of its terms to those of a known topic is at least `SAME`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan, nan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.core.masking import mask
from controlplane.core.multiplicity import adjusted

FLAGS = ("escalated", "unresolved", "out_of_scope", "low_confidence", "refused")
MIN_SIZE = 5
MAX_GROUPS = 200
PER_GROUP = 20
DIMENSIONS = 150
NEAR = 0.25  # cosine to the centre below which a question belongs to no topic
NEW_RATIO = 0.2
SAME = 0.5
TERMS, CENTROID_TERMS, EXAMPLES = 5, 30, 3

Vectors = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """One conversation's question; `flags` say why it counts, `current` which span it is of."""

    key: str
    text: str
    customer: str
    at: datetime
    current: bool
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Served:
    """Customers whom the assistant served in the span, and in the span before."""

    now: int
    before: int


@dataclass(frozen=True, slots=True)
class Topic:
    """Counts of the span (`n`, `customers`, flags) and of the one before. `centroid`: weight by term; `members`: keys of its questions."""

    topic_id: str
    terms: tuple[str, ...]
    n: int
    share: float
    customers: int
    before_n: int
    before_share: float
    change: str
    p_value: float | None
    p_adjusted: float | None
    flags: dict[str, int]
    first_at: datetime
    examples: tuple[str, ...]
    centroid: dict[str, float]
    members: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What the artefact's summary says of it: no member and no centroid."""
        return {
            "topic_id": self.topic_id,
            "label": ", ".join(self.terms[:3]),
            "terms": list(self.terms),
            "n": self.n,
            "share": self.share,
            "before_n": self.before_n,
            "before_share": self.before_share,
            "new": self.change == "new",
            "change": self.change,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "customers": self.customers,
            **self.flags,
            "first_at": self.first_at.isoformat().replace("+00:00", "Z"),
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True)
class Found:
    """Topics by customers affected, most first; questions of the span in no topic; why there is none ("" where there are)."""

    topics: tuple[Topic, ...]
    unclustered: int
    reason: str = ""


def find_topics(
    questions: Sequence[Question],
    served: Served,
    known: Mapping[str, Mapping[str, float]],
    seed: int = 7,
    alpha: float = 0.05,
    vectors: Vectors | None = None,
) -> Found:
    """Topics of the questions of both spans. `vectors` (n, d): embeddings instead of TF-IDF. `known`: term weights of earlier topics by id."""
    now = sum(question.current for question in questions)
    if now < MIN_SIZE:
        return Found((), now, f"{now} questions were left open in the span: too few for a topic, which has {MIN_SIZE}")
    weights, names = _tfidf([question.text for question in questions])
    if weights is None:
        return Found((), now, "the questions have no word in common")
    labels = group(reduced(weights, seed) if vectors is None else vectors, seed)
    groups = [np.flatnonzero(labels == label).tolist() for label in range(int(labels.max()) + 1)]
    current = np.array([question.current for question in questions])
    groups = [rows for rows in groups if current[rows].any()]
    tests = [_test([questions[row] for row in rows], served) for rows in groups]
    p_values = adjusted([nan if p is None else p for p in tests], "bh").tolist()
    believed = [None if isnan(p) else p for p in p_values]
    totals = (now, len(questions) - now)
    used: set[str] = set()
    found = []
    for rows, p, corrected in sorted(zip(groups, tests, believed, strict=True), key=lambda item: -len(item[0])):
        members = [questions[row] for row in rows]
        centroid = _centroid(weights, names, rows)
        change = _change(corrected, members, served, alpha)
        topic_id = _identity(centroid, known, used)
        near = _examples(weights, rows, questions)
        found.append(_topic(topic_id, members, centroid, (p, corrected, change), totals, near))
    found.sort(key=lambda topic: (-topic.customers, topic.topic_id))
    return Found(tuple(found), now - sum(topic.n for topic in found))


def reduced(weights: Any, seed: int) -> Vectors:
    """Sparse TF-IDF rows (n, terms) as dense unit rows (n, at most `DIMENSIONS`); an empty row stays 0."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    most = min(weights.shape) - 1
    dense = (
        TruncatedSVD(DIMENSIONS, random_state=seed).fit_transform(weights)
        if most > DIMENSIONS
        else np.asarray(weights.todense())
    )
    found: Vectors = normalize(dense)
    return found


def group(vectors: Vectors, seed: int) -> Labels:
    """Group number of every row, from 0 in the order of first appearance; -1 = none. The same rows and seed give the same groups."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    n = len(vectors)
    count = max(1, min(MAX_GROUPS, n // PER_GROUP, len(np.unique(np.round(vectors, 6), axis=0))))
    with threadpool_limits(limits=1):  # sums in one order: the same groups on any machine
        model = KMeans(count, n_init=3, random_state=seed).fit(vectors)
    centres = model.cluster_centers_ / np.maximum(np.linalg.norm(model.cluster_centers_, axis=1, keepdims=True), 1e-12)
    labels = np.asarray(model.labels_).copy()
    labels[np.einsum("ij,ij->i", vectors, centres[labels]) < NEAR] = -1
    order: dict[int, int] = {}
    sizes = Counter(labels.tolist())
    for label in labels.tolist():
        if label >= 0 and sizes[label] >= MIN_SIZE:
            order.setdefault(label, len(order))
    return np.array([order.get(label, -1) for label in labels.tolist()])


def cosine(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Cosine of two sparse weights; 0 where one is empty."""
    length = sqrt(sum(w * w for w in first.values()) * sum(w * w for w in second.values()))
    return sum(w * second.get(term, 0.0) for term, w in first.items()) / length if length else 0.0


def _tfidf(texts: Sequence[str]) -> tuple[Any, list[str]]:
    """Rows (n, terms) and the terms; None where no term is left. Placeholders of masked data are no words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    pattern = r"(?u)(?<!\[)\b\w\w+\b(?!\])"
    for least in (2, 1):
        vectoriser = TfidfVectorizer(
            sublinear_tf=True,
            min_df=least,
            stop_words="english",
            ngram_range=(1, 2),
            token_pattern=pattern,
        )
        try:
            return vectoriser.fit_transform(texts), list(vectoriser.get_feature_names_out())
        except ValueError:  # no term is frequent enough
            continue
    return None, []


def _customers(members: Sequence[Question], current: bool) -> int:
    return len({question.customer for question in members if question.current is current})


def _test(members: Sequence[Question], served: Served) -> float | None:
    """One-sided p of Fisher's exact test that the topic touches more customers than before; None without a span before."""
    now, before = _customers(members, True), _customers(members, False)
    if served.before < MIN_SIZE or served.now < now or served.before < before:
        return None
    from scipy.stats import fisher_exact

    table = [[now, served.now - now], [before, served.before - before]]
    return float(fisher_exact(table, alternative="greater").pvalue)


def _change(p: float | None, members: Sequence[Question], served: Served, alpha: float) -> str:
    if p is None:
        return "unknown"
    if p > alpha:
        return "same"
    before, now = _customers(members, False) / served.before, _customers(members, True) / served.now
    return "new" if before <= NEW_RATIO * now else "grown"


def _centroid(weights: Any, names: Sequence[str], rows: Sequence[int]) -> dict[str, float]:
    mean = np.asarray(weights[rows].mean(axis=0)).ravel()
    top = [int(place) for place in np.argsort(-mean, kind="stable")[:CENTROID_TERMS] if mean[place] > 0.0]
    return {names[place]: round(float(mean[place]), 6) for place in top}


def _examples(weights: Any, rows: Sequence[int], questions: Sequence[Question]) -> list[str]:
    """The span's own questions nearest to the centre, each wording once, masked."""
    centre = np.asarray(weights[rows].mean(axis=0)).ravel()
    near = np.asarray(weights[rows] @ centre).ravel()
    texts = [
        questions[rows[place]].text for place in np.argsort(-near, kind="stable") if questions[rows[place]].current
    ]
    return list(dict.fromkeys(mask(text)[:300] for text in texts))[:EXAMPLES]


def _identity(centroid: Mapping[str, float], known: Mapping[str, Mapping[str, float]], used: set[str]) -> str:
    likeness = [(cosine(centroid, other), name) for name, other in known.items() if name not in used]
    best = max(likeness, default=(0.0, ""))
    said = "|".join(sorted(centroid))
    fresh = f"t-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
    found = best[1] if best[0] >= SAME else fresh
    while found in used:  # another topic of the same words
        found = f"t-{hashlib.sha256(found.encode()).hexdigest()[:8]}"
    used.add(found)
    return found


def _topic(
    topic_id: str,
    members: Sequence[Question],
    centroid: dict[str, float],
    test: tuple[float | None, float | None, str],
    totals: tuple[int, int],
    examples: Sequence[str],
) -> Topic:
    mine = [question for question in members if question.current]
    before = len(members) - len(mine)
    p, adjusted, change = test
    return Topic(
        topic_id=topic_id,
        terms=tuple(list(centroid)[:TERMS]),
        n=len(mine),
        share=len(mine) / totals[0],
        customers=_customers(members, True),
        before_n=before,
        before_share=before / totals[1] if totals[1] else 0.0,
        change=change,
        p_value=p,
        p_adjusted=adjusted,
        flags={flag: sum(flag in question.flags for question in mine) for flag in FLAGS},
        first_at=min(question.at for question in mine),
        examples=tuple(examples),
        centroid=centroid,
        members=tuple(sorted(question.key for question in mine)),
    )
