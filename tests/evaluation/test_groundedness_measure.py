"""Fitting the groundedness score and measuring it: on made-up labels with a known truth, and on BEGIN where it is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from controlplane.assistant.groundedness import calibration
from controlplane.assistant.groundedness_calibration import parse_calibration
from controlplane.assistant.groundedness_features import DEFECTS
from controlplane.core.acceptance import Figure
from controlplane.evaluation.corrected_rate import Share, rogan_gladen
from controlplane.evaluation.discrimination import auroc
from controlplane.evaluation.groundedness import corrector, measure
from controlplane.evaluation.groundedness_fit import (
    FOLDS,
    PENALTY,
    Fitted,
    context_keys,
    fit,
    fit_weights,
    held_out_probability,
    vectors,
)
from controlplane.evaluation.labelled_answers import LabelledAnswers, read_labelled_answers
from tests.evaluation.labelled import as_columns, labelled_answers

BEGIN = Path(__file__).parents[3] / "shared" / "data" / "begin_wow" / "begin_dev_wow.tsv.gz"
DATA = labelled_answers(300)


def fitted_on(data: LabelledAnswers) -> dict:
    return fit(vectors(data), np.array(data.grounded, dtype=bool), context_keys(data), {"name": "made up"})


def test_a_fit_is_a_calibration_and_repeats_to_the_last_digit() -> None:
    content = fitted_on(DATA)
    assert content == fitted_on(DATA)
    found = parse_calibration(json.dumps(content), "fit")
    assert max(found.weights) <= 0
    assert content["metrics"]["rows"] == 300
    assert content["metrics"]["auroc"] >= 0.9
    assert content["source"] == {"name": "made up"}


def test_the_fit_and_the_file_give_the_same_probability() -> None:
    found = vectors(DATA)
    content = fitted_on(DATA)
    loaded = parse_calibration(json.dumps(content), "fit")
    same = Fitted(content["intercept"], np.array(list(content["weights"].values()))).probability(found)
    assert [loaded.probability(tuple(row)) for row in found.tolist()] == pytest.approx(same.tolist())


def test_weights_are_those_of_an_independent_solver() -> None:
    """sklearn's ridge logistic regression, on defects whose free weights come out negative anyway."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    found = rng.random((4000, len(DEFECTS)))
    grounded = rng.random(4000) < 1 / (1 + np.exp(-(6 - 1.5 * found.sum(axis=1))))
    scale = found.std(axis=0)
    theirs = LogisticRegression(C=1 / (PENALTY * 4000), tol=1e-10, max_iter=2000).fit(found / scale, grounded)
    assert (theirs.coef_ < 0).all()
    mine = fit_weights(found, grounded)
    assert mine.weights == pytest.approx(theirs.coef_[0] / scale, abs=2e-3)
    assert mine.intercept == pytest.approx(theirs.intercept_[0], abs=5e-3)


def test_labels_told_apart_without_error_do_not_make_it_certain() -> None:
    clear = labelled_answers(70, mislabelled=0.0)
    found = fitted_on(clear)
    assert found["metrics"]["sensitivity"] == found["metrics"]["specificity"] == 1
    assert found["intercept"] < 20
    assert 0 < found["metrics"]["log_loss"] < 0.2


def test_a_defect_that_seems_to_help_gets_no_weight() -> None:
    rng = np.random.default_rng(4)
    found = rng.random((300, len(DEFECTS)))
    assert fit_weights(found, found[:, 0] > 0.5).weights[0] == 0


def test_held_out_figures_cannot_be_learnt_by_heart() -> None:
    """Labels by chance: whatever the fit makes of its own rows, on held-out ones nothing is left."""
    rng = np.random.default_rng(6)
    found = vectors(DATA)
    contexts = [f"c{number}" for number in range(len(DATA))]
    areas = []
    for seed in range(5):
        chance = rng.random(len(DATA)) < 0.5
        areas.append(auroc(chance, held_out_probability(found, chance, contexts, seed)).value)
    assert (
        np.mean(areas) < 0.55
    )  # it falls below a half: a fold rich in one class is fitted on the rest, which is poor in it


def test_a_context_is_never_on_both_sides() -> None:
    """Rows repeated with their context: a fit that peeked would know them."""
    from controlplane.evaluation.groundedness_fit import _folds

    contexts = [f"c{number % 40}" for number in range(400)]
    folds = _folds(contexts, 1)
    assert len(folds) == FOLDS
    assert (np.sum(folds, axis=0) == 1).all()
    for inside in folds:
        assert {c for c, i in zip(contexts, inside, strict=True) if i}.isdisjoint(
            c for c, i in zip(contexts, inside, strict=True) if not i
        )


@pytest.mark.parametrize("data", [labelled_answers(30), as_columns([("c", "a", True)] * 100)])
def test_too_little_to_fit_is_said(data: LabelledAnswers) -> None:
    with pytest.raises(ValueError, match="a calibration needs 60 labelled answers of both classes on 20 contexts"):
        fitted_on(data)


def test_figures_of_a_labelled_file() -> None:
    figures = measure(labelled_answers(400, seed=3, mislabelled=0.1))
    assert figures["n"] == figures["labelled"] == 400
    assert 0.8 <= figures["auroc"] < 1
    assert figures["auroc_interval"][0] < figures["auroc"] < figures["auroc_interval"][1]
    assert figures["rate_rows"] + figures["validation_rows"] == 400
    assert figures["interval"][0] <= figures["hallucination_rate_corrected"] <= figures["interval"][1]
    assert figures["interval"][0] <= figures["hallucination_rate_human"] <= figures["interval"][1]
    assert figures["detector"] == calibration().name
    assert json.loads(json.dumps(figures)) == figures


def test_rows_without_a_label_are_the_stream() -> None:
    audit = labelled_answers(300, seed=5, mislabelled=0.1)
    stream = labelled_answers(500, seed=6, mislabelled=0.0, bad=0.1)
    both = LabelledAnswers(
        audit.contexts + stream.contexts, audit.answers + stream.answers, audit.grounded + (None,) * 500
    )
    figures = measure(both)
    assert (figures["rate_rows"], figures["validation_rows"], figures["labelled"]) == (500, 300, 300)
    assert figures["hallucination_rate_human"] is None
    assert figures["rate_sample"] == "the rows without a label"
    again = rogan_gladen(
        Share(round(figures["hallucination_rate_reported"] * 500), 500),
        *(Share(round(figures[name] * rows), rows) for name, rows in _audited(audit, figures)),
    )
    assert figures["hallucination_rate_corrected"] == pytest.approx(again.rate, abs=1e-3)


def _audited(audit: LabelledAnswers, figures: dict) -> list[tuple[str, int]]:
    good = sum(bool(label) for label in audit.grounded)
    return [("sensitivity", len(audit) - good), ("specificity", good)]


def test_one_class_alone_has_no_auroc_and_no_correction() -> None:
    figures = measure(as_columns([(f"The card {n} is free.", f"The card {n} is free.", True) for n in range(40)]))
    assert figures["auroc"] is figures["auroc_interval"] is figures["sensitivity"] is None
    assert figures["hallucination_rate_corrected"] is figures["interval"] is None
    assert "are needed" in figures["corrected_unknown"]


def test_nothing_labelled_still_reports_a_rate() -> None:
    figures = measure(as_columns([("The card is free.", "The card is free.", None)] * 5))
    assert figures["hallucination_rate_reported"] == 0
    assert figures["auroc"] is figures["ece"] is figures["prevalence"] is None


def test_the_corrector_speaks_the_language_of_the_evaluation() -> None:
    correct = corrector(Share(90, 100), Share(190, 200))
    found = correct(200, 1000, 0.95)
    assert found.measured
    assert (found.n, found.estimate) == (1000, pytest.approx(0.15 / 0.85))
    nothing = corrector(Share(50, 100), Share(50, 100))(200, 1000, 0.95)
    assert nothing == Figure(1000, None, None, None, nothing.method)
    assert "no better than chance" in nothing.method


@pytest.mark.skipif(not BEGIN.is_file(), reason="real data begin_wow/begin_dev_wow.tsv.gz is not beside this checkout")
def test_people_of_begin_agree() -> None:
    """Held-out, the whole procedure inside the folds; the shipped calibration is exactly this fit."""
    data = read_labelled_answers(BEGIN, "knowledge", "response", "begin_label", ["Fully attributable"])
    content = fitted_on(data)
    assert content["metrics"]["auroc"] >= 0.94
    assert content["metrics"]["ece"] <= 0.06
    assert list(content["weights"].values()) == pytest.approx(calibration().weights, abs=1e-4)
    assert dict(calibration().metrics) == pytest.approx(content["metrics"], abs=1e-3)
