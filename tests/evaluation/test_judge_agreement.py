"""How a judge's agreement with people is counted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from controlplane.assistant.llm_judge import JudgeVerdict
from controlplane.evaluation.corrected_rate import Share
from controlplane.evaluation.judge_agreement import POSSIBLE, agreement

HUMAN = [True] * 60 + [False] * 40
VERDICTS = ["grounded"] * 50 + ["ungrounded"] * 10 + ["ungrounded"] * 30 + ["grounded"] * 6 + ["unknown"] * 4


def test_agreement_by_hand() -> None:
    found = agreement(HUMAN, VERDICTS)
    assert (found.rows, found.answered) == (100, 96)
    assert (found.sensitivity, found.specificity) == (Share(30, 36), Share(50, 60))
    passed = [verdict == "grounded" for verdict in VERDICTS[:96]]
    assert found.kappa.value == pytest.approx(cohen_kappa_score(HUMAN[:96], passed))
    assert found.kappa.low < found.kappa.value < found.kappa.high
    assert found.auroc.value == pytest.approx((30 / 36 + 50 / 60) / 2)
    assert found.ece is None


def test_probabilities_are_used_where_every_answer_has_one() -> None:
    rng = np.random.default_rng(1)
    probability = [float(np.clip(0.7 * h + 0.15 + rng.normal(scale=0.2), 0, 1)) for h in HUMAN]
    found = agreement(HUMAN, VERDICTS, probability)
    assert found.auroc.value == pytest.approx(roc_auc_score(HUMAN[:96], probability[:96]))
    assert 0 < found.ece < 1
    with_a_gap = agreement(HUMAN, VERDICTS, [None, *probability[1:]])
    assert with_a_gap.ece is None


def test_silence_is_shown_and_not_counted() -> None:
    found = agreement(HUMAN, ["unknown"] * 100)
    assert (found.rows, found.answered) == (100, 0)
    assert found.kappa is found.auroc is found.ece is None
    assert found.sensitivity.value is None


def test_a_judge_that_always_says_the_same_has_no_agreement_beyond_chance() -> None:
    found = agreement(HUMAN, ["grounded"] * 100)
    assert found.kappa.value == pytest.approx(0)
    assert found.auroc.value == 0.5
    assert found.sensitivity.value == 0


def test_the_verdicts_of_the_llm_judge_are_understood() -> None:
    assert set(POSSIBLE) == set(JudgeVerdict)
    assert agreement([True, False], list(JudgeVerdict)[:2]).answered == 2


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="2 labels, 1 verdicts"):
        agreement([True, False], ["grounded"])
    with pytest.raises(ValueError, match="got maybe"):
        agreement([True], ["maybe"])
