"""Planted causes are found: a few seeds in every run, fifty in the slow one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from controlplane.core.cause import rank
from controlplane.core.cause_model import Standing
from controlplane.simulation.planted import KINDS, plant
from tests.jobs.cause_exam import START, examine, facts_of

REPORTED = range(50)  # nothing was tuned on these; development used seeds from 1000 on
NEEDED = 45


@pytest.mark.slow
def test_fifty_planted_causes(tmp_path: Path) -> None:
    papers = [examine(seed, tmp_path / str(seed)) for seed in REPORTED]
    wrong = [paper.text() for paper in papers if not paper.right]
    assert len(papers) - len(wrong) >= NEEDED, wrong
    assert {paper.planted.answer.kind for paper in papers} == set(KINDS)


@pytest.mark.parametrize("seed", [2001])
def test_a_planted_cause_is_found(seed: int, tmp_path: Path) -> None:
    paper = examine(seed, tmp_path)
    assert paper.right, paper.text()
    first = paper.ranking.causes[0]
    assert first.points == round(sum(line.points for line in first.lines), 2)
    assert first.changes_mind


def test_every_ten_seeds_hold_every_kind_and_the_same_seed_is_the_same() -> None:
    for begin in (0, 1000):
        kinds = Counter(plant(seed, START, 300).answer.kind for seed in range(begin, begin + 10))
        assert kinds == Counter(KINDS)
    assert plant(7, START, 300) == plant(7, START, 300)
    assert plant(7, START, 300).records != plant(17, START, 300).records


def test_no_record_names_the_cause() -> None:
    """The ranker must not be able to read the answer: only the change log and the hashes speak of artefacts, as they do in a real service."""
    planted = plant(1012, START, 300)
    words = {key for record in planted.records for key in record}
    assert not words & {"answer", "kind", "cause", "planted", "hot"}


def test_without_a_change_nothing_is_called_likely(tmp_path: Path) -> None:
    """The same traffic, with the onset put where nothing happened."""
    planted = plant(1000, START, 4_000)
    before = [r for r in planted.records if r["ts"] < planted.onset.isoformat()]
    planted.records, planted.noted, planted.until = before, planted.noted[:1], planted.onset
    planted.onset = planted.began + (planted.until - planted.began) / 2
    found = rank(facts_of(planted, tmp_path))
    assert found.standing is Standing.UNKNOWN, found.causes[0]
    assert found.scope == "none"
