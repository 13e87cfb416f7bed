"""The rhythm of the heartbeat: when the next beat comes, what stops it, and that the API keeps no block waiting."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.store.landing import LandingError
from controlplane.store.state_claims import FencedOff
from jobs import tick, up
from jobs.evaluate import Evaluation
from jobs.heart import Heart, Pace, next_beat
from jobs.verify import Verification

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
PACE = Pace()
SECONDS = st.floats(-100, 100, allow_nan=False).map(lambda seconds: timedelta(seconds=seconds))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@given(st.floats(0, 20), st.none() | SECONDS)
def test_a_beat_is_never_far_off_and_never_without_rest(lasted: float, closes: timedelta | None) -> None:
    ended = at(lasted)
    found = next_beat(T0, ended, None if closes is None else ended + closes, PACE)
    assert found >= ended + PACE.rest
    assert found <= max(T0 + PACE.regular * 1.5, ended + PACE.rest)


@pytest.mark.parametrize(
    ("ended", "closes", "expected"),
    [
        (0.1, None, 1.0),
        (0.1, 0.7, 0.7),  # before the regular beat
        (0.1, 1.4, 1.4),  # right behind it: the regular one would still be at work then
        (0.1, 1.6, 1.0),
        (0.1, 60, 1.0),
        (0.1, 0.0, 0.3),  # the moment has come, a source is still behind: looked at again soon
        (0.95, 0.0, 1.0),
        (0.1, -2.0, 1.0),  # a source that stays behind is not waited for in haste
        (3.0, None, 3.05),  # a beat that took longer than its rhythm
        (3.0, 2.9, 3.05),
    ],
)
def test_the_next_beat(ended: float, closes: float | None, expected: float) -> None:
    assert next_beat(T0, at(ended), None if closes is None else at(closes), PACE) == at(expected)


class Beats:
    """Beats that do as they are told, one after the other, and then end the heart."""

    def __init__(self, *answers: datetime | Exception | None) -> None:
        self.answers, self.due, self.done, self.fenced = list(answers), [], threading.Event(), threading.Event()

    def __call__(self, now: datetime, due: datetime | None) -> datetime | None:
        self.due.append(due)
        answer = self.answers.pop(0) if self.answers else None
        if not self.answers:
            self.done.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def live(self) -> None:
        ticking = iter(range(10_000))
        heart = Heart(self, lambda: at(next(ticking)), self.fenced.set, Pace(*[timedelta(0)] * 4))
        heart.start()
        assert self.done.wait(20)
        heart.stop()


def test_a_beat_is_told_of_the_moment_that_has_come() -> None:
    beats = Beats(at(-5), at(9_999), None)
    beats.live()
    assert beats.due[:3] == [None, at(-5), None]


def test_a_beat_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    beats = Beats(RuntimeError("the disk is full"), None, None)
    beats.live()
    assert len(beats.due) >= 3
    assert "the disk is full" in caplog.text
    assert not beats.fenced.is_set()


def test_who_is_fenced_off_beats_no_more(caplog: pytest.LogCaptureFixture) -> None:
    beats = Beats(None, FencedOff("another process writes"))
    beats.live()
    assert beats.fenced.wait(20)
    assert len(beats.due) == 2


@pytest.mark.parametrize(
    ("closes", "verified", "deadline", "expected"),
    [
        (None, None, None, None),
        (at(10), None, None, at(12)),
        (at(10), None, at(11), at(11)),
        (None, None, at(11), at(11)),
        (at(10), False, at(11), at(12)),  # something else is wrong: no record will mend it
    ],
)
def test_what_is_waited_for(
    closes: datetime | None, verified: bool | None, deadline: datetime | None, expected: datetime | None
) -> None:
    evaluation = Evaluation(None, closes_at=closes)
    done = tick.Tick(0, evaluation, 0, Verification(verified, "waiting", deadline=deadline))
    assert up._due(done, lateness_seconds=2) == expected


def test_the_api_says_once_a_block_that_it_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[datetime] = []
    policy = SimpleNamespace(watch=SimpleNamespace(lateness_seconds=0))
    control: Any = SimpleNamespace(deps=SimpleNamespace(policy=policy), landing=SimpleNamespace(heartbeat=said.append))
    monkeypatch.setattr(up, "follow_policy", lambda _deps: None)
    monkeypatch.setattr(tick, "run", lambda *_: tick.Tick(0, Evaluation(None, closes_at=at(5)), 0))
    beat = up._beat_of(control)
    assert beat(at(1), None) == at(5)
    for now, due in ((5.0, 5.0), (5.2, 5.0), (6.1, 6.0)):
        beat(at(now), at(due))
    assert said == [at(5.0), at(6.1)]


def test_a_full_disk_does_not_keep_the_beat_from_judging(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_now: datetime) -> None:
        raise LandingError("the disk is full")

    policy = SimpleNamespace(watch=SimpleNamespace(lateness_seconds=0))
    control: Any = SimpleNamespace(deps=SimpleNamespace(policy=policy), landing=SimpleNamespace(heartbeat=refuse))
    monkeypatch.setattr(up, "follow_policy", lambda _deps: None)
    monkeypatch.setattr(tick, "run", lambda *_: tick.Tick(0, Evaluation(None, closes_at=at(7)), 0))
    assert up._beat_of(control)(at(5), at(5)) == at(7)
    assert "the disk is full" in caplog.text
