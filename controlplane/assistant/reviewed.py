"""The reviewed text that an answer is judged against: the pages it cites, as reviewed, and those that fit the question.

A release that quotes its own broken page faithfully is wrong all the same, so its own text never counts.
"""

from collections.abc import Sequence

from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import IntentPrediction, Passage
from controlplane.assistant.retrieval import Bm25Index

JUDGED_PASSAGES = 3


class ReviewedPassages:
    """Finds pages in one reviewed knowledge base."""

    def __init__(self, reference: Knowledge) -> None:
        self._index = Bm25Index(reference)
        self._by_id = {passage.id: passage for passage in reference.passages}

    def passages(
        self, question: str, intent: str | None, confidence: float | None, sources: Sequence[str]
    ) -> tuple[Passage, ...]:
        """Cited pages first, then up to three that fit the question, each once. `intent` is the predicted one, with its probability."""
        predicted = IntentPrediction(intent, confidence or 1.0, {}) if intent is not None else None
        fitting = [hit.passage for hit in self._index.search(question, predicted, JUDGED_PASSAGES)]
        return tuple(dict.fromkeys([*self.cited(sources), *fitting]))

    def cited(self, sources: Sequence[str]) -> tuple[Passage, ...]:
        """Those cited pages that there are; none when the answer rests on another knowledge base than this one."""
        return tuple(self._by_id[source] for source in sources if source in self._by_id)
