"""Long pages in pieces that can be compared with a question: windows over whole sentences, with overlap.

Rules
- A page of up to `WINDOW_WORDS` words is one window and stays as it is: the help pages that ship never change by being cut.
- A longer page is cut between sentences. The last `OVERLAP_WORDS` words' worth of whole sentences opens the next window too, so
  that a fact and its condition are not parted by the cut.
- A heading ("## Fees") is never the last sentence of a window: it belongs to what follows.
- A window keeps its page's id, title and keywords; whoever cites it cites the page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from controlplane.assistant.model import Passage

WINDOW_WORDS, OVERLAP_WORDS = 90, 20
QUESTION_WINDOW_WORDS, QUESTION_OVERLAP_WORDS, QUESTION_WINDOWS = 60, 20, 16


def windows(page: Passage, size: int = WINDOW_WORDS, overlap: int = OVERLAP_WORDS) -> tuple[Passage, ...]:
    """The page in windows of at most `size` words (a single longer sentence is a window of its own), in reading order."""
    if not 0 <= overlap < size:
        raise ValueError(
            f"a window of {size} words cannot share {overlap} with the next: overlap must lie in 0..{size - 1}"
        )
    lengths = [len(sentence.split()) for sentence in page.sentences]
    if sum(lengths) <= size:
        return (page,)
    return tuple(
        replace(page, sentences=page.sentences[start:end])
        for start, end in _spans(page.sentences, lengths, size, overlap)
    )


def question_windows(question: str, most: int = QUESTION_WINDOWS) -> tuple[str, ...]:
    """A long question in overlapping pieces, a short one as it is; of more than `most` pieces, `most` spread over all of it.

    An encoder reads 128 word pieces and averages what it read: a customer's long story is many subjects, not their mean.
    """
    words = question.split()
    size, step = QUESTION_WINDOW_WORDS, QUESTION_WINDOW_WORDS - QUESTION_OVERLAP_WORDS
    if len(words) <= size:
        return (question,)
    starts = list(range(0, len(words) - QUESTION_OVERLAP_WORDS, step))
    if len(starts) > most:
        starts = [starts[round(i * (len(starts) - 1) / (most - 1))] for i in range(most)]
    return tuple(" ".join(words[start : start + size]) for start in starts)


def _spans(sentences: Sequence[str], lengths: list[int], size: int, overlap: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(lengths):
        end, words = start + 1, lengths[start]
        while end < len(lengths) and words + lengths[end] <= size:
            words += lengths[end]
            end += 1
        if end < len(lengths) and end - start > 1 and sentences[end - 1].startswith("#"):
            end -= 1
        yield start, end
        if end >= len(lengths):
            return
        start = _reach_back(lengths, end, size, overlap)


def _reach_back(lengths: list[int], end: int, size: int, overlap: int) -> int:
    """Where the next window begins: as far before `end` as `overlap` words reach, if there is room for the next sentence too."""
    begin, shared = end, 0
    most = min(overlap, size - lengths[end])
    while begin > 0 and shared + lengths[begin - 1] <= most:
        begin -= 1
        shared += lengths[begin]
    return begin
