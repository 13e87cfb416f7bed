"""What in an answer is not in the passages: the defects a sentence can have, as numbers that are 0 for a verbatim quote.

Rules
- Every defect is >= 0, is 0 for a sentence that stands in a passage word for word, and grows with what is unsupported. The model on top
  (`groundedness.py`) only ever subtracts for a defect, so a quote always has the highest score and an addition never raises one.
- Words are compared by stem. An opener such as "Yes," or "Well," is no claim; a sentence of nothing but courtesy is not judged.
- Order is compared inside one sentence only, with the source sentences that fit best: the order of an answer's sentences never matters.
- A number counts together with what it counts ("5 working", "19.9 %", "16:30"), a name by its stem.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log1p

from controlplane.assistant.groundedness_words import (
    Quantity,
    Words,
    counted,
    is_courtesy,
    names,
    split_sentences,
    words,
)
from controlplane.assistant.model import Passage
from controlplane.assistant.text import STOPWORDS, stem

EXTRACTOR = "groundedness-features-2"
"""Changes whenever a defect is computed differently; a calibration made for another one is refused."""

DEFECTS = (
    "novel_words",
    "novel_share",
    "novel_function_words",
    "novel_pairs",
    "unaligned_words",
    "unaligned_share",
    "speaker",
    "opinion",
    "question",
    "negation",
    "numbers",
    "names",
)
"""Names of the defects in the order of every vector."""

NO_DEFECTS = (0.0,) * len(DEFECTS)

PREFIX, PREFIX_CREDIT = 5, 0.7  # "revolution" partly supports "revolutionary": the same first five letters
WRONG_UNIT = 0.5  # "5 weeks" where the passage says "5 working days"
TWIN_SHARE = 0.6  # of a sentence's words must stand in order in a source sentence that "says nearly the same"
ALIGNED_SOURCES = 4  # source sentences that one sentence is aligned with, largest overlap first

_SPEAKER_WORDS = """
i me my mine myself we us our ours
"""
SPEAKER = frozenset(_SPEAKER_WORDS.split())
_OPINION_WORDS = """
think guess believe heard maybe probably perhaps love loved like liked hope feel felt wonder agree favorite favourite
really amazing awesome cool interesting funny fun guess sounds seems remember wish hate enjoy
"""
OPINION = frozenset(_OPINION_WORDS.split())
_NEGATIONS_WORDS = """
no not never none nothing without neither nor cannot
"""
NEGATIONS = frozenset(_NEGATIONS_WORDS.split())

_PROBE_PASSAGE = (
    "The replacement card is free and arrives within 5 working days.",
    "Express delivery costs £12, is not available on Sundays, and the line answers 24 hours a day.",
)
_PROBE_ANSWERS = (
    "Yes, the replacement card is free.",
    "I think your cards arrived within five weeks, didn't they?",
    "Express delivery is available on Sundays and costs £1,200.",
    "Deliveries can't be expressly ordered by Pluto Holdings in 2026; the studies of feasibility were quickly tried.",
)


@dataclass(frozen=True, slots=True)
class SourceSentence:
    """One sentence of a passage, with the positions of its stems as bits, for the alignment."""

    stems: frozenset[str]
    positions: dict[str, int]
    length: int
    negated: frozenset[str]
    quantities: tuple[Quantity, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the passages say, prepared once per set of passages."""

    written: frozenset[str]
    stems: frozenset[str]
    prefixes: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    counted: Mapping[str, frozenset[str]]
    sentences: tuple[SourceSentence, ...]


@dataclass(frozen=True, slots=True)
class Defects:
    """What one sentence says that the evidence does not.

    `missing` are the content words (as written, in order) that are not there, `novel` their number after credit for kindred words; `aligned` of
    `length` words stand in the same order in one source sentence.
    """

    missing: tuple[str, ...]
    wrong_numbers: tuple[str, ...]
    strange_names: tuple[str, ...]
    novel: float
    content: int
    function_words: int
    pairs: int
    aligned: int
    length: int
    speaker: bool
    opinion: bool
    question: bool
    negation: bool
    numbers: float

    @property
    def names(self) -> int:
        """Names that are not there."""
        return len(self.strange_names)

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Every word or number that nothing supports, each once."""
        return (*self.missing, *self.wrong_numbers)


def claims(answer: str) -> list[str]:
    """The sentences of an answer that state something; courtesies do not."""
    return [sentence for sentence in split_sentences(answer) if not is_courtesy(sentence)]


def answer_defects(answer: str, evidence: Evidence) -> list[Defects]:
    """Defects of each claim of an answer; of each sentence where nothing is claimed, because a courtesy is not attributable either."""
    return [defects(sentence, evidence) for sentence in claims(answer) or split_sentences(answer)]


def passage_of(text: str) -> Passage:
    """A text as evidence where there are no pages: one passage without a title, cut into sentences."""
    return Passage("context", "", "", (), (), tuple(split_sentences(text)))


@lru_cache(maxsize=256)
def evidence_of(passages: tuple[Passage, ...]) -> Evidence:
    """What these passages say, titles included."""
    return _merge([_passage_evidence(passage) for passage in passages])


def defects(sentence: str, evidence: Evidence) -> Defects:
    """Compares one sentence with the evidence; costs about 20 microseconds for fifteen words."""
    said = words(sentence)
    content = [(word, root) for word, root in zip(said.written, said.stems, strict=True) if word not in STOPWORDS]
    missing = [(word, root) for word, root in content if root not in evidence.stems]
    partly = sum(1 for _, root in missing if len(root) >= PREFIX - 1 and root[:PREFIX] in evidence.prefixes)
    function_words = {
        w for w, root in zip(said.written, said.stems, strict=True) if w in STOPWORDS and root not in evidence.stems
    }
    aligned, source = _align(said, evidence.sentences)
    twin = source if aligned >= TWIN_SHARE * len(said.stems) else None
    wrong = [(each, weight) for each in counted(said) if (weight := _number_defect(each, evidence, twin))]
    named = {name for name in names(sentence) if stem(name.lower()) not in evidence.stems}
    new = frozenset(said.written) - evidence.written
    return Defects(
        missing=tuple(dict.fromkeys(word for word, _ in missing if word[0].isalpha())),
        wrong_numbers=tuple(each.text for each, _ in wrong),
        strange_names=tuple(sorted(named)),
        novel=len(missing) - PREFIX_CREDIT * partly,
        content=len(content),
        function_words=len(function_words),
        pairs=len(said.pairs - evidence.pairs),
        aligned=aligned,
        length=len(said.stems),
        speaker=not new.isdisjoint(SPEAKER),
        opinion=not new.isdisjoint(OPINION),
        question=aligned < len(said.stems) and sentence.rstrip().endswith("?"),
        negation=twin is not None and _contradicts(said, twin),
        numbers=sum(weight for _, weight in wrong),
    )


def vector(found: Iterable[Defects]) -> tuple[float, ...]:
    """The defects of an answer in the order of `DEFECTS`: each that of the sentence where it is worst, counts n as ln(1 + n).

    So a further sentence never makes any entry smaller (an invention cannot be diluted by quoting more), and faults of many long sentences do
    not add up to an accusation that no single one deserves.
    """
    return tuple(map(max, zip(*(_entries(part) for part in found), strict=True))) or NO_DEFECTS


def _entries(part: Defects) -> tuple[float, ...]:
    return (
        log1p(part.novel),
        part.novel / part.content if part.content else 0.0,
        log1p(part.function_words),
        log1p(part.pairs),
        log1p(part.length - part.aligned),
        1 - part.aligned / part.length if part.length else 0.0,
        float(part.speaker),
        float(part.opinion),
        float(part.question),
        float(part.negation),
        log1p(part.numbers),
        log1p(part.names),
    )


def fingerprint() -> str:
    """Hash of the defects of a few fixed sentences: it changes when anything under them does, such as the stemming in `text.py`.

    A calibration carries the fingerprint it was fitted under; a test compares, so that weights never silently meet other numbers.
    """
    evidence = _evidence(_PROBE_PASSAGE)
    vectors = [[round(entry, 9) for entry in vector([defects(sentence, evidence)])] for sentence in _PROBE_ANSWERS]
    return hashlib.sha256(repr(vectors).encode()).hexdigest()[:16]


def longest_common_subsequence(said: Sequence[str], positions: dict[str, int], length: int) -> int:
    """Length of the longest common subsequence with a text of `length` words whose words stand at the bits `positions`.

    Bit-parallel: Hyyro, "Bit-parallel LCS-length computation revisited", 2004. One step of integer arithmetic per word said.
    """
    full = (1 << length) - 1
    state = full
    for word in said:
        matches = state & positions.get(word, 0)
        state = ((state + matches) | (state - matches)) & full
    return length - state.bit_count()


def _align(said: Words, sources: Sequence[SourceSentence]) -> tuple[int, SourceSentence | None]:
    """Words in the same order in the best source sentence, and that sentence."""
    stems = set(said.stems)
    closest = sorted(sources, key=lambda source: (-len(stems & source.stems), source.length))[:ALIGNED_SOURCES]
    best, chosen = 0, None
    for source in closest:
        common = longest_common_subsequence(said.stems, source.positions, source.length)
        if common > best:
            best, chosen = common, source
    return best, chosen


def _number_defect(said: Quantity, evidence: Evidence, source: SourceSentence | None) -> float:
    """1 for a number that is not there, or where the source sentence has another number for the same measure; 0 for a supported one.

    `WRONG_UNIT` for a number that counts something else wherever it stands. `source` is the sentence that says nearly the same, if any does.
    """
    known = evidence.counted.get(said.number)
    if known is None:
        return 1.0
    rivals = source.quantities if source is not None else ()
    same_measure = [rival.number for rival in rivals if not rival.measures.isdisjoint(said.measures)]
    if same_measure and said.number not in same_measure:
        return 1.0
    return WRONG_UNIT if said.measures and known and known.isdisjoint(said.measures) else 0.0


def _negated(said: Words) -> frozenset[str]:
    """Stems of what is negated: the first content word among the three after each negation."""
    found = set()
    for place, word in enumerate(said.written):
        if word in NEGATIONS:
            after = zip(said.written[place + 1 : place + 4], said.stems[place + 1 : place + 4], strict=True)
            found.update([root for follower, root in after if follower not in STOPWORDS][:1])
    return frozenset(found)


def _contradicts(said: Words, source: SourceSentence) -> bool:
    """Whether one of two sentences that say nearly the same negates a word that the other states."""
    negated = _negated(said)
    return not (negated & source.stems <= source.negated and source.negated.intersection(said.stems) <= negated)


@lru_cache(maxsize=1024)
def _passage_evidence(passage: Passage) -> Evidence:
    return _evidence((passage.title, *passage.sentences))


def _evidence(texts: Sequence[str]) -> Evidence:
    said = [words(text) for text in texts]
    stems = frozenset(root for item in said for root in item.stems)
    return Evidence(
        written=frozenset(word for item in said for word in item.written),
        stems=stems,
        prefixes=frozenset(root[:PREFIX] for root in stems if len(root) >= PREFIX - 1),
        pairs=frozenset(pair for item in said for pair in item.pairs),
        counted=_units((each.number, each.measures) for item in said for each in counted(item)),
        sentences=tuple(_source(item) for item in said if item.stems),
    )


def _units(pairs: Iterable[tuple[str, Iterable[str]]]) -> dict[str, frozenset[str]]:
    """What each number counts; for a number that stands alone somewhere the empty set: it may count anything."""
    found: dict[str, list[frozenset[str]]] = {}
    for number, units in pairs:
        found.setdefault(number, []).append(frozenset(units))
    return {number: frozenset().union(*units) if all(units) else frozenset() for number, units in found.items()}


def _source(said: Words) -> SourceSentence:
    positions: dict[str, int] = {}
    for place, root in enumerate(said.stems):
        positions[root] = positions.get(root, 0) | 1 << place
    return SourceSentence(frozenset(said.stems), positions, len(said.stems), _negated(said), tuple(counted(said)))


def _merge(parts: Sequence[Evidence]) -> Evidence:
    if len(parts) == 1:
        return parts[0]
    nothing: frozenset[str] = frozenset()
    return Evidence(
        written=nothing.union(*(part.written for part in parts)),
        stems=nothing.union(*(part.stems for part in parts)),
        prefixes=nothing.union(*(part.prefixes for part in parts)),
        pairs=frozenset(pair for part in parts for pair in part.pairs),
        counted=_units(pair for part in parts for pair in part.counted.items()),
        sentences=tuple(source for part in parts for source in part.sentences),
    )
