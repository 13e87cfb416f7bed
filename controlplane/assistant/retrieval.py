"""Which passages could answer a question: BM25 over titles, keywords and bodies, helped by the predicted intent.

Rules
- Okapi BM25 (Robertson & Zaragoza 2009, eq. 3.15) on stems, k1 = 1.2, b = 0.75; a stem of the title counts three times,
  one of the keywords twice.
- Pages written for the predicted intent gain `INTENT_BONUS` x confidence, its leading page `LEAD_BONUS` more: customers
  rarely use the page's own words.
- What scores below `RELATIVE_SCORE` of the best is left out: a far-off page only distracts whoever writes the answer.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import IntentPrediction, Passage
from controlplane.assistant.text import content_stems

K1, B = 1.2, 0.75
TITLE_WEIGHT, KEYWORD_WEIGHT = 3, 2
INTENT_BONUS, LEAD_BONUS = 6.0, 1.0
RELATIVE_SCORE = 0.6


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage and its score (BM25 plus intent bonus, >= 0)."""

    passage: Passage
    score: float


class Bm25Index:
    """Passages of one knowledge base, ready to be searched."""

    def __init__(self, knowledge: Knowledge) -> None:
        """Builds the (terms, passages) table of term weights."""
        self.knowledge = knowledge
        counts = [_weighted_stems(passage) for passage in knowledge.passages]
        terms = sorted(set().union(*counts))
        self._rows = {term: i for i, term in enumerate(terms)}
        frequency = np.array([[count[term] for count in counts] for term in terms], dtype=np.float64)
        length = frequency.sum(axis=0)
        documents = (frequency > 0).sum(axis=1, keepdims=True)
        idf = np.log1p((len(counts) - documents + 0.5) / (documents + 0.5))
        pace = K1 * (1 - B + B * length / length.mean())
        self._weights: NDArray[np.float64] = idf * frequency * (K1 + 1) / (frequency + pace)
        self._by_intent: dict[str, NDArray[np.float64]] = {
            intent: np.array(
                [INTENT_BONUS * (intent in p.intents) + LEAD_BONUS * (intent == p.lead) for p in knowledge.passages]
            )
            for intent in {intent for passage in knowledge.passages for intent in passage.intents}
        }

    def search(self, question: str, intent: IntentPrediction | None = None, limit: int = 3) -> tuple[Hit, ...]:
        """The best passages, best first; empty if no word of the question and no intent fits anything."""
        rows = [self._rows[stem] for stem in set(content_stems(question)) if stem in self._rows]
        scores = self._weights[rows].sum(axis=0) if rows else np.zeros(len(self.knowledge.passages))
        if intent is not None and intent.label in self._by_intent:
            scores = scores + intent.confidence * self._by_intent[intent.label]
        best = np.argsort(-scores, kind="stable")[:limit]
        least = RELATIVE_SCORE * scores[best[0]]
        return tuple(Hit(self.knowledge.passages[i], float(scores[i])) for i in best if scores[i] >= least > 0)


def _weighted_stems(passage: Passage) -> Counter[str]:
    counts = Counter(content_stems(passage.body))
    for text, weight in ((passage.title, TITLE_WEIGHT), (" ".join(passage.keywords), KEYWORD_WEIGHT)):
        for stem in set(content_stems(text)):
            counts[stem] += weight
    return counts
