"""The calibration file: what is in the shipped one, and that nobody changes one unseen."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant.groundedness import calibration, score
from controlplane.assistant.groundedness_calibration import (
    Calibration,
    CalibrationError,
    digest,
    parse_calibration,
    read_calibration,
)
from controlplane.assistant.groundedness_features import DEFECTS, NO_DEFECTS, fingerprint
from controlplane.assistant.knowledge_base import load_knowledge

TEXT = files("controlplane.assistant").joinpath("groundedness_calibration.json").read_text(encoding="utf-8")
CONTENT: dict[str, Any] = json.loads(TEXT)


def changed(reseal: bool = False, **changes: Any) -> str:
    content = {**CONTENT, **changes}
    if reseal:
        content["sha256"] = digest(content)
    return json.dumps(content)


def test_the_shipped_calibration_says_where_it_comes_from_and_what_it_reaches() -> None:
    shipped = calibration()
    assert shipped.source["licence"] == "CC-BY-4.0"
    assert "BEGIN" in shipped.source["name"]
    assert shipped.metrics["rows"] == shipped.source["rows"] > 400
    assert shipped.metrics["auroc"] >= 0.94
    assert shipped.metrics["auroc_low"] < shipped.metrics["auroc"] < shipped.metrics["auroc_high"]
    assert shipped.name == f"{shipped.version}:{shipped.sha256[:8]}"


def test_it_was_fitted_on_the_defects_that_are_computed_today() -> None:
    assert calibration().fingerprint == fingerprint(), (
        "the defects changed (perhaps in text.py): fit the calibration anew with `controlplane eval calibrate-groundedness` and ship it"
    )


def test_a_flawless_answer_is_grounded_and_a_decisive_defect_is_not() -> None:
    shipped = calibration()
    assert shipped.probability(NO_DEFECTS) > 0.9
    for name in ("negation", "numbers", "names"):
        vector = tuple(0.01 if defect == name else 0.0 for defect in DEFECTS)
        assert shipped.probability(vector) < shipped.threshold


vectors = st.tuples(*(st.floats(0, 6) for _ in DEFECTS))


@given(vectors, st.integers(0, len(DEFECTS) - 1), st.floats(0, 5))
def test_more_of_a_defect_never_helps(vector: tuple[float, ...], place: int, more: float) -> None:
    worse = tuple(entry + more if number == place else entry for number, entry in enumerate(vector))
    assert 0 <= calibration().probability(worse) <= calibration().probability(vector) <= 1


@pytest.mark.parametrize("key", sorted(CONTENT))
def test_a_missing_part_is_named(key: str) -> None:
    content = {name: value for name, value in CONTENT.items() if name != key}
    with pytest.raises(CalibrationError, match=key):
        parse_calibration(json.dumps(content), "c.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 0.1},
        {"intercept": CONTENT["intercept"] + 1e-9},
        {"weights": {**CONTENT["weights"], "numbers": 0.0}},
        {"metrics": {**CONTENT["metrics"], "auroc": 0.999}},
        {"decisive": []},
    ],
)
def test_any_change_by_hand_is_found(changes: dict[str, Any]) -> None:
    with pytest.raises(CalibrationError, match=r"c\.json was changed after it was made"):
        parse_calibration(changed(**changes), "c.json")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"extractor": "groundedness-features-1"}, "made for format 1, groundedness-features-1"),
        ({"format": 2}, "made for format 2"),
        ({"weights": {"novel_words": -1.0}}, "the weights must be those of"),
        ({"weights": {**CONTENT["weights"], "numbers": 0.5}}, "finite and <= 0"),
        ({"weights": {**CONTENT["weights"], "numbers": None}}, "finite and <= 0"),
        ({"threshold": 1.5}, r"within \(0, 1\)"),
        ({"decisive": ["luck"]}, "decisive must list"),
    ],
)
def test_a_sealed_but_senseless_file_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CalibrationError, match=complaint):
        parse_calibration(changed(reseal=True, **changes), "c.json")


@pytest.mark.parametrize("text", ["", "{torn", "[]", "7", '"x"'])
def test_what_is_no_calibration_is_refused(text: str) -> None:
    with pytest.raises(CalibrationError, match="calibrate-groundedness"):
        parse_calibration(text, "c.json")


def test_another_calibration_can_be_used(tmp_path: Path) -> None:
    stricter = tmp_path / "stricter.json"
    stricter.write_text(changed(reseal=True, threshold=0.999), encoding="utf-8")
    found = read_calibration(stricter)
    assert isinstance(found, Calibration)
    page = load_knowledge().get("card-lost")
    assert score(page.body, (page,)).label == "grounded"
    assert score(page.body, (page,), found).label == "ungrounded"


def test_the_order_of_keys_does_not_change_the_hash() -> None:
    assert digest(dict(reversed(CONTENT.items()))) == CONTENT["sha256"] == digest(CONTENT)
