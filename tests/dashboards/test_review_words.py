"""The pieces of Review that need no page: strips, requirements, the timeline's frames, funnels, topics, weeks, money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.estimates import Interval
from controlplane.core.metrics import METRICS
from dashboards import measures
from dashboards.answers import GOOD, WAIT, Line, Span
from dashboards.review import cards as review_cards
from dashboards.review import charts as charts_review
from dashboards.review import money as review_money
from dashboards.review import story as review_story
from dashboards.review import values as review_values
from dashboards.review.outlook import Left
from dashboards.theme import LIGHT

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def measure(name: str, difference: Interval | None, margin: float | None = None, **more: object) -> measures.Measure:
    plain = {"treated": 0.1, "control": 0.2, "n_treated": 50, "n_control": 400, "mature": 0.5, "verdict": "unknown"}
    plain |= {"maturity": HOUR, "interval": None, "limit": None} | more
    return measures.Measure(metric=METRICS[name], difference=difference, margin=margin, **plain)


@given(
    st.floats(-1, 1).filter(lambda middle: abs(middle) > 1e-6),
    st.floats(0.001, 0.5),
    st.sampled_from(["csat", "escalation_rate"]),
)
def test_on_a_strip_the_right_is_always_better(middle: float, half: float, name: str) -> None:
    found = review_cards.strip(measure(name, Interval(middle, middle - half, middle + half), 0.05))
    assert found is not None
    better = middle > 0 if name == "csat" else middle < 0
    assert found.zero == 50.0
    assert (found.middle > 50.0) == better
    assert 0 <= found.low <= found.middle <= found.high <= 100
    assert found.mark is not None
    assert 0 < found.mark < 50


def test_a_value_against_its_limit_is_better_to_the_right_too() -> None:
    one = measure("hallucination_rate", None, interval=Interval(0.02, 0.01, 0.03), limit=0.1, control=None)
    found = review_cards.strip(one)
    assert found is not None
    assert found.mark is not None
    assert found.mark < found.low < found.middle < found.high
    assert review_cards.strip(measure("cost_per_resolved", None)) is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"verdict": "improved"}, ("improved", "good")),
        ({"verdict": "over limit"}, ("over limit", "bad")),
        ({"provisional": True}, ("provisional", "wait")),
        ({"treated": None}, ("no data yet", "quiet")),
        ({}, ("can't tell yet", "quiet")),
    ],
)
def test_every_measure_has_a_word(more: dict[str, object], said: tuple[str, str]) -> None:
    assert review_cards.word(measure("csat", None, **more)) == said


def test_a_verdict_against_a_limit_shows_the_limit_and_the_interval() -> None:
    limited = {
        "verdict": "within limit",
        "interval": Interval(0.0, 0.0, 0.023),
        "limit": 0.05,
        "treated": 0.0,
        "control": 0.0,
    }
    never = review_cards.footer(measure("misrouting_rate", None, **limited))
    assert never[:2] == ["too few cases to compare", "assistant [0.0 %, 2.3 %], limit 5.0 %"]
    table = review_cards.watched([(measure("misrouting_rate", None, **limited), "")], "menu")
    assert "assistant [0.0 %, 2.3 %], limit 5.0 %" in table
    assert review_cards.footer(measure("misrouting_rate", None, n_treated=1))[0] == "too little data to compare"


def test_a_card_escapes_and_says_the_interval_in_words() -> None:
    found = review_cards.card(measure("escalation_rate", Interval(-0.02, -0.03, -0.01), 0.05), "<menu>")
    assert "<menu>" not in found
    assert "&lt;menu&gt; 20.0 %" in found
    assert 'aria-label="Escalation rate: \u22122.0 pp [\u22123.0 pp, \u22121.0 pp]"' in found
    assert "margin 5.0 pp" in found
    assert "n 50 vs 400, 50 % final (needs 1 h)" in found


def test_requirements_say_what_there_is_and_when() -> None:
    late = Line("CSAT certified", WAIT, "evidence 4.7", "20", "gap", 0.5, Left(why="too few customers yet to say when"))
    done = Line("Data is fresh", GOOD, "fresh", "fresh", "gap")
    found = review_cards.requirements([late, done])
    assert "evidence 4.7 of 20 \u00b7 too few customers yet to say when" in found
    assert 'aria-label="50 %"' in found


def spans() -> list[Span]:
    def span(i: int, release: str, phase: str, share: float, hours: int, exposed: bool = True) -> Span:
        return Span("r", release, phase, i, share, NOW + i * HOUR, NOW + (i + hours) * HOUR, exposed, False)

    return [
        span(0, "v1", "canary", 0.05, 1),
        span(1, "v1", "ramp", 0.5, 1),
        span(2, "v1", "ramp", 0.0, 1, False),
        span(3, "v2", "canary", 0.05, 1),
    ]


def test_the_timeline_is_cut_to_the_period_and_joins_a_release() -> None:
    cut = review_story.clipped(spans(), NOW + HOUR / 2, NOW + 3 * HOUR + HOUR / 2)
    assert [span.phase for span in cut] == ["canary", "ramp", "ramp", "canary"]
    assert cut[0].since == NOW + HOUR / 2
    lanes = review_story.release_frame(cut, "menu")
    assert lanes["release"].to_list() == ["v1", "menu only", "v2"]
    shares = review_story.share_frame(cut, None, "menu")
    assert shares["what"].to_list()[2] == "menu only"
    marks = review_story.mark_frame([review_story.Event(NOW + HOUR, "a", "b", "bad")])
    drawn = charts_review.timeline(shares, lanes, marks, LIGHT).to_dict()
    assert len(drawn["layer"]) == 8
    assert review_story.clipped(spans(), NOW - 9 * HOUR, NOW - 8 * HOUR) == []


def test_a_pinned_funnel_keeps_its_steps_and_says_who_did_not_come_back() -> None:
    rows = [
        {"name": "eligible", "n": 100, "of": 200},
        {"name": "exposed", "n": 80, "of": 100},
        {"name": "involved", "n": 60, "of": 80},
        {"name": "known to be resolved", "n": 30, "of": 60},
        {"name": "not back within the contact window", "n": 9, "of": 10},
    ]
    steps, said = review_story.pinned_funnel({"funnel": {"assistant": rows}})
    assert steps["n"].to_list() == [100, 80, 60, 30]
    assert steps["label"].to_list()[1] == "80 \u00b7 80 %"
    assert "Of 10 resolved conversations whose contact window is over, 9 (90 %)" in said
    assert review_story.pinned_funnel({})[0].is_empty()


def test_topics_are_told_by_their_terms_and_escaped() -> None:
    rows = review_story.topic_rows([{"label": "a, <b>", "examples": ["where?"], "customers": 1200, "new": True}])
    assert rows[0][0] == "a, &lt;b&gt;"
    assert rows[0][1] == "1,200"
    assert "New" in rows[0][2]
    assert review_story.topic_rows([{"label": "a", "customers": 1, "change": "unknown"}])[0][2] == ""


def test_weeks_run_from_monday_to_monday() -> None:
    assert review_values.weeks(NOW - timedelta(days=9), NOW) == ["2026-W02", "2026-W01"]
    bounds = review_values.week_bounds("2026-W02", NOW)
    assert bounds == (datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
    assert review_values.week_bounds("2026-W99", NOW) is None
    assert review_values.week_bounds("<script>", NOW) is None


def test_serving_everyone_scales_the_cost_of_a_conversation() -> None:
    rows = []
    for i in range(10):
        start = NOW + i * HOUR
        rows += [
            {"metric": "traffic_volume", "arm": "assistant", "start": start, "n": 20 + i, "total": 0.0},
            {"metric": "traffic_volume", "arm": "baseline", "start": start, "n": 80 - i, "total": 0.0},
            {"metric": "cost_per_1k_tokens", "arm": "assistant", "start": start, "n": 900, "total": 0.01 * (20 + i)},
        ]
    found = review_money.everyone(pl.DataFrame(rows).with_columns(width=pl.lit(3600)))
    assert found is not None
    assert found.estimate == pytest.approx(0.01 * 100 * 24 * 30)
    assert review_money.everyone(pl.DataFrame(rows[:3]).with_columns(width=pl.lit(3600))) is None


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "$0.00"), (0.0539, "$0.054"), (0.5, "$0.50"), (12.345, "$12.35"), (12_345.6, "$12,346")]
)
def test_money_is_read_by_people(value: float, said: str) -> None:
    assert review_money.money(value) == said
