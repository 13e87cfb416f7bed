"""How far a judge (a model or a detector) agrees with people on the same answers, before its verdicts are believed.

Rules
- An unknown verdict is reported as such and left out of the agreement: a judge that stays silent on hard answers must not look better for it,
  so the answered share stands beside every figure.
- Figures without enough data are None.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.evaluation.corrected_rate import Share
from controlplane.evaluation.discrimination import Estimate, auroc, cohen_kappa, expected_calibration_error

POSSIBLE = {"grounded": True, "ungrounded": False, "unknown": None}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of one judge with people. `sensitivity`: flagged ones of those that people call ungrounded; `specificity`: passed ones of the rest.

    `auroc` uses the judge's probability where it states one for every answered row, else its verdict (then it is the mean of sensitivity and
    specificity). `ece` needs probabilities.
    """

    rows: int
    answered: int
    kappa: Estimate | None
    auroc: Estimate | None
    ece: float | None
    sensitivity: Share
    specificity: Share


def agreement(
    human: Sequence[bool],
    verdicts: Sequence[str],
    probabilities: Sequence[float | None] | None = None,
    clusters: Sequence[object] | None = None,
    level: float = 0.95,
) -> Agreement:
    """Compares `verdicts` ("grounded", "ungrounded", "unknown") with what people said (True = grounded), row by row.

    `probabilities` are the judge's, of grounded; `clusters` groups rows that belong together. Raises ValueError for columns of different length
    or an unheard-of verdict.
    """
    probabilities = probabilities if probabilities is not None else [None] * len(human)
    clusters = clusters if clusters is not None else range(len(human))
    if not len(human) == len(verdicts) == len(probabilities) == len(clusters):
        raise ValueError(
            f"columns differ in length: {len(human)} labels, {len(verdicts)} verdicts, {len(probabilities)} probabilities"
        )
    strange = sorted({str(verdict) for verdict in verdicts if str(verdict) not in POSSIBLE})
    if strange:
        raise ValueError(f"verdicts must be {', '.join(POSSIBLE)}, got {', '.join(strange)}")
    said = [POSSIBLE[str(verdict)] for verdict in verdicts]
    kept = [place for place, verdict in enumerate(said) if verdict is not None]
    truth = np.array([bool(human[place]) for place in kept], dtype=bool)
    passed = np.array([said[place] is True for place in kept], dtype=bool)
    stated = [probability for place in kept if (probability := probabilities[place]) is not None]
    scored = len(stated) == len(kept) > 0
    score = np.array(stated if scored else passed, dtype=float)
    return Agreement(
        rows=len(human),
        answered=len(kept),
        kappa=cohen_kappa(truth.tolist(), passed.tolist(), level) if kept else None,
        auroc=auroc(truth, score, [clusters[place] for place in kept], level) if kept else None,
        ece=expected_calibration_error(truth, score) if scored else None,
        sensitivity=Share(int((~passed[~truth]).sum()), int((~truth).sum())),
        specificity=Share(int(passed[truth].sum()), int(truth.sum())),
    )
