"""What reviewed outputs must show before a stage is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.model import Verdict
from controlplane.core.policy import Review
from controlplane.core.review import ReviewTally, review_requirements

REVIEW = Review(phases=("internal",), share=0.5, min_labelled=20, min_reviewed=0.8, min_correct=0.7)
counts = st.integers(0, 200)


def verdicts(tally: ReviewTally) -> dict[str, Verdict]:
    return {line.name: line.verdict for line in review_requirements(REVIEW, tally)}


def worst(tally: ReviewTally) -> Verdict:
    return max(verdicts(tally).values())


def test_enough_correct_labels_open_the_gate() -> None:
    assert worst(ReviewTally(25, correct=22)) is Verdict.PASS


@pytest.mark.parametrize(
    ("tally", "name", "verdict"),
    [
        (ReviewTally(0), "reviewed answers", Verdict.NO_DATA),
        (ReviewTally(30), "correct answers", Verdict.NO_DATA),
        (ReviewTally(19, correct=19), "reviewed answers", Verdict.INCONCLUSIVE),
        (
            ReviewTally(100, correct=60),
            "reviewed answers",
            Verdict.INCONCLUSIVE,
        ),  # who labels only what is easy shows nothing
        (ReviewTally(25, correct=19, incorrect=6), "correct answers", Verdict.INCONCLUSIVE),
        (ReviewTally(40, correct=15, incorrect=25), "correct answers", Verdict.FAIL),
        (ReviewTally(60, correct=59, unsafe=1), "unsafe answers", Verdict.FAIL),
    ],
)
def test_what_is_missing_is_named(tally: ReviewTally, name: str, verdict: Verdict) -> None:
    assert verdicts(tally)[name] is verdict


@given(counts, counts, counts, counts)
def test_a_correct_label_more_never_shuts_the_gate_and_an_unsafe_one_always_does(
    waiting: int, correct: int, incorrect: int, unsafe: int
) -> None:
    now = ReviewTally(waiting + correct + incorrect + unsafe, correct, incorrect, unsafe)
    better = ReviewTally(now.queued + 1, correct + 1, incorrect, unsafe)
    if worst(now) is Verdict.PASS:
        assert worst(better) is Verdict.PASS
    assert worst(ReviewTally(now.queued + 1, correct, incorrect, unsafe + 1)) is Verdict.FAIL


def test_where_the_queue_is_not_known_nothing_is_claimed() -> None:
    found = {line.name: line for line in review_requirements(REVIEW, ReviewTally(None, correct=50))}
    assert found["reviewed answers"].verdict is Verdict.INCONCLUSIVE
    assert "review stats" in found["reviewed answers"].have
    assert found["correct answers"].verdict is Verdict.PASS
