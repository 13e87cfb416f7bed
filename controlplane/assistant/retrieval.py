"""Which passages could answer a question: BM25, alone or fused with embeddings by reciprocal rank.

Rules
- Okapi BM25 (Robertson & Zaragoza 2009, eq. 3.15) on stems, k1 = 1.2, b = 0.75; a stem of the title counts three times,
  one of the keywords twice. A stem that the question repeats counts (k3 + 1) q / (k3 + q) times (ibid., eq. 3.16).
- Pages are searched in windows (`chunking`). A page scores in BM25 as its best window and `SECOND_WINDOW` of its second best (a page
  that speaks of it twice is more likely about it), by meaning as its best window; that window is what the hit carries.
- Pages written for the predicted intent gain `INTENT_BONUS` x confidence, its leading page `LEAD_BONUS` more: customers
  rarely use the page's own words.
- Fusion: a page scores the weighted sum of 1 / (k + rank) over the two rankings (Cormack, Clarke & Büttcher 2009, eq. 1). Ranks, not
  scores, are added: BM25 and cosine have no common unit. A page without a word of the question has no rank in BM25.
- `search` leaves out what has less than `RELATIVE_SCORE` of the best hit's evidence: a far-off page only distracts whoever writes the
  answer. `rank` leaves out nothing, which is what a recall is measured on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controlplane.assistant import passage_vectors
from controlplane.assistant.chunking import WINDOW_WORDS, question_windows
from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import IntentPrediction, Passage
from controlplane.assistant.passage_vectors import PassageVectors, TextEncoder, all_windows
from controlplane.assistant.text import content_stems

K1, B, K3 = 1.2, 0.75, 8.0
TITLE_WEIGHT, KEYWORD_WEIGHT = 3, 2
SECOND_WINDOW = 0.3
INTENT_BONUS, LEAD_BONUS = 6.0, 1.0
RELATIVE_SCORE = 0.6
RANK_CONSTANT = 60.0
SHARPNESS = 10.0  # per unit of cosine: a window that is .2 closer counts seven times as much
BM25_WEIGHT = 0.7  # of the fused score, the rest is the embeddings'
UNRELATED_COSINE = 0.3  # what two unrelated sentences of this domain reach with MiniLM
COSINE_UNIT = 20.0  # a cosine of 0.6 counts as much as a BM25 score of 6: one rare word, or the intent bonus

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage and its score: the evidence that it fits, in units of BM25 (>= 0). Hits come best first by the index's own rank."""

    passage: Passage
    score: float


class Bm25Index:
    """The windows of one knowledge base, ready to be searched by words."""

    def __init__(self, knowledge: Knowledge, window_words: int = WINDOW_WORDS) -> None:
        """Builds the postings: for each stem its windows and weights."""
        self.knowledge = knowledge
        self.windows, self.owners = all_windows(knowledge, window_words)
        counts = [_weighted_stems(piece) for piece in self.windows]
        length = np.array([count.total() for count in counts], dtype=np.float64)
        pace = K1 * (1 - B + B * length / max(length.mean(), 1.0)) if counts else length
        places: dict[str, list[int]] = {}
        for number, count in enumerate(counts):
            for stem in count:
                places.setdefault(stem, []).append(number)
        self._postings: dict[str, tuple[NDArray[np.intp], Scores]] = {}
        for stem, found in places.items():
            at = np.array(found, dtype=np.intp)
            frequency = np.array([counts[number][stem] for number in found], dtype=np.float64)
            idf = np.log1p((len(counts) - len(found) + 0.5) / (len(found) + 0.5))
            self._postings[stem] = at, idf * frequency * (K1 + 1) / (frequency + pace[at])
        self._by_intent = {
            intent: np.array(
                [INTENT_BONUS * (intent in p.intents) + LEAD_BONUS * (intent == p.lead) for p in knowledge.passages]
            )
            for intent in {intent for passage in knowledge.passages for intent in passage.intents}
        }

    def search(self, question: str, intent: IntentPrediction | None = None, limit: int = 3) -> tuple[Hit, ...]:
        """The best passages, best first; empty if no word of the question and no intent fits anything."""
        return worth_reading(self.rank(question, intent, limit))

    def rank(self, question: str, intent: IntentPrediction | None = None, limit: int = 3) -> tuple[Hit, ...]:
        """The first `limit` pages of the ranking, however far they are behind the best."""
        scores, best_window = self.page_scores(question, intent)
        best = np.argsort(-scores, kind="stable")[:limit]
        return tuple(Hit(self.windows[best_window[i]], float(scores[i])) for i in best if scores[i] > 0)

    def page_scores(self, question: str, intent: IntentPrediction | None = None) -> tuple[Scores, NDArray[np.intp]]:
        """Every page's score, intent bonus included, and the window it comes from."""
        asked = Counter(content_stems(question))
        known = [(self._postings[stem], (K3 + 1) * n / (K3 + n)) for stem, n in asked.items() if stem in self._postings]
        scores = np.zeros(len(self.windows))
        if known:
            at = np.concatenate([windows for (windows, _), _ in known])
            weights = np.concatenate([weight * times for (_, weight), times in known])
            scores[:] = np.bincount(at, weights, minlength=len(self.windows))
        pages, best_window = best_of_pages(scores, self.owners, len(self.knowledge.passages))
        scores[best_window] = 0.0
        second, _ = best_of_pages(scores, self.owners, len(self.knowledge.passages))
        return pages + SECOND_WINDOW * second + self.intent_bonus(intent), best_window

    def intent_bonus(self, intent: IntentPrediction | None) -> Scores:
        """What each page gains from the predicted intent."""
        if intent is None or intent.label not in self._by_intent:
            return np.zeros(len(self.knowledge.passages))
        return np.asarray(intent.confidence * self._by_intent[intent.label], dtype=np.float64)


class HybridIndex:
    """BM25 and embeddings over the same windows, fused by reciprocal rank; searched like `Bm25Index`."""

    def __init__(
        self,
        knowledge: Knowledge,
        encoder: TextEncoder,
        vectors: PassageVectors | None = None,
        bm25_weight: float = BM25_WEIGHT,
    ) -> None:
        """`vectors` None = computed now (some 20 ms a window). Raises `VectorFileError` if they are of another knowledge base.

        `bm25_weight` in [0, 1]: 0 ranks by embeddings alone, 1 by BM25 alone.
        """
        if not 0 <= bm25_weight <= 1:
            raise ValueError(f"bm25_weight must lie in 0..1, got {bm25_weight}")
        self.knowledge = knowledge
        self._bm25_weight = bm25_weight
        self.bm25 = Bm25Index(knowledge)
        self.vectors = vectors or passage_vectors.compute(knowledge, encoder)
        passage_vectors.check(self.vectors, knowledge)
        if self.vectors.encoder != encoder.version:
            raise passage_vectors.VectorFileError(
                f"embeddings by encoder {self.vectors.encoder[:12]} cannot be compared with questions encoded by "
                f"{encoder.version[:12]}: compute them anew"
            )
        self._encoder = encoder

    @classmethod
    def open(cls, knowledge: Knowledge, encoder: TextEncoder, folder: Path) -> "HybridIndex":
        """The index with its embeddings from `folder`, computed and kept there the first time."""
        return cls(knowledge, encoder, passage_vectors.load_or_compute(knowledge, encoder, folder))

    def search(self, question: str, intent: IntentPrediction | None = None, limit: int = 3) -> tuple[Hit, ...]:
        """The best passages, best first; empty if neither words, meaning nor intent fit anything."""
        return worth_reading(self.rank(question, intent, limit))

    def rank(self, question: str, intent: IntentPrediction | None = None, limit: int = 3) -> tuple[Hit, ...]:
        """The first `limit` pages of the fused ranking. A question without a word in it finds nothing by meaning."""
        parts = question_windows(question)
        return self.fuse(question, self._encoder.encode(parts) if question.strip() else None, intent, limit)

    def fuse(
        self, question: str, meaning: NDArray[np.float32] | None, intent: IntentPrediction | None, limit: int
    ) -> tuple[Hit, ...]:
        """The ranking of a question whose windows are already encoded as `meaning` (windows of the question, dimensions)."""
        pages = len(self.knowledge.passages)
        words, word_window = self.bm25.page_scores(question, intent)
        cosine, meant_window = np.zeros(pages), word_window
        if meaning is not None:
            similarity = (self.vectors.vectors @ meaning.T).astype(np.float64)
            by_part = [best_of_pages(column, self.bm25.owners, pages)[0] for column in similarity.T]
            cosine = soft_maximum(np.array(by_part))
            meant_window = best_of_pages(similarity.max(axis=1), self.bm25.owners, pages)[1]
        meant = np.maximum(cosine - UNRELATED_COSINE, 0.0) * COSINE_UNIT
        by_meaning = reciprocal_ranks(meant + self.bm25.intent_bonus(intent))
        fused = self._bm25_weight * reciprocal_ranks(words) + (1 - self._bm25_weight) * by_meaning
        best = [i for i in np.argsort(-fused, kind="stable")[:limit] if fused[i] > 0]
        return tuple(
            Hit(self._passage(i, int(word_window[i]), int(meant_window[i])), float(max(words[i], meant[i])))
            for i in best
        )

    def _passage(self, page: int, by_words: int, by_meaning: int) -> Passage:
        """What the hit carries: the window that both searches chose, else both in reading order, each sentence once."""
        if by_words == by_meaning:
            return self.bm25.windows[by_words]
        first, second = (self.bm25.windows[i] for i in sorted((by_words, by_meaning)))
        return replace(first, sentences=tuple(dict.fromkeys((*first.sentences, *second.sentences))))


def worth_reading(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The hits with at least `RELATIVE_SCORE` of the strongest one's evidence, in their order."""
    least = RELATIVE_SCORE * max((hit.score for hit in hits), default=0.0)
    return tuple(hit for hit in hits if hit.score >= least > 0)


def reciprocal_ranks(scores: Scores, constant: float = RANK_CONSTANT) -> Scores:
    """1 / (constant + rank) for what scores above 0, rank 1 the best, equals in their given order; 0 for the rest."""
    order = np.argsort(-scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    return np.where(scores > 0, 1.0 / (constant + ranks), 0.0)


def soft_maximum(by_part: Scores) -> Scores:
    """One cosine a page from those of a question's windows (windows, pages): log-mean-exp, between their mean and their maximum."""
    return np.asarray(np.log(np.mean(np.exp(SHARPNESS * by_part), axis=0)) / SHARPNESS, dtype=np.float64)


def best_of_pages(scores: Scores, owners: NDArray[np.intp], pages: int) -> tuple[Scores, NDArray[np.intp]]:
    """Each page's best window score and that window's number; `owners` are the windows' pages, in order, none left out."""
    if not len(scores):
        return np.zeros(pages), np.zeros(pages, dtype=np.intp)
    starts = np.searchsorted(owners, np.arange(pages))
    best = np.maximum.reduceat(scores, starts)
    at_best = np.flatnonzero(scores == best[owners])
    first = np.searchsorted(owners[at_best], np.arange(pages))
    return best.astype(np.float64), at_best[first]


def _weighted_stems(passage: Passage) -> Counter[str]:
    counts = Counter(content_stems(passage.body))
    for text, weight in ((passage.title, TITLE_WEIGHT), (" ".join(passage.keywords), KEYWORD_WEIGHT)):
        for stem in set(content_stems(text)):
            counts[stem] += weight
    return counts
