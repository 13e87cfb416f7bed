"""The flag read path: young enough to be trusted, or the baseline."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.assignment import Reason, Unit
from controlplane.core.model import Arm, Rollout, RolloutState
from controlplane.core.policy import parse
from controlplane.core.rollout import ActorKind, Change, Event, apply, start
from controlplane.settings import shipped_policy
from controlplane.store.flags import FlagReader
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_rows import Commit

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
POLICY = parse(shipped_policy("default"))
OTHER = parse(shipped_policy("demo"))
ROW = Rollout("r", "v1", "h", RolloutState.RUNNING, "internal", 0, 1.0, True, POLICY.hash, 4, T0, T0)
EMPLOYEE = Unit("u1", employee=True)


class Source:
    """A state whose answers the test chooses, and that counts how often it is asked."""

    def __init__(self, row: Rollout | None = ROW) -> None:
        self.row, self.down, self.reads = row, False, 0
        self.texts = {POLICY.hash: POLICY.text}

    def rollout(self) -> Rollout | None:
        self.reads += 1
        if self.down:
            raise OSError("the state is locked")
        return self.row

    def policy_text(self, policy_hash: str) -> str | None:
        return self.texts.get(policy_hash)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_the_row_is_read_at_most_once_a_second() -> None:
    source = Source()
    flags = FlagReader(source)
    for tenth in range(31):
        assert flags.evaluate(EMPLOYEE, at(tenth / 10)).arm is Arm.ASSISTANT
    assert source.reads == 4  # at 0, 1, 2 and 3 s


def test_a_cut_is_served_within_a_second() -> None:
    source = Source()
    flags = FlagReader(source)
    flags.evaluate(EMPLOYEE, at(0))
    source.row = replace(ROW, state=RolloutState.ROLLED_BACK, share=0.0, version=5)
    assert flags.evaluate(EMPLOYEE, at(0.9)).flag_version == 4
    found = flags.evaluate(EMPLOYEE, at(1))
    assert (found.arm, found.reason, found.flag_version) == (Arm.BASELINE, Reason.DISABLED, 5)


def test_a_state_that_cannot_be_read_keeps_the_old_row_until_it_is_stale() -> None:
    source = Source()
    flags = FlagReader(source)
    flags.evaluate(EMPLOYEE, at(0))
    source.down = True
    for second in (1, 3, 5):
        assert flags.evaluate(EMPLOYEE, at(second)).arm is Arm.ASSISTANT
    assert flags.last_error == "OSError: the state is locked"
    found = flags.evaluate(EMPLOYEE, at(5.001))
    assert (found.arm, found.reason, found.eligible) == (Arm.BASELINE, Reason.STALE, False)
    source.down = False
    assert flags.evaluate(EMPLOYEE, at(7)).arm is Arm.ASSISTANT
    assert flags.last_error is None


def test_a_state_that_was_never_read_is_an_error() -> None:
    source = Source()
    source.down = True
    found = FlagReader(source).evaluate(EMPLOYEE, at(0))
    assert (found.arm, found.reason) == (Arm.BASELINE, Reason.ERROR)


def test_a_state_that_is_down_is_not_asked_for_every_customer() -> None:
    """Each try may wait for a lock; a queue of them would stop the very servers that must fall back to the baseline."""
    source = Source()
    source.down = True
    flags = FlagReader(source)
    for tenth in range(30):
        flags.evaluate(EMPLOYEE, at(tenth / 10))
    assert source.reads == 3


def test_a_clock_that_was_set_back_does_not_freeze_the_flag() -> None:
    source = Source()
    flags = FlagReader(source)
    flags.evaluate(EMPLOYEE, at(3600))
    source.row = replace(ROW, state=RolloutState.ROLLED_BACK, share=0.0, version=5)
    assert flags.evaluate(EMPLOYEE, at(0)).reason is Reason.DISABLED
    source.down = True
    assert flags.evaluate(EMPLOYEE, at(-3600)).reason is Reason.STALE


def test_a_rollout_whose_policy_is_not_registered_is_not_served() -> None:
    source = Source(replace(ROW, policy_hash=OTHER.hash))
    flags = FlagReader(source)
    found = flags.evaluate(EMPLOYEE, at(0))
    assert found.arm is Arm.BASELINE
    assert flags.last_error is not None
    assert "is not registered" in flags.last_error
    source.texts[OTHER.hash] = OTHER.text
    assert flags.evaluate(EMPLOYEE, at(1)).arm is Arm.ASSISTANT


def test_a_rollout_that_changes_to_an_unregistered_policy_is_cut_at_once() -> None:
    source = Source()
    flags = FlagReader(source)
    assert flags.evaluate(EMPLOYEE, at(0)).arm is Arm.ASSISTANT
    source.row = replace(ROW, policy_hash="f" * 64, version=5)
    assert flags.evaluate(EMPLOYEE, at(1)).arm is Arm.BASELINE


def test_a_registered_text_that_is_no_policy_is_not_served() -> None:
    source = Source()
    source.texts[POLICY.hash] = "schema = 1"
    flags = FlagReader(source)
    assert flags.evaluate(EMPLOYEE, at(0)).arm is Arm.BASELINE
    assert flags.last_error is not None
    assert flags.last_error.startswith("PolicyError")


def test_without_a_rollout_everyone_has_the_baseline() -> None:
    source = Source(None)
    flags = FlagReader(source)
    assert flags.evaluate(EMPLOYEE, at(0)).reason is Reason.DEFAULT
    assert flags.snapshot(at(0)) == (None, at(0))


def test_the_snapshot_says_when_it_was_read() -> None:
    flags = FlagReader(Source())
    assert flags.snapshot(at(0)) == (ROW, at(0))
    assert flags.snapshot(at(0.5)) == (ROW, at(0))
    assert flags.snapshot(at(1.5)) == (ROW, at(1.5))


@given(st.lists(st.tuples(st.floats(-3, 8), st.sampled_from(["ask", "down", "up", "cut"])), max_size=40))
@settings(deadline=None, max_examples=200)
def test_never_the_assistant_from_a_row_older_than_its_age(moves: list[tuple[float, str]]) -> None:
    """Whatever the clock, the database and the rollout do, the assistant is served only from a read of the last five seconds."""
    source = Source()
    flags = FlagReader(source)
    now, cut_at = T0, None
    for step, move in moves:
        now += timedelta(seconds=step)
        source.down = {"down": True, "up": False}.get(move, source.down)
        if move == "cut" and cut_at is None:
            source.row, cut_at = replace(ROW, state=RolloutState.ROLLED_BACK, share=0.0, version=5), now
        found = flags.evaluate(EMPLOYEE, now)
        if found.arm is Arm.ASSISTANT:
            _, read_at = flags.snapshot(now)
            assert read_at is not None
            assert abs(now - read_at) <= timedelta(seconds=5)
            assert found.flag_version == 4
        if cut_at is not None and not source.down and abs(now - cut_at) > timedelta(seconds=10):
            assert found.arm is Arm.BASELINE


def test_a_commit_is_the_cut_on_a_real_state(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    writer = StateWriter(url)
    writer.migrate(T0)
    reader = StateReader(url)
    flags = FlagReader(reader)
    assert flags.evaluate(EMPLOYEE, at(0)).reason is Reason.DEFAULT
    writer.register_policy(POLICY.hash, POLICY.name, POLICY.text, T0)
    named = {"rollout_id": "r", "release": "v1", "release_hash": "h"}
    row = start(Change(Event.START, ActorKind.PERSON, "begin", T0, **named), POLICY)
    writer.commit(Commit(rollout=row, expected_version=0, stage_event="start"), T0)
    assert flags.evaluate(EMPLOYEE, at(1)).arm is Arm.ASSISTANT
    cut = apply(row, Change(Event.ROLLBACK, ActorKind.AUTOMATIC, "harm", at(1)), POLICY)
    writer.commit(Commit(rollout=cut, expected_version=1, stage_event="rollback"), at(1))
    found = flags.evaluate(EMPLOYEE, at(2))
    assert (found.arm, found.reason, found.flag_version) == (Arm.BASELINE, Reason.DISABLED, 2)
    writer.close()
    reader.close()


@pytest.mark.parametrize("reread", [0.2, 3.0])
def test_the_pace_can_be_chosen(reread: float) -> None:
    source = Source()
    flags = FlagReader(source, reread=timedelta(seconds=reread))
    for tenth in range(30):
        flags.evaluate(EMPLOYEE, at(tenth / 10))
    assert source.reads == round(3 / reread)
