"""The on-call ladder: one tier at a time, in order, each once, each with its time, and quiet hours that never keep back what is critical."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.config import Tier
from alerts.ladder import Waiting, calls, due_at
from alerts.model import Severity
from alerts.schedule import QuietHours

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NIGHT = datetime(2026, 1, 5, 23, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LADDER = (Tier("first", ()), Tier("second", ("pager",)), Tier("all", ("pager",), after=10 * MINUTE))
QUIET = QuietHours(time(22), time(7))


def waiting(asked: datetime = NOON, severity: Severity = Severity.WARNING, **told: datetime) -> Waiting:
    return Waiting("i1", severity, asked, {int(name[1:]): moment for name, moment in told.items()})


def numbers(one: Waiting, now: datetime, quiet: QuietHours | None = None) -> list[int]:
    return [call.number for call in calls([one], LADDER, quiet, now)]


def test_nobody_is_called_before_the_time_of_the_first_tier() -> None:
    assert numbers(waiting(), NOON + 5 * MINUTE - timedelta(microseconds=1)) == []
    assert numbers(waiting(), NOON + 5 * MINUTE) == [1]


def test_the_next_tier_has_its_time_from_when_the_one_before_was_told() -> None:
    """After an hour of darkness one tier is called, and the next only when that one had its time."""
    late = NOON + timedelta(hours=1)
    assert numbers(waiting(), late) == [1]
    assert numbers(waiting(t1=late), late) == []
    assert numbers(waiting(t1=late), late + 5 * MINUTE) == [2]
    assert numbers(waiting(t1=NOON, t2=late), late + 9 * MINUTE) == []
    assert numbers(waiting(t1=NOON, t2=late), late + 10 * MINUTE) == [3]


def test_the_ladder_has_an_end_and_may_be_empty() -> None:
    assert numbers(waiting(t1=NOON, t2=NOON, t3=NOON), NOON + timedelta(days=9)) == []
    assert calls([waiting()], (), None, NOON + timedelta(days=9)) == ()


def test_quiet_hours_wait_for_the_morning_but_never_with_what_is_critical() -> None:
    morning = datetime(2026, 1, 6, 7, tzinfo=UTC)
    assert numbers(waiting(NIGHT), morning - MINUTE, QUIET) == []
    assert numbers(waiting(NIGHT), morning, QUIET) == [1]
    assert numbers(waiting(NIGHT, t1=morning), morning + 5 * MINUTE, QUIET) == [2]
    assert numbers(waiting(NIGHT, Severity.CRITICAL), NIGHT + 5 * MINUTE, QUIET) == [1]


def test_the_longest_overdue_is_called_first() -> None:
    many = [Waiting(f"i{n}", Severity.ERROR, NOON + n * MINUTE) for n in (3, 1, 2)]
    assert [call.incident_id for call in calls(many, LADDER, None, NOON + timedelta(hours=1))] == ["i1", "i2", "i3"]


LADDERS = st.lists(st.integers(1, 120), min_size=1, max_size=5).map(
    lambda spans: tuple(Tier(f"t{n}", (), after=span * MINUTE) for n, span in enumerate(spans))
)
BEATS = st.lists(st.integers(1, 200), min_size=1, max_size=60)


@given(LADDERS, BEATS, st.sampled_from(list(Severity)), st.booleans())
def test_whenever_the_process_runs_every_tier_is_told_once_in_order_and_never_early(
    ladder: tuple[Tier, ...], beats: list[int], severity: Severity, quiet: bool
) -> None:
    """A life of heartbeats with any pauses between them, told tiers kept as the incident's timeline keeps them."""
    hours, now, told = QUIET if quiet else None, NIGHT, {}
    for beat in beats:
        now += beat * MINUTE
        one = Waiting("i", severity, NIGHT, dict(told))
        found = calls([one], ladder, hours, now)
        assert len(found) <= 1
        for call in found:
            assert call.number == len(told) + 1
            assert call.tier is ladder[call.number - 1]
            before = told.get(call.number - 1, NIGHT)
            assert now - before >= call.tier.after
            assert severity is Severity.CRITICAL or hours is None or hours.until(call.due_at) is None
            told[call.number] = now
        if not found and len(told) < len(ladder):
            assert due_at(one, len(told) + 1, ladder, hours) > now


@given(LADDERS, st.integers(0, 10**4))
def test_quiet_hours_only_ever_delay_and_never_what_is_critical(ladder: tuple[Tier, ...], minutes: int) -> None:
    asked = NOON + minutes * MINUTE
    for severity in Severity:
        one = Waiting("i", severity, asked)
        plain, held = due_at(one, 1, ladder), due_at(one, 1, ladder, QUIET)
        assert held >= plain
        assert severity is not Severity.CRITICAL or held == plain
