"""Who may decide between two people, what a dispute does to a rate, and the draw that is repeated every day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controlplane.core.review_queue import Opinion
from controlplane.store.state import StateWriter
from controlplane.store.state_reviews import Assignment
from jobs import review_draw
from jobs.refused import Refused
from jobs.review_rates import rates
from jobs.review_work import adjudicate, submit
from tests.store.test_state_reviews import DRAW, T0, item

RITA, OLGA = Opinion("rita", "incorrect", T0, "fees", True), Opinion("olga", "correct", T0, "fees", True)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateWriter]:
    writer = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}")
    writer.migrate(T0)
    items = [item(number, wanted=2 if number == 1 else 1, stratum="none", probability=0.5) for number in range(1, 22)]
    writer.add_review_draw(DRAW, items, None)
    both = [Assignment("q-1", number, name, "ana", T0) for number, name in ((1, "rita"), (2, "olga"))]
    writer.add_review_assignments(both)
    submit(writer, "q-1", RITA)
    assert submit(writer, "q-1", OLGA).status == "disagreed"
    yield writer
    writer.close()


def test_one_of_the_two_decides_only_as_the_owner_while_nobody_else_reviews(state: StateWriter) -> None:
    with pytest.raises(Refused, match="a third person decides, or the policy's owner"):
        adjudicate(state, "q-1", RITA, "olga")
    state.add_review_assignments([Assignment("q-2", 1, "nora", "ana", T0)])
    with pytest.raises(Refused, match="a third person decides, one of nora"):
        adjudicate(state, "q-1", OLGA, "olga")
    assert adjudicate(state, "q-1", replace(OLGA, reviewer="nora"), "olga").status == "adjudicated"


def test_the_owner_of_a_team_of_two_decides(state: StateWriter) -> None:
    assert adjudicate(state, "q-1", OLGA, "olga").settled


def test_a_dispute_widens_the_rate_that_it_is_about_and_no_other(state: StateWriter) -> None:
    others = [Assignment(f"q-{number}", 1, "rita", "ana", T0) for number in range(2, 22)]
    state.add_review_assignments(others)
    for one in others:
        submit(state, one.item_id, replace(RITA, label="correct"))
    found = rates(state)
    assert found["disputed"] == 1
    assert {name: value["n"] for name, value in found["rates"].items()} == {
        "misclassification": 21,
        "hallucination": 21,
        "incorrect": 20,
        "unsafe": 21,
    }
    wrong, unsafe = found["rates"]["incorrect"], found["rates"]["unsafe"]
    assert wrong["covered"] == pytest.approx(20 / 21)
    assert unsafe["covered"] == 1.0
    assert wrong["high"] > unsafe["high"] + 0.03
    adjudicate(state, "q-1", replace(RITA, reviewer="nora"), "owner")
    assert rates(state)["rates"]["incorrect"]["rate"] == pytest.approx(1 / 21)


def test_the_daily_draw_is_the_newest_one_again(state: StateWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def draw(_deps: Any, _now: Any, *more: Any) -> dict[str, str]:
        if asked:
            raise Refused("the assistant has answered nothing")
        asked.append(more)
        return {"draw_id": "draw-3"}

    monkeypatch.setattr(review_draw, "draw", draw)
    deps: Any = SimpleNamespace(state=state)
    assert "nobody has asked" in review_draw.daily(
        deps, T0
    )  # a draw of before, which does not say how much can be read
    settings = {"per_day": 20.0, "audit_share": 1.0, "confidence": 0.4, "lag_hours": 24.0, "double": 0.1}
    newer = replace(DRAW, draw_id="draw-2", since=T0, until=T0 + timedelta(days=1), design={"settings": settings})
    state.add_review_draw(newer, [], "draw-1")
    assert review_draw.daily(deps, T0) == "draw-3"
    assert asked == [(20.0, "controlplane", 1.0, 0.1, 0.4, 24.0)]
    assert "answered nothing" in review_draw.daily(deps, T0)
