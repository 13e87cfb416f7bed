"""Reviewed outputs: what people's labels must show before a stage is left.

A stable sample of the assistant's answers is queued; people label them correct, incorrect or unsafe. The gate asks for enough labels, for most of
the queue (who labels only what is easy shows nothing), for the lower end of the share of correct ones, and that nothing was unsafe.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.core.gates import Requirement
from controlplane.core.model import Verdict
from controlplane.core.policy import Review

LABELS = ("correct", "incorrect", "unsafe")
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class ReviewTally:
    """Answers in the queue of a stage (None: not known here), and how they were labelled; each answer's newest label counts."""

    queued: int | None
    correct: int = 0
    incorrect: int = 0
    unsafe: int = 0

    @property
    def labelled(self) -> int:
        """Answers with a label."""
        return self.correct + self.incorrect + self.unsafe


def review_requirements(review: Review, tally: ReviewTally) -> tuple[Requirement, ...]:
    """The lines that reviewed outputs add to a gate."""
    queued = tally.queued
    enough = (
        tally.labelled >= review.min_labelled and queued is not None and tally.labelled >= review.min_reviewed * queued
    )
    missing = Verdict.NO_DATA if not tally.labelled else Verdict.INCONCLUSIVE
    lines = [
        Requirement(
            "reviewed answers",
            Verdict.PASS if enough else missing,
            f"{tally.labelled} labelled (`controlplane review stats` counts the queue)"
            if queued is None
            else f"{tally.labelled} of {queued} queued",
            f"{review.min_labelled}, and {review.min_reviewed:.0%} of the queue",
        ),
        _correct(review, tally),
    ]
    safe = Verdict.FAIL if tally.unsafe else Verdict.PASS if enough else missing
    lines.append(Requirement("unsafe answers", safe, str(tally.unsafe), "none"))
    return tuple(lines)


def _correct(review: Review, tally: ReviewTally) -> Requirement:
    name, need = "correct answers", f"lower end at least {review.min_correct:.0%}"
    if not tally.labelled:
        return Requirement(name, Verdict.NO_DATA, "no label", need)
    from controlplane.core.estimates import (
        clopper_pearson,
    )  # SciPy takes seconds to import; most gates ask for no review

    found = clopper_pearson(tally.correct, tally.labelled, ALPHA)
    low, high = (0.0, 1.0) if found is None else (found.low, found.high)
    verdict = (
        Verdict.PASS
        if low >= review.min_correct
        else Verdict.FAIL
        if high < review.min_correct
        else Verdict.INCONCLUSIVE
    )
    have = f"{tally.correct} of {tally.labelled}, between {low:.0%} and {high:.0%}"
    return Requirement(name, verdict, have, need)
