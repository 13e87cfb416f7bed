"""Root-cause triage from counts alone: changes, mix against rate, slices, the change log, and that no data accuses nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.cause import rank
from controlplane.core.cause_changes import AT_ONSET, arrivals, closeness, kinds_changed, kinds_named
from controlplane.core.cause_effects import LEAST, Effects, distance, shift, state
from controlplane.core.cause_model import (
    BASELINE,
    MEASURES,
    TREATED,
    Calls,
    Cell,
    Change,
    Facts,
    Kind,
    Says,
    Share,
    Standing,
    State,
    Sums,
)
from controlplane.core.cause_rules import RULES

ONSET = datetime(2026, 3, 2, 12, tzinfo=UTC)
SINCE, UNTIL = ONSET - timedelta(hours=6), ONSET + timedelta(hours=3)
ESCALATED = MEASURES["escalated"]


def events(n: int, x: int) -> Sums:
    return Sums(n, float(x), float(x))


def facts(cells: dict[Cell, Sums], **more: object) -> Facts:
    return Facts(since=SINCE, onset=ONSET, until=UNTIL, cells=cells, **more)  # type: ignore[arg-type]


def both_arms(treated: tuple[int, int], baseline: tuple[int, int], n: int = 2000) -> dict[Cell, Sums]:
    """Escalations of `n` conversations before and after, in both arms."""
    return {
        ("escalated", "", "", arm, late): events(n, x)
        for arm, sides in ((TREATED, treated), (BASELINE, baseline))
        for late, x in enumerate(sides)
    }


# changes


def test_a_change_is_moved_still_or_unclear() -> None:
    assert shift(events(2000, 200), events(2000, 400), ESCALATED).state is State.MOVED
    assert shift(events(20_000, 2000), events(20_000, 2010), ESCALATED).state is State.STILL
    assert shift(events(100, 10), events(100, 14), ESCALATED).state is State.UNCLEAR
    assert shift(events(LEAST - 1, 2), events(2000, 200), ESCALATED) is None


@settings(max_examples=60)
@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0.001, 1))
def test_nothing_is_both_clear_and_left_out(value: float, error: float, margin: float) -> None:
    found = state(value, error, margin)
    if found is State.STILL:
        assert abs(value) <= margin
    if found is State.MOVED:
        assert abs(value) >= margin / 2
        assert abs(value) >= 3 * error


def test_what_hits_both_arms_is_not_the_assistants_own() -> None:
    effects = Effects(facts(both_arms((200, 500), (300, 600))))
    assert effects.scope("escalated") == "both"
    assert abs(effects.own("escalated").value) < 0.01
    effects = Effects(facts(both_arms((200, 500), (300, 300))))
    assert effects.scope("escalated") == "treated"
    assert isclose(effects.own("escalated").value, 0.15)
    assert Effects(facts(both_arms((200, 200), (300, 600)))).scope("escalated") == "baseline"
    assert Effects(facts(both_arms((200, 205), (300, 303)))).scope("escalated") == "none"


counts = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6
)


@settings(max_examples=50)
@given(counts)
def test_mix_and_rate_add_up_to_the_change(slices: list[tuple[int, int, float, float]]) -> None:
    """Exactly, whatever the shares and rates are."""
    cells: dict[Cell, Sums] = {}
    for i, (n0, n1, p0, p1) in enumerate(slices):
        for late, (n, p) in enumerate(((n0, p0), (n1, p1))):
            if n:
                cells["escalated", "intent", f"i{i}", TREATED, late] = events(n, round(n * p))
    effects = Effects(facts(cells))
    n = [sum(s.n for key, s in cells.items() if key[4] == late) for late in (0, 1)]
    found = effects.mix("escalated", "intent")
    if min(n) < LEAST:
        assert found is None
        return
    mix, rate, _ = found
    total = [sum(s.total for key, s in cells.items() if key[4] == late) / n[late] for late in (0, 1)]
    assert isclose(mix.value + rate, total[1] - total[0], abs_tol=1e-9)


def test_the_slice_that_carries_the_change_is_named_and_a_change_everywhere_names_none() -> None:
    def cells(hot: int) -> dict[Cell, Sums]:
        found = both_arms((200, 300 + hot), (300, 300))
        for arm, late, a, b in ((TREATED, 0, 50, 150), (TREATED, 1, 50 + hot, 250), (BASELINE, 0, 75, 225)):
            found["escalated", "region", "north", arm, late] = events(500, a)
            found["escalated", "region", "south", arm, late] = events(1500, b)
        found["escalated", "region", "north", BASELINE, 1] = events(500, 75)
        found["escalated", "region", "south", BASELINE, 1] = events(1500, 225)
        return found

    named = Effects(facts(cells(200))).carried("escalated", "treated")
    assert named is not None
    assert (named.dimension, named.value) == ("region", "north")
    assert named.low < 0.4 < named.high
    assert Effects(facts(both_arms((200, 500), (300, 300)))).carried("escalated", "treated") is None


def test_distance_of_shares() -> None:
    far, z, grew = distance({"app": 800, "web": 200}, {"app": 500, "web": 500})
    assert isclose(far, 0.3)
    assert z > 4
    assert grew == "web"
    far, z, _ = distance({"app": 800, "web": 200}, {"app": 400, "web": 100})
    assert far == 0
    assert z < 1
    assert distance({"app": 5}, {"app": 500}) is None


# the change log


def test_words_name_what_was_changed() -> None:
    assert kinds_named("new prompt for cards") == (Kind.PROMPT,)
    assert kinds_named("knowledge base and answers of v2") == (Kind.KNOWLEDGE,)
    assert kinds_named("intent model retrained") == (Kind.CLASSIFIER,)
    assert kinds_named("model and prompt") == (Kind.PROMPT, Kind.MODEL)
    assert kinds_named("hotfix 12") == ()
    assert kinds_named("remodelled the promptness") == ()


def test_hashes_name_what_differs() -> None:
    old = {"model": "a", "prompt": "a"}
    assert kinds_changed(old, {**old, "prompt": "b"}) == ((Kind.PROMPT,), ("prompt",))
    assert kinds_changed(old, old) == ((), ())


@given(st.floats(-600, 600))
def test_a_change_cannot_cause_what_began_before_it(minutes: float) -> None:
    at = ONSET + timedelta(minutes=minutes)
    fits = closeness(at, ONSET, SINCE)
    assert 0 <= fits <= 1
    if at > ONSET + AT_ONSET:
        assert fits == 0
    if abs(minutes) < 1:
        assert fits > 0.9


def test_a_new_value_is_one_that_was_hardly_there_before() -> None:
    def share(n: int, minutes: float) -> Share:
        return Share(n, ONSET + timedelta(minutes=minutes), UNTIL)

    shares = {
        ("model", "m1", TREATED, 0): share(900, -300),
        ("model", "m1", TREATED, 1): share(100, 0),
        ("model", "m2", TREATED, 1): share(500, 2),
    }
    found = arrivals(facts({}, shares=shares), ("model",))
    assert [(item.value, item.first) for item in found] == [("m2", ONSET + timedelta(minutes=2))]
    late_only = {key: value for key, value in shares.items() if key[3] == 1}
    assert arrivals(facts({}, shares=late_only), ("model",)) == []


# the ranking


def test_no_data_accuses_nobody() -> None:
    found = rank(facts({}))
    assert found.standing is Standing.UNKNOWN
    assert found.causes == ()
    assert found.notes


def test_a_measure_alone_leaves_most_unknown_and_names_no_cause() -> None:
    found = rank(facts(both_arms((200, 500), (300, 300))))
    assert {cause.kind for cause in found.causes} == set(Kind)
    assert found.standing is not Standing.LIKELY
    unknown = [line for cause in found.causes for line in cause.lines if line.says is Says.UNKNOWN]
    assert len(unknown) > 8
    assert all(line.points == 0 for line in unknown)


def test_a_recorded_change_without_a_mark_is_not_enough_and_one_after_the_onset_counts_nothing() -> None:
    def points(minutes: float) -> float:
        change = Change(ONSET + timedelta(minutes=minutes), "deploy", "new prompt", (Kind.PROMPT,))
        found = rank(facts(both_arms((200, 500), (300, 300)), changes=[change]))
        return next(cause.points for cause in found.causes if cause.kind is Kind.PROMPT)

    assert points(0) > points(-200) > points(120)


def test_a_dependency_that_fails_for_both_arms_comes_first() -> None:
    def calls(n: int, failed: int) -> Calls:
        return Calls(n, failed, Sums(n, 5.0 * n, 25.5 * n))

    cells = both_arms((200, 500), (200, 420))
    for arm in (TREATED, BASELINE):
        cells["escalated", "dependency", "cards", arm, 0] = events(800, 80)
        cells["escalated", "dependency", "cards", arm, 1] = events(800, 340)
    found = {
        (kind, name, arm, late): calls(800, 300 if late and name == "cards" else 5)
        for kind, name in (("dependency", "cards"), ("dependency", "crm"))
        for arm in (TREATED, BASELINE)
        for late in (0, 1)
    }
    first = rank(facts(cells, calls=found, changes=[])).causes[0]
    assert first.kind is Kind.DEPENDENCY
    assert first.named == "cards"
    assert first.slice is not None


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_rule_that_says_what_is_missing(kind: Kind) -> None:
    lines = list(RULES[kind](Effects(facts(both_arms((200, 500), (300, 300)))), "escalated"))
    assert lines
    assert all(line.text and line.name for line in lines)
