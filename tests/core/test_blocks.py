"""Blocks against an oracle that places them by plain arithmetic: they tile what was exposed, once, and never early."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.blocks import Block, Lane, StageEvent, closable, lanes, next_close, spans
from controlplane.core.model import RolloutState
from controlplane.core.policy import parse

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
S = RolloutState
# What may follow: state -> [(event, next state)], share changes and markers alike.
MOVES = {
    S.RUNNING: [("promote", S.RUNNING), ("deploy", S.RUNNING), ("hold", S.HELD), ("disable_execution", S.RUNNING)],
    S.HELD: [("resume", S.RUNNING), ("deploy", S.HELD), ("enable_execution", S.HELD), ("rollback", S.ROLLED_BACK)],
    S.ROLLED_BACK: [("restart", S.RUNNING)],
}
GAPS = st.one_of(
    st.integers(0, 4), st.integers(5, 400), st.sampled_from([60, 120, 300, 900]), st.floats(0, 200, allow_nan=False)
).map(lambda seconds: timedelta(microseconds=round(seconds * 1_000_000)))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def event(version: int, name: str, seconds: float, state: RolloutState = S.RUNNING) -> StageEvent:
    return StageEvent(version, name, state, at(seconds))


def lane(span: int = 60, maturity: int = 0) -> Lane:
    return Lane("lane", timedelta(seconds=span), timedelta(seconds=maturity), (), ())


@st.composite
def histories(draw: st.DrawFn) -> list[StageEvent]:
    moment = T0 + draw(GAPS)
    rows, state = [StageEvent(1, "start", S.RUNNING, moment)], S.RUNNING
    for version in range(2, draw(st.integers(2, 10))):
        moment += draw(GAPS)
        name, state = draw(st.sampled_from(MOVES[state]))
        rows.append(StageEvent(version, name, state, moment))
    return rows


LANES = st.builds(lane, st.sampled_from([1, 5, 7, 60, 900]), st.sampled_from([0, 1, 60, 300]))
WATERMARKS = st.integers(0, 4000).map(at)


def ceiling(moment: datetime) -> datetime:
    return T0 + timedelta(seconds=math.ceil((moment - T0) / timedelta(seconds=1)))


def exposed_spans(history: list[StageEvent]) -> list[tuple[int, datetime, datetime | None]]:
    """(version, start, end) of every span in which a share was served, from the meaning of the words."""
    found: list[tuple[int, datetime, datetime | None]] = []
    for row in history:
        if row.event not in ("start", "promote", "rollback", "restart"):
            continue
        if found and found[-1][2] is None:
            found[-1] = (*found[-1][:2], ceiling(row.started_at))
        if row.state is not S.ROLLED_BACK:
            found.append((row.version, ceiling(row.started_at), None))
    return found


def expected(history: list[StageEvent], of: Lane, watermark: datetime) -> list[tuple[datetime, datetime, int]]:
    result = []
    for version, start, end in exposed_spans(history):
        k = 0
        while True:
            opens = start + k * of.span
            closes = opens + of.span if end is None else min(opens + of.span, end)
            if (end is not None and opens >= end) or closes + of.maturity > watermark:
                break
            result.append((opens, closes, version))
            k += 1
    return result


def bounds(blocks: list[Block]) -> list[tuple[datetime, datetime, int]]:
    return [(block.start, block.end, block.stage_version) for block in blocks]


def remembered(block: Block) -> Block:
    """What a lane's stored state gives back of its last block: bounds and version, no markers."""
    return Block(block.start, block.end, block.stage_version, False)


def in_steps(history: list[StageEvent], of: Lane, marks: list[datetime], **options: Any) -> list[Block]:
    """Close at each watermark in turn, knowing only what had happened by then."""
    closed: list[Block] = []
    for mark in marks:
        known = [row for row in history if row.started_at <= mark]
        last = remembered(closed[-1]) if closed else None
        closed += closable(known, of, last, mark, **options)
    return closed


@given(histories(), LANES, WATERMARKS)
@settings(max_examples=120, deadline=None)
def test_blocks_are_where_arithmetic_puts_them(history: list[StageEvent], of: Lane, watermark: datetime) -> None:
    blocks = closable(history, of, None, watermark, limit=10_000)
    assert bounds(blocks) == expected(history, of, watermark)


@given(histories(), LANES, WATERMARKS)
@settings(max_examples=100, deadline=None)
def test_blocks_tile_each_exposed_span(history: list[StageEvent], of: Lane, watermark: datetime) -> None:
    blocks = closable(history, of, None, watermark, limit=10_000)
    for version, start, end in exposed_spans(history):
        mine = [block for block in blocks if block.stage_version == version]
        if not mine:
            continue
        assert mine[0].start == start
        assert all(one.end == two.start for one, two in pairwise(mine))
        assert all(block.end - block.start == of.span for block in mine[:-1])
        assert end is None or mine[-1].end <= end
        if end is not None and end + of.maturity <= watermark:
            assert mine[-1].end == end  # the block that a share change cut short closes, too
        assert [block.starts_stage for block in mine] == [True] + [False] * (len(mine) - 1)
    assert all(block.start < block.end for block in blocks)
    assert all(block.end + of.maturity <= watermark for block in blocks)


@given(histories(), LANES, WATERMARKS, st.integers(0, 3), st.none() | WATERMARKS)
@settings(max_examples=120, deadline=None)
def test_the_next_block_closes_at_the_time_that_was_told_and_not_before(
    history: list[StageEvent], of: Lane, mark: datetime, closed: int, since: datetime | None
) -> None:
    before = closable(history, of, None, mark, closed, since)
    last = remembered(before[-1]) if before else None
    told = next_close(history, of, last, since)
    if told is None:
        assert closable(history, of, last, mark + timedelta(days=30), 1, since) == []
        return
    assert closable(history, of, last, told - timedelta(microseconds=1), 1, since) == []
    (block,) = closable(history, of, last, told, 1, since)
    assert block.end + of.maturity == told


@given(histories(), LANES, st.lists(st.integers(0, 4000), min_size=1, max_size=30))
@settings(max_examples=120, deadline=None)
def test_many_small_steps_are_one_big_step(history: list[StageEvent], of: Lane, seconds: list[int]) -> None:
    marks = [at(second) for second in sorted(seconds)]
    assert in_steps(history, of, marks, limit=10_000) == closable(history, of, None, marks[-1], limit=10_000)


@given(histories(), LANES, st.integers(0, 2000).map(at), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_a_limited_run_goes_on_where_it_stopped(
    history: list[StageEvent], of: Lane, mark: datetime, limit: int
) -> None:
    whole = closable(history, of, None, mark, limit=10_000)[: 20 * limit]
    parts = in_steps(history, of, [mark] * 20, limit=limit)
    known_at_mark = [row for row in history if row.started_at <= mark]
    assert parts == closable(known_at_mark, of, None, mark, limit=10_000)[: 20 * limit]
    assert bounds(parts) == bounds(whole)


@given(histories(), LANES, WATERMARKS)
@settings(max_examples=120, deadline=None)
def test_each_marker_counts_once_for_the_first_block_that_opens_behind_it(
    history: list[StageEvent], of: Lane, watermark: datetime
) -> None:
    blocks = closable(history, of, None, watermark, limit=10_000)
    for name, counted in (("deploy", "deploys"), ("resume", "resumes")):
        due = [0] * len(blocks)
        for row in history:
            behind = [k for k, block in enumerate(blocks) if block.start >= row.started_at]
            if row.event == name and behind:
                due[behind[0]] += 1
        assert [getattr(block, counted) for block in blocks] == due


def test_a_share_change_cuts_the_running_block_short() -> None:
    history = [event(1, "start", 0), event(2, "promote", 150), event(3, "hold", 160, S.HELD)]
    assert bounds(closable(history, lane(), None, at(270))) == [
        (at(0), at(60), 1),
        (at(60), at(120), 1),
        (at(120), at(150), 1),
        (at(150), at(210), 2),
        (at(210), at(270), 2),
    ]


def test_nothing_closes_before_its_labels_are_mature() -> None:
    history, slow = [event(1, "start", 0)], lane(60, 7200)
    assert closable(history, slow, None, at(7259)) == []
    assert len(closable(history, slow, None, at(7260))) == 1


def test_nothing_is_judged_while_nothing_is_exposed() -> None:
    history = [event(1, "start", 0), event(2, "rollback", 90, S.ROLLED_BACK)]
    assert bounds(closable(history, lane(), None, at(9000))) == [(at(0), at(60), 1), (at(60), at(90), 1)]
    again = [*history, event(3, "restart", 500)]
    assert bounds(closable(again, lane(), None, at(560)))[2:] == [(at(500), at(560), 3)]
    assert [span.exposed for span in spans(again)] == [True, False, True]


def test_a_marker_is_never_given_to_a_block_that_opened_before_it() -> None:
    history = [event(1, "start", 0), event(2, "deploy", 61), event(3, "deploy", 119.5), event(4, "deploy", 120)]
    blocks = closable(history, lane(), None, at(180))
    assert [block.deploys for block in blocks] == [0, 0, 3]


def test_a_marker_in_the_last_block_of_a_stage_goes_to_the_next_stage() -> None:
    history = [event(1, "start", 0), event(2, "deploy", 30), event(3, "promote", 40), event(4, "resume", 40)]
    blocks = closable(history, lane(), None, at(100))
    assert [(block.deploys, block.resumes, block.starts_stage) for block in blocks] == [(0, 0, True), (1, 1, True)]


def test_two_share_changes_at_one_moment_leave_no_empty_block() -> None:
    history = [event(1, "start", 0), event(2, "promote", 60), event(3, "promote", 60)]
    assert bounds(closable(history, lane(), None, at(120))) == [(at(0), at(60), 1), (at(60), at(120), 3)]


def test_a_stage_starts_even_where_producers_clocks_ran_ahead() -> None:
    """The watermark comes from the producers: theirs may be ahead of ours, so a block may close before a share change within it."""
    closed = closable([event(1, "start", 0)], lane(), None, at(60))
    history = [event(1, "start", 0), event(2, "promote", 45)]
    behind = closable(history, lane(), remembered(closed[-1]), at(180))
    assert bounds(behind) == [(at(60), at(120), 2), (at(120), at(180), 2)]
    assert [block.starts_stage for block in behind] == [True, False]


POLICY = """schema = 1
name = "p"
owner = "o"
baseline = "menu"
assignment = { salt = "s" }
phases = [{ name = "one", audience = "eligible", shares = [0.5] }]
[[triggers]]
name = "a"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.02
maturity_minutes = 120
weight = 0.5
action = "rollback"
[[triggers]]
name = "b"
metric = "timeout_rate"
kind = "one_sample"
limit = 0.02
weight = 0.5
action = "hold"
[[certificates]]
name = "c"
metric = "escalation_rate"
kind = "two_sample"
margin = 0.02
maturity_minutes = 120
[[certificates]]
name = "d"
metric = "csat"
kind = "rating"
margin = 0.2
maturity_minutes = 1440
block_seconds = 900
"""


def test_lanes_hold_what_closes_together_and_every_stream_once() -> None:
    policy = parse(POLICY)
    found = lanes(policy)
    assert [(item.span.total_seconds(), item.maturity.total_seconds()) for item in found] == [
        (60.0, 0.0),
        (60.0, 7200.0),
        (900.0, 86400.0),
    ]
    assert [[trigger.name for trigger in item.triggers] for item in found] == [["b"], ["a"], []]
    assert [[certificate.name for certificate in item.certificates] for item in found] == [[], ["c"], ["d"]]
    assert len({item.key for item in found}) == 3


@pytest.mark.parametrize("name", ["hold", "resume", "deploy", "disable_execution", "enable_execution"])
def test_what_changes_no_share_cuts_no_block(name: str) -> None:
    history = [event(1, "start", 0), event(2, name, 30)]
    assert bounds(closable(history, lane(), None, at(60))) == [(at(0), at(60), 1)]
    assert closable(history, lane(), None, at(59)) == []


def test_history_is_not_changed() -> None:
    history = [event(1, "start", 0), event(2, "promote", 90)]
    before = [replace(row) for row in history]
    closable(history, lane(), None, at(500))
    assert history == before
