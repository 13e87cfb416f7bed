"""Whether an answer is supported by passages: the calibrated probability of it, sentence by sentence, with the words that are not.

How it works
- Each sentence is compared with the passages (`groundedness_features.py`): content and function words that are not there, pairs of words that
  never meet there, words out of the order of the best source sentence, numbers with what they count, names, negation, a speaker's own opinion.
- A logistic model whose weights can only subtract turns these defects into the probability that a person would call the answer grounded. Its
  weights, threshold, origin and held-out figures are in `groundedness_calibration.json`, checked by hash when it is read.

What follows from it
- A word-for-word quote has the highest probability there is; a further sentence, quote or invention, never raises one, so an invention cannot be
  diluted; the order of sentences does not matter; one number or name that the passages lack, or one "not" too many or too few in a sentence
  that otherwise follows the passage, makes the answer ungrounded.
- Courtesies and citations claim nothing and are not judged; an answer of nothing else is grounded.
- A lexical score cannot see that a paraphrase in wholly different words means the same, nor that the passage itself is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from controlplane.assistant.groundedness_calibration import Calibration, shipped_calibration
from controlplane.assistant.groundedness_features import Defects, answer_defects, claims, evidence_of, vector
from controlplane.assistant.model import Passage

GROUNDED, UNGROUNDED = "grounded", "ungrounded"


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """One judged sentence: its own probability, the words nothing supports (as written), and what else speaks against it."""

    text: str
    probability: float
    words: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Groundedness:
    """The verdict on one answer.

    `score` is what the label goes by: the calibrated probability, or 1 for an answer that claims nothing and 0 where there are no passages.
    `probability` is always the model's: that a person would call the answer grounded. `unsupported` are the sentences below the threshold.
    """

    score: float
    label: str
    unsupported: tuple[str, ...]
    probability: float
    sentences: tuple[SentenceVerdict, ...]

    @property
    def unsupported_words(self) -> tuple[str, ...]:
        """Words and numbers that no passage supports, in order, each once."""
        return tuple(dict.fromkeys(word for sentence in self.sentences for word in sentence.words))

    @property
    def explanation(self) -> str:
        """What speaks against the answer, one line a sentence; empty where nothing does."""
        lines = [f'"{sentence.text}": {"; ".join(sentence.reasons)}' for sentence in self.sentences if sentence.reasons]
        return "\n".join(lines)


@cache
def calibration() -> Calibration:
    """The shipped calibration, read and checked once; `CalibrationError` where the file was damaged or changed."""
    return shipped_calibration()


def detector() -> str:
    """How records name this detector: its version and the first digits of the calibration's hash."""
    return f"detector:{calibration().name}"


def score(answer: str, passages: Sequence[Passage], using: Calibration | None = None) -> Groundedness:
    """Judges one answer against the passages it should rest on, with the shipped calibration unless another is given."""
    return _remembered(answer, tuple(passages)) if using is None else _score(answer, tuple(passages), using)


@lru_cache(maxsize=1024)
def _remembered(answer: str, passages: tuple[Passage, ...]) -> Groundedness:
    """Quoted pages come again and again, and online evaluation judges them once more."""
    return _score(answer, passages, calibration())


def _score(answer: str, passages: tuple[Passage, ...], using: Calibration) -> Groundedness:
    said = claims(answer)
    found = answer_defects(answer, evidence_of(passages))
    probability = using.probability(vector(found))
    if not said:
        return Groundedness(1.0, GROUNDED, (), probability, ())
    if not passages:
        verdicts = tuple(SentenceVerdict(sentence, 0.0, (), ("there are no passages",)) for sentence in said)
        return Groundedness(0.0, UNGROUNDED, tuple(said), 0.0, verdicts)
    verdicts = tuple(_verdict(sentence, part, using) for sentence, part in zip(said, found, strict=True))
    weak = tuple(verdict.text for verdict in verdicts if verdict.probability < using.threshold)
    label = GROUNDED if probability >= using.threshold else UNGROUNDED
    return Groundedness(probability, label, weak, probability, verdicts)


def _verdict(sentence: str, found: Defects, using: Calibration) -> SentenceVerdict:
    return SentenceVerdict(sentence, using.probability(vector([found])), found.unsupported, reasons(found))


def reasons(found: Defects) -> tuple[str, ...]:
    """The defects of a sentence in words, the decisive ones first."""
    listed = [
        (bool(found.wrong_numbers), f"number not in the passages: {', '.join(found.wrong_numbers)}"),
        (bool(found.strange_names), f"name not in the passages: {', '.join(found.strange_names)}"),
        (bool(found.missing), f"not in the passages: {', '.join(found.missing)}"),
        (found.negation, "says not where the passage does not, or the other way round"),
        (found.speaker or found.opinion, "speaks for itself rather than for the passages"),
        (found.question, "asks instead of stating"),
        (not found.missing and found.pairs > 2, "known words in a new combination"),
    ]
    return tuple(text for applies, text in listed if applies)
