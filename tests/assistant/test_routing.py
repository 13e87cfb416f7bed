"""Which model answers: complexity rises with each of its parts, and the threshold keeps the target share."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant.routing import (
    Routing,
    RoutingFileError,
    RoutingWeights,
    calibrate,
    complexity,
    large_share,
    load_routing,
    save_routing,
)

UNIT = st.floats(0, 1)
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)
WEIGHTS = st.builds(RoutingWeights, *[st.floats(0.01, 5)] * 4)


@given(UNIT, UNIT, st.floats(0, 1e6), st.integers(0, 10_000), WEIGHTS)
def test_complexity_is_a_unit_score(risk: float, confidence: float, retrieval: float, words: int, w: object) -> None:
    assert 0 <= complexity(risk, confidence, retrieval, words, w) <= 1


@given(UNIT, UNIT, st.floats(0, 100), st.integers(0, 200), UNIT, UNIT, st.floats(0, 100), st.integers(0, 200))
def test_complexity_never_falls_with_more_risk_doubt_misfit_or_length(
    risk: float, confidence: float, retrieval: float, words: int, risk2: float, conf2: float, retr2: float, words2: int
) -> None:
    harder = complexity(max(risk, risk2), min(confidence, conf2), min(retrieval, retr2), max(words, words2))
    assert harder >= complexity(risk, confidence, retrieval, words) - 1e-12


def test_values_outside_their_range_are_cut() -> None:
    assert complexity(7, -3, -1, -5) == complexity(1, 0, 0, 0)


@given(SCORES, UNIT)
def test_no_more_than_the_target_share_goes_to_the_large_model(scores: list[float], target: float) -> None:
    assert large_share(scores, calibrate(scores, target)) <= target + 1e-9


@given(SCORES, UNIT)
def test_a_lower_threshold_would_exceed_the_target(scores: list[float], target: float) -> None:
    threshold = calibrate(scores, target)
    lower = [score for score in scores if score < threshold]
    if lower:
        assert large_share(scores, max(lower)) > target


def test_on_distinct_scores_the_target_is_met() -> None:
    rng = random.Random(1)
    scores = [rng.random() for _ in range(1000)]
    for target in (0.0, 0.1, 0.25, 0.9, 1.0):
        assert large_share(scores, calibrate(scores, target)) == pytest.approx(target, abs=1e-9)


def test_equal_scores_go_together_and_to_the_cheaper_side() -> None:
    assert large_share([0.5] * 10, calibrate([0.5] * 10, 0.3)) == 0.0


@pytest.mark.parametrize(("scores", "target", "match"), [([], 0.2, "empty sample"), ([0.5], 1.2, "target_share")])
def test_senseless_calibrations_are_refused(scores: list[float], target: float, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        calibrate(scores, target)


@pytest.mark.parametrize("weights", [(0, 0, 0, 0), (1, -1, 0, 0), (float("nan"), 1, 1, 1), (float("inf"), 0, 0, 0)])
def test_senseless_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="routing weights"):
        RoutingWeights(*weights)


def test_a_risky_subject_goes_to_the_large_model_and_a_plain_one_does_not() -> None:
    routing = Routing(threshold=0.4, intent_risk=(("transfer_failed", 0.9), ("opening_hours", 0.0)))
    question = "how long does it take"
    plain = routing.score("opening_hours", 0.95, 12.0, question)
    risky = routing.score("transfer_failed", 0.6, 4.0, question)
    assert (routing.choose(plain), routing.choose(risky)) == ("small", "large")
    assert routing.risk_of("something_new") == routing.default_risk


def test_a_stored_routing_is_the_same_routing(tmp_path: Path) -> None:
    routing = replace(Routing(0.37), intent_risk=(("fees", 0.1),), target_share=0.2, calibrated_on=812)
    save_routing(routing, tmp_path / "routing.json")
    assert load_routing(tmp_path / "routing.json") == routing


@pytest.mark.parametrize("change", [{"weights": {"risk": -1}}, {"surprise": 1}, {"intent_risk": 3}])
def test_a_stored_routing_that_makes_no_sense_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "routing.json"
    save_routing(Routing(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RoutingFileError, match=r"routing\.json cannot be read"):
        load_routing(path)
    with pytest.raises(RoutingFileError, match=r"absent\.json"):
        load_routing(tmp_path / "absent.json")
