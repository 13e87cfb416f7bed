"""The queue of later things: time order, and order of arrival at the same time."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.simulation.clock_queue import ClockQueue
from tests.simulation.measure import START

seconds = st.lists(st.integers(0, 50), max_size=40)


def after(count: int) -> datetime:
    return START + timedelta(seconds=count)


@given(seconds)
def test_items_come_in_time_order_and_ties_in_order_of_arrival(delays: list[int]) -> None:
    queue: ClockQueue[int] = ClockQueue()
    for number, delay in enumerate(delays):
        queue.push(after(delay), number)
    popped = [(due, number) for due, number in queue.pop_until(after(50))]
    assert popped == sorted((after(delay), number) for number, delay in enumerate(delays))
    assert len(queue) == 0


@given(seconds, st.lists(st.integers(0, 50), max_size=5))
def test_the_steps_do_not_matter(delays: list[int], stops: list[int]) -> None:
    once: ClockQueue[int] = ClockQueue()
    stepwise: ClockQueue[int] = ClockQueue()
    for number, delay in enumerate(delays):
        once.push(after(delay), number)
        stepwise.push(after(delay), number)
    pieces = [item for stop in [*sorted(stops), 50] for item in stepwise.pop_until(after(stop))]
    assert pieces == list(once.pop_until(after(50)))


def test_what_is_not_due_stays() -> None:
    queue: ClockQueue[str] = ClockQueue()
    queue.push(after(10), "later")
    assert list(queue.pop_until(after(9))) == []
    assert len(queue) == 1
    assert list(queue.pop_until(after(10))) == [(after(10), "later")]


def test_what_is_pushed_while_popping_is_popped_if_due() -> None:
    queue: ClockQueue[int] = ClockQueue()
    queue.push(after(1), 1)
    seen = []
    for due, number in queue.pop_until(after(5)):
        seen.append(number)
        if number < 10:
            queue.push(due + timedelta(seconds=1), number + 1)
    assert seen == [1, 2, 3, 4, 5]
    assert len(queue) == 1
