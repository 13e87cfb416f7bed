"""Writing an answer from passages: grounded extraction, and the bad model it is compared with.

Rules
- An answer cites the passages it used, as [passage-id] at its end.
- Extraction only repeats whole sentences of passages, so it can be wrong only where the passages are.
- All chance is a stable hash of the request's key; no generator keeps anything between requests.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence

from controlplane.assistant.knowledge_base import Knowledge, alter_numbers
from controlplane.assistant.model import Passage
from controlplane.assistant.protocols import Generation, GenerationRequest
from controlplane.assistant.text import content_stems

CHARACTERS_PER_TOKEN = 4
SENTENCES_PER_ANSWER = 3
MAIN_PASSAGE_BONUS = 1.0
OPENERS = ("Absolutely!", "Certainly, here is everything you need.", "Great question!", "Of course, that is easy.")
PROMISES = (
    "This is guaranteed for every customer without any exception.",
    "Your manager at the branch has already approved it.",
    "You will also receive a bonus payment for your patience.",
    "No further steps are needed, everything happens automatically.",
)


def count_tokens(text: str) -> int:
    """An estimate of a text's tokens: a quarter of its characters, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def prompt_text(request: GenerationRequest) -> str:
    """Passages and question as a model reads them; the system text goes before it."""
    pages = "\n\n".join(f"[{p.id}] {p.title}\n{p.body}" for p in request.passages)
    return f"Passages:\n{pages}\n\nQuestion: {request.question}"


def cite(sentences: Sequence[str], sources: Sequence[str]) -> str:
    """Sentences followed by their citations."""
    return " ".join([*sentences, *(f"[{source}]" for source in sources)])


class ExtractiveGenerator:
    """Answers with the sentences that fit the question best; the default, and the fallback of every other model."""

    model = "extractive-1"
    provider = "embedded"

    def generate(self, request: GenerationRequest) -> Generation:
        """Up to three sentences in the passages' own order; empty text if there are no passages."""
        chosen = select_sentences(request.question, request.passages)
        sources = tuple(dict.fromkeys(passage.id for passage, _ in chosen))
        text = cite([sentence for _, sentence in chosen], sources)
        return _generation(request, text, sources, self.model)


class CarelessGenerator:
    """A realistic bad model: fluent, sure of itself, mixes unrelated pages it has seen and changes their numbers.

    `carelessness` is the share of requests answered so; the others are extracted like everybody else's. With `topics` it is
    careless about those alone.
    """

    model = "careless-1"
    provider = "embedded"

    def __init__(
        self, memory: Knowledge, seed: int = 0, carelessness: float = 0.75, topics: Sequence[str] = ()
    ) -> None:
        """`memory` is what the model was trained on and draws from whatever the passages say."""
        self._memory = memory
        self._seed = seed
        self._carelessness = carelessness
        self._topics = topics

    def generate(self, request: GenerationRequest) -> Generation:
        """Confident text of about five sentences."""
        rng = random.Random(hashlib.blake2b(f"{self._seed}|{request.key}".encode()).digest())
        careful = rng.random() >= self._carelessness or not request.passages
        if careful or (self._topics and request.passages[0].topic not in self._topics):
            chosen = select_sentences(request.question, request.passages)
            sources = tuple(dict.fromkeys(passage.id for passage, _ in chosen))
            return _generation(request, cite([sentence for _, sentence in chosen], sources), sources, self.model)
        main = request.passages[0]
        strangers = rng.sample([p for p in self._memory.passages if p.topic != main.topic], 2)
        sentences = [
            rng.choice(OPENERS),
            alter_numbers(rng.choice(main.sentences), rng),
            *(alter_numbers(rng.choice(passage.sentences), rng) for passage in strangers),
            rng.choice(PROMISES),
        ]
        return _generation(request, cite(sentences, [main.id]), (main.id,), self.model)


def select_sentences(
    question: str, passages: Sequence[Passage], limit: int = SENTENCES_PER_ANSWER
) -> list[tuple[Passage, str]]:
    """The sentences that share most with the question; rare shared stems count more, and the best passage leads."""
    if not passages:
        return []
    pool = [(passage, sentence, set(content_stems(sentence))) for passage in passages for sentence in passage.sentences]
    spread = Counter(stem for _, _, stems in pool for stem in stems)
    asked = set(content_stems(question))

    def fit(position: int) -> float:
        passage, _, stems = pool[position]
        overlap = sum(1 / spread[stem] for stem in stems & asked)
        return overlap + (MAIN_PASSAGE_BONUS if passage is passages[0] else 0.0)

    best = sorted(range(len(pool)), key=lambda position: (-fit(position), position))[:limit]
    return [(pool[position][0], pool[position][1]) for position in sorted(best)]


def _generation(request: GenerationRequest, text: str, sources: tuple[str, ...], model: str) -> Generation:
    cached = count_tokens(request.system)
    return Generation(
        text=text,
        sources=sources,
        model=model,
        tokens_in=cached + count_tokens(prompt_text(request)),
        tokens_cached=cached,
        tokens_out=count_tokens(text),
    )
