"""Units: the first eligible conversation per customer, arm, stage and week, decided once when its start block closes."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.store import units
from controlplane.store.queries import load
from controlplane.store.rollups import failed_checks
from controlplane.store.units import BlockOrderError, UnitsClosed, close_units, units_closed_until
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import Conversation, Facts, fetch

SUNDAY = datetime(2026, 1, 11, 23, 50, tzinfo=UTC)  # ten minutes before a calendar week ends


def on(seconds: float) -> datetime:
    return SUNDAY + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("units") / "facts.duckdb") as warehouse:
        yield warehouse


@pytest.fixture
def facts(warehouse):
    return Facts(warehouse).clear()


def conversation(name, started, user="u1", arm="assistant", **fields):
    start = None if started is None else on(started)
    return Conversation(
        name, user, arm, **{"release": "v1", "rollout_id": "r", "segment": "a", "started_at": start} | fields
    )


def close(facts, start, end, stage="s1", stage_start=0.0, rollout="r"):
    return close_units(facts.warehouse, on(start), on(end), stage, on(stage_start), rollout_id=rollout, release="v1")


def counted(facts):
    return [
        row[0]
        for row in fetch(facts.warehouse, "SELECT conversation_id FROM units ORDER BY started_at, conversation_id")
    ]


def excluded(facts):
    return dict(fetch(facts.warehouse, "SELECT conversation_id, reason FROM unit_exclusions"))


def test_the_first_conversation_of_a_customer_counts_and_the_others_are_repeats(facts):
    facts.store(
        conversation("b", 20),
        conversation("a", 10),
        conversation("c", 30, user="u2"),
        conversation("d", 40, arm="baseline"),
    )
    assert close(facts, 0, 60) == UnitsClosed(counted=3, repeat=1, late=0, ineligible=0)
    assert counted(facts) == ["a", "c", "d"]
    assert excluded(facts) == {"b": "repeat"}
    facts.store(conversation("e", 70), conversation("f", 80, user="u3"))
    assert close(facts, 60, 120) == UnitsClosed(counted=1, repeat=1, late=0, ineligible=0)
    assert fetch(facts.warehouse, "SELECT * FROM units WHERE conversation_id = 'f'") == [
        ("f", "u3", "assistant", "r", "v1", "s1", date(2026, 1, 5), *(on(s).replace(tzinfo=None) for s in (80, 60)), "a")
    ]  # fmt: skip


def test_conversations_that_start_together_are_ordered_by_id(facts):
    facts.store(conversation("z", 5), conversation("m", 5), conversation("q", 5))
    close(facts, 0, 60)
    assert counted(facts) == ["m"]


def test_a_new_calendar_week_counts_the_customer_again_even_inside_a_block(facts):
    facts.store(conversation("sunday", 599.999999), conversation("monday", 600), conversation("later", 700))
    assert close(facts, 0, 900) == UnitsClosed(counted=2, repeat=1, late=0, ineligible=0)
    assert counted(facts) == ["sunday", "monday"]
    facts.store(conversation("tuesday", 86400), conversation("wednesday", 2 * 86400), conversation("next", 8 * 86400))
    close(facts, 900, 86401)
    assert excluded(facts)["tuesday"] == "repeat"
    assert close(facts, 86401, 9 * 86400) == UnitsClosed(counted=1, repeat=1, late=0, ineligible=0)


def test_a_new_stage_counts_the_customer_again(facts):
    facts.store(conversation("a", 10), conversation("b", 70))
    close(facts, 0, 60, "s1")
    assert close(facts, 60, 120, "s2", 60) == UnitsClosed(counted=1, repeat=0, late=0, ineligible=0)


def test_another_rollout_has_its_own_units(facts):
    facts.store(conversation("a", 10, rollout_id=None), conversation("b", 20, rollout_id="q"))
    assert close(facts, 0, 60) == UnitsClosed(counted=1, repeat=0, late=0, ineligible=1)
    assert close(facts, 0, 60, rollout="q") == UnitsClosed(counted=1, repeat=1, late=0, ineligible=0)
    assert units_closed_until(facts.warehouse) == {"r": on(60), "q": on(60)}


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("no_user", {"user": None}),
        ("no_user", {"user": ""}),
        ("no_arm", {"arm": None}),
        ("not_eligible", {"eligible": False}),
        ("other_rollout", {"rollout_id": "q"}),
        ("other_release", {"release": "v2"}),
        ("before_stage", {"started": 0.5}),
    ],
)
def test_what_can_not_be_a_unit_is_kept_with_its_reason(facts, reason, fields):
    fields = {"started": 5} | fields
    facts.store(conversation("a", **fields), conversation("b", 10))
    assert close(facts, 0, 60, stage_start=1) == UnitsClosed(counted=1, repeat=0, late=0, ineligible=1)
    assert counted(facts) == ["b"], "an ineligible conversation does not use up its customer"
    assert excluded(facts) == {"a": reason}


def test_what_is_unknown_does_not_exclude(facts):
    facts.store(
        conversation("a", 5, rollout_id=None, release=None, segment=None, eligible=None),
        conversation("b", 6, arm="baseline", release="v7"),
        conversation("c", 7, user="u2", eligible=True),
        conversation("d", None, user="u3"),
    )
    assert close(facts, 0, 60) == UnitsClosed(counted=3, repeat=0, late=0, ineligible=0)
    summary = fetch(facts.warehouse, "SELECT arm, reason, conversations FROM unit_summary ORDER BY arm, reason")
    assert summary == [("assistant", "counted", 2), ("assistant", "no_start", 1), ("baseline", "counted", 1)]


def test_closing_again_changes_nothing_whatever_has_arrived(facts):
    facts.store(conversation("a", 10))
    first = close(facts, 0, 60)
    facts.store(conversation("b", 5, user="u2"))
    assert close(facts, 0, 60) == first
    assert counted(facts) == ["a"]
    assert excluded(facts) == {}


def test_a_late_conversation_is_recorded_once_and_never_counts(facts):
    facts.store(conversation("a", 10))
    close(facts, 0, 60)
    facts.store(conversation("b", 5), conversation("c", 50, user="u2"), conversation("d", 70, user="u2"))
    assert close(facts, 60, 120) == UnitsClosed(counted=1, repeat=0, late=2, ineligible=0)
    assert counted(facts) == ["a", "d"], "a late conversation does not use up its customer"
    assert excluded(facts) == {"b": "late", "c": "late"}
    facts.store(Conversation("b", csat=5.0), Conversation("a", csat=1.0))
    assert close(facts, 120, 180).late == 0
    assert fetch(facts.warehouse, "SELECT stage_key, block_start FROM unit_exclusions WHERE conversation_id = 'c'") == [
        ("s1", on(0).replace(tzinfo=None))
    ]


def test_a_start_that_moves_into_a_closed_block_makes_its_conversation_late(facts):
    facts.store(conversation("a", 70))
    close(facts, 0, 60)
    facts.store(Conversation("a", started_at=on(50)))
    assert close(facts, 60, 120) == UnitsClosed(counted=0, repeat=0, late=1, ineligible=0)


def test_time_that_no_block_covered_makes_nothing_late(facts):
    close(facts, 0, 60)
    close(facts, 120, 180)
    facts.store(conversation("before", -10), conversation("gap", 90, user="u2"), conversation("closed", 130, user="u3"))
    assert close(facts, 180, 240).late == 1
    assert excluded(facts) == {"closed": "late"}


@pytest.mark.parametrize(("start", "end"), [(30, 90), (0, 30), (-60, 0), (0, 61)])
def test_blocks_close_in_order(facts, start, end):
    close(facts, 0, 60)
    with pytest.raises(BlockOrderError, match="begins before 2026-01-11T23:51:00Z, up to where"):
        close(facts, start, end)


def test_an_empty_block_is_refused(facts):
    with pytest.raises(BlockOrderError, match="is empty"):
        close(facts, 60, 60)


@pytest.mark.parametrize(
    "step", ["units_insert", "unit_exclusions_insert", "unit_blocks_insert", "unit_progress_insert"]
)
def test_a_crash_leaves_the_block_open_and_the_next_close_does_it_all(facts, monkeypatch, step):
    facts.store(conversation("a", 10), conversation("b", 20))

    def failing_load(name):
        if name == f"rollups/{step}":
            raise OSError("the disk is gone")
        return load(name)

    with monkeypatch.context() as patch:
        patch.setattr(units, "load", failing_load)
        with pytest.raises(OSError, match="gone"):
            close(facts, 0, 60)
    assert counted(facts) == []
    assert units_closed_until(facts.warehouse) == {}
    assert close(facts, 0, 60) == UnitsClosed(counted=1, repeat=1, late=0, ineligible=0)


def test_checks_find_units_that_count_twice(facts):
    facts.store(conversation("a", 10))
    close(facts, 0, 60)
    assert set(failed_checks(facts.warehouse, on(0), on(60))) == set()
    facts.warehouse.cursor().execute("INSERT INTO units SELECT * FROM units")
    assert {"units_once", "units_add_up"} <= set(failed_checks(facts.warehouse, on(0), on(60)))


# --- any history against a recount in Python ---------------------------------------------------------------------------


@dataclass
class Oracle:
    """Decides units one conversation at a time, in plain Python."""

    closed: list[tuple[datetime, datetime, str]] = field(default_factory=list)
    outcome: dict[str, str] = field(default_factory=dict)
    keys: set[tuple] = field(default_factory=set)

    def close(self, known, start, end, stage, stage_start):
        tally = Counter()
        for c in known.values():
            if (
                c.conversation_id not in self.outcome
                and c.started_at
                and any(a <= c.started_at < b for a, b, _ in self.closed)
            ):
                self.outcome[c.conversation_id] = "late"
                tally["late"] += 1
        started = [c for c in known.values() if c.started_at and start <= c.started_at < end]
        for c in sorted(started, key=lambda c: (c.started_at, c.conversation_id)):
            self.outcome[c.conversation_id] = outcome = self._decide(c, stage, stage_start)
            tally[outcome if outcome in ("counted", "repeat") else "ineligible"] += 1
        self.closed.append((start, end, stage))
        return UnitsClosed(**{name: tally[name] for name in ("counted", "repeat", "late", "ineligible")})

    def _decide(self, c, stage, stage_start):
        if not c.user_id:
            return "no_user"
        if c.arm is None:
            return "no_arm"
        if c.eligible is False:
            return "not_eligible"
        if c.rollout_id not in (None, "r"):
            return "other_rollout"
        if c.arm == "assistant" and c.release not in (None, "v1"):
            return "other_release"
        if c.started_at < stage_start:
            return "before_stage"
        key = (c.user_id, c.arm, stage, c.started_at.isocalendar()[:2])
        if key in self.keys:
            return "repeat"
        self.keys.add(key)
        return "counted"


_started = st.none() | st.integers(0, 1500).map(on) | st.sampled_from([0, 300, 599, 600, 900]).map(on)
_conversations = st.builds(
    Conversation,
    conversation_id=st.integers(0, 30).map("c{}".format),
    user_id=st.sampled_from(["u1", "u1", "u2", "u3", None, ""]),
    arm=st.sampled_from(["assistant", "assistant", "baseline", None]),
    release=st.sampled_from(["v1", "v1", None, "v0"]),
    rollout_id=st.sampled_from(["r", "r", None, "q"]),
    eligible=st.sampled_from([True, None, False]),
    started_at=_started,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rounds=st.lists(
        st.tuples(st.lists(_conversations, max_size=6), st.integers(1, 600), st.booleans()), min_size=1, max_size=5
    )
)
def test_units_equal_a_recount_for_any_history(warehouse, rounds):
    facts, oracle = Facts(warehouse).clear(), Oracle()
    now, stage, stage_start = 0, 0, 0
    for arriving, span, new_stage in rounds:
        facts.store(*arriving)
        if new_stage:
            stage, stage_start = stage + 1, now
        expected = oracle.close(facts.known, on(now), on(now + span), f"s{stage}", on(stage_start))
        assert close(facts, now, now + span, f"s{stage}", stage_start) == expected
        now += span
    found = excluded(facts) | dict.fromkeys(counted(facts), "counted")
    assert found == oracle.outcome
    assert failed_checks(warehouse, on(0), on(now)) == {}, "minutes that wait to be rolled up are no failure"
