"""The Rollout page's words, frames and HTML, without Streamlit."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from controlplane.core.forecast import plan
from controlplane.core.forecast_smallest import all_smallest
from controlplane.core.policy import parse
from controlplane.core.policy_diff import diff, summary
from controlplane.core.policy_words import explain
from controlplane.core.what_if import changed
from controlplane.settings import shipped_policy
from dashboards.rollout import backtest as rollout_backtest
from dashboards.rollout import blind as rollout_blind
from dashboards.rollout import charts as charts_rollout
from dashboards.rollout import gates as rollout_gates
from dashboards.rollout import ladder as rollout_ladder
from dashboards.rollout import policy as rollout_policy
from dashboards.rollout import whatif as what
from dashboards.rollout.values import Backtest, Registered
from dashboards.theme import DARK, LIGHT

DEMO, DEFAULT = (parse(shipped_policy(name)) for name in ("demo", "default"))
NOW = datetime(2026, 1, 7, 15, tzinfo=UTC)


def counts(*rows: tuple[str, str, bool, str, int, int, float]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["metric", "phase", "eligible", "arm", "n", "x", "minutes"], orient="row")


TRAFFIC = counts(
    ("traffic_volume", "canary", True, "assistant", 50, 0, 50.0),
    ("traffic_volume", "canary", True, "baseline", 950, 0, 50.0),
    ("traffic_volume", "canary", False, "baseline", 999, 0, 50.0),
    ("traffic_volume", "ramp", True, "assistant", 400, 0, 40.0),
    ("traffic_volume", "ramp", True, "baseline", 1600, 0, 40.0),
    ("csat", "ramp", True, "baseline", 1500, 0, 40.0),
    ("misrouting_rate", "ramp", True, "assistant", 90, 1, 40.0),
    ("api_error_rate", "ramp", True, "assistant", 540, 1, 40.0),
    ("escalation_rate", "ramp", True, "baseline", 1600, 320, 40.0),
    ("contact_rate", "ramp", True, "baseline", 100, 10, 40.0),
)
EXPECTED = rollout_blind.expected(DEMO, TRAFFIC, (10, 10, 20, 100, 110))


def test_the_traffic_is_read_from_the_phases_that_expose_it() -> None:
    assert EXPECTED is not None
    assert EXPECTED.per_minute == 50, "of the ramp, which exposes everybody who is eligible"
    assert EXPECTED.low_risk_share == 0.4, "20 a minute in the canary, of 50"
    assert EXPECTED.rated_share == 0.5
    assert EXPECTED.audited_share == 0.2
    assert EXPECTED.calls == 1.2
    assert EXPECTED.rates == {"escalation_rate": 0.2}, "a rate of 100 customers is none"
    assert sum(EXPECTED.ratings) == pytest.approx(1, abs=0.02)
    assert rollout_blind.expected(DEMO, TRAFFIC.filter(pl.col("phase") == "internal"), (0,) * 5) is None
    canary = rollout_blind.expected(
        DEMO, TRAFFIC.with_columns(minutes=pl.lit(90.0)).filter(pl.col("phase") == "canary"), (0,) * 5
    )
    assert canary is not None
    assert (canary.per_minute, canary.low_risk_share) == (11, 1.0), "as long as no wider phase ran"


def test_the_table_of_blind_spots_says_what_the_forecast_says() -> None:
    assert EXPECTED is not None
    found = all_smallest(DEMO, EXPECTED)
    html = rollout_blind.matrix(DEMO, found)
    cells = re.findall(r"<td>(.*?)</td>", html)
    stages = rollout_blind.stages(found)
    assert len(cells) == len(DEMO.triggers) * (1 + len(stages))
    assert html.count(">blind<") == sum(one.found is None for one in found)
    trigger = next(one for one in DEMO.triggers if one.name == "escalation_increase")
    one = next(item for item in found if item.trigger == trigger.name and item.stage.share == 0.5)
    assert one.found is not None
    assert f"<b>{rollout_blind.effect_text(trigger, one.found.effect)}</b>" in html
    said, tone = rollout_blind.headline(DEMO, found)
    dark = {item.trigger for item in found if item.found is None and item.stage.index != DEMO.stages[-1].index}
    assert said.startswith(f"{len(dark)} of {len(DEMO.triggers)} triggers find no harm at all")
    assert tone == "wait"
    assert rollout_blind.headline(DEMO, [item for item in found if item.found])[1] == "good"
    assert rollout_blind.headline(DEMO, [])[1] == "quiet"
    names = {row[1] for row in rollout_blind.gate_rows(plan(DEMO, EXPECTED).gates)}
    assert names == {"Customers treated", "Escalation certificate", "CSAT certificate"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("csat_drop", "CSAT: \u22120.2 points"),
        ("escalation_increase", "Escalation rate: +3 pp"),
        ("hallucination_breach", "Hallucination frequency: 10 %"),
        ("latency_slo_breach", "Answers slower than 4 s: 5 %"),
    ],
)
def test_limits_in_words(name: str, said: str) -> None:
    trigger = next(one for one in DEMO.triggers if one.name == name)
    assert rollout_blind.limit_text(trigger) == said
    assert what.typed(trigger, what.shown(trigger, trigger.limit)) == pytest.approx(trigger.limit)


def test_the_curve_falls_and_its_chart_is_valid() -> None:
    assert EXPECTED is not None
    trigger = DEMO.triggers[1]
    frame = rollout_blind.curve(DEMO, EXPECTED, trigger)
    for (_,), part in frame.group_by("stage"):
        assert part.sort("effect")["minutes"].is_sorted(descending=True), "a larger harm is found no later"
    for colours in (LIGHT, DARK):
        chart = charts_rollout.detection(frame, what.unit(trigger), 100, colours).to_dict()
        assert chart["layer"][0]["encoding"]["y"]["title"] == "time to detect"
    nothing = replace(EXPECTED, per_minute=0.001)
    assert rollout_blind.curve(DEMO, nothing, trigger).is_empty()


@pytest.mark.parametrize(("minutes", "said"), [(0.4, "0 min"), (20, "20 min"), (150, "2.5 h"), (4320, "3 days")])
def test_times_in_one_unit(minutes: float, said: str) -> None:
    assert rollout_blind.minutes_text(minutes) == said


def test_what_each_gate_asks_and_who_stays() -> None:
    asked = [rollout_ladder.asked(DEMO, stage) for stage in DEMO.stages]
    assert asked[0] == "6 min, 20 customers, 15 answers reviewed, 1 approval"
    assert asked[2] == "20 min, 200 customers, 2 certificates, 1 approval"
    assert asked[-1] == "5 % stay on the menu as the comparison"
    assert rollout_ladder.minutes(2880) == "2 days"
    steps = rollout_ladder.next_start(DEMO, "contained")
    assert len(steps) == 6
    assert len(rollout_ladder.next_start(DEMO, "reviewed")) == 4, "what is done is not asked again"
    html = rollout_ladder.html([rollout_ladder.Rung(DEMO.stages[1], rollout_ladder.NOW, "<b>", "20 min")])
    assert 'aria-current="step"' in html
    assert "&lt;b&gt;" in html


def test_the_interval_of_a_certificate_counts_everything_so_far() -> None:
    start = datetime(2026, 1, 6, tzinfo=UTC)
    rows = [
        {
            "metric": "escalation_rate",
            "start": start + k * timedelta(hours=1),
            "arm": arm,
            "n": n,
            "x": x,
            "total": 0.0,
            "total_sq": 0.0,
        }
        for k, (n, x) in enumerate([(100, 20), (300, 60), (600, 120)])
        for arm in ("assistant", "baseline", "other")
    ]
    path, last = rollout_gates.cumulative(pl.DataFrame(rows), "escalation_rate", timedelta(hours=1))
    assert path["n_t"].to_list() == [100, 400, 1000]
    assert path["start"].to_list()[-1] == start + timedelta(hours=3)
    assert last is not None
    assert last.estimate == 0
    assert (path["high"] - path["low"]).is_sorted(descending=True)
    empty, unknown = rollout_gates.cumulative(pl.DataFrame(rows).clear(), "escalation_rate", timedelta(hours=1))
    assert empty.is_empty()
    assert unknown is None
    chart = charts_rollout.certificate(path, 0.03, "share", LIGHT).to_dict()
    assert chart["layer"][0]["encoding"]["y"]["title"] == "percentage points"


def test_every_change_between_two_policies_is_told_in_words() -> None:
    rows = rollout_policy.change_rows(DEFAULT, DEMO)
    assert len(rows) == len(diff(DEFAULT, DEMO))
    effects = [re.sub(r"<.*?>", "", row[0]) for row in rows]
    assert effects == sorted(effects, key=["Weakens", "Tightens", "Neutral"].index), "what weakens comes first"
    assert not any("_" in row[1] for row in rows), "no internal name"
    shown = {row[1]: row[2:4] for row in rows}
    assert shown["Phase ramp: least time"] == ("2 days", "20 min")
    assert shown["Phase ramp: shares"] == ("5 %, 20 %, 50 %", "20 %, 50 %")
    assert rollout_policy.key_words("triggers.csat_drop.limit") == "CSAT drop: limit"
    together = summary(DEFAULT, DEMO)
    said, tone = rollout_policy.verdict(together)
    assert f"{together.weakens} weakens" in said
    assert tone == "bad"
    assert rollout_policy.verdict(summary(DEMO, DEMO))[1] == "quiet"
    assert rollout_policy.consequences(together)[-1].endswith("1.00%.")
    assert any("Costly answers" in line for line in rollout_policy.consequences(together)), "triggers that are given up"


def test_the_policy_in_words_has_no_internal_names() -> None:
    for policy in (DEMO, DEFAULT):
        lines = [rollout_policy.sentence(line, policy) for part in explain(policy) for line in part.lines]
        assert not any(re.search(r"[a-z]_[a-z]", line) for line in lines)
        assert sum(line.startswith("<b>") for line in lines) >= len(policy.triggers)


def test_the_history_of_policies_says_what_changed() -> None:
    newer = Registered("b" * 64, "demo", NOW, "", DEMO, ("v1.1",), True)
    older = Registered("a" * 64, "<demo>", NOW - timedelta(days=3), "", DEFAULT, (), False)
    unread = Registered("c" * 64, "old", NOW - timedelta(days=9), "", None, ("v0",), False)
    rows = rollout_policy.history_rows((newer, older, unread), NOW)
    assert "weakens" in rows[0][3]
    assert rows[1][3] == "the first one", "what cannot be read is not compared with"
    assert rows[2][3] == "cannot be read by this version"
    assert "&lt;demo&gt;" in rows[1][1]
    assert "In force" in rows[0][1]


def alarm(minute: int, block: int, segment: str = "all") -> dict[str, Any]:
    moments = (f"2026-01-05T10:{m:02d}:00+00:00" for m in (minute, block))
    return {"closed_at": next(moments), "block_start": next(moments), "segment": segment, "units": 1200}


@pytest.mark.parametrize(
    ("now", "then", "said", "tone"),
    [
        (None, None, "No alarm either way.", "quiet"),
        (None, alarm(16, 13), "A new alarm, at 10:16 UTC on 5 Jan.", "wait"),
        (alarm(16, 13), None, "It would have stayed silent.", "wait"),
        (alarm(16, 13), alarm(16, 13), "The alarm comes at the same time.", "quiet"),
        (alarm(16, 13), alarm(16, 12), "The same heartbeat finds it, in data 1 min earlier.", "quiet"),
        (alarm(16, 13), alarm(10, 7), "The alarm comes 6 min sooner.", "good"),
        (alarm(16, 13), alarm(20, 18), "The alarm comes 4 min later.", "wait"),
    ],
)
def test_what_a_change_would_have_done(now: Any, then: Any, said: str, tone: str) -> None:
    rollout = {"release": "v1", "now": now, "then": then}
    found = what.verdict(rollout)
    assert (found[0], found[2]) == (said, tone)
    left = {"release": "v0", "left_out": "it was <counted> otherwise", "blocks": 3}
    answer = {
        "now": {"limit": 0.1, "weight": 0.15},
        "then": {"limit": 0.05, "weight": 0.2},
        "rollouts": [rollout | {"blocks": 76, "acted": None, "exact": True}, left],
    }
    sentence, _, _ = what.summary(answer, DEMO.triggers[4])
    assert "5 % instead of 10 % and 20 % of the error budget instead of 15 %" in sentence
    rows = what.rows(answer, NOW)
    assert "&lt;counted&gt;" in rows[1][2]
    assert "all 76 blocks" in what.exact(answer)
    answer["rollouts"][0]["exact"] = False  # type: ignore[index]
    assert "does not give the recorded evidence of v1 exactly" in what.exact(answer)
    assert what.summary({**answer, "rollouts": [left]}, DEMO.triggers[4])[1] == "No data"


def test_the_chart_of_a_what_if_stays_within_its_range() -> None:
    points = what.points({"points": [["2026-01-05T10:00:00+00:00", 0.0, 1e9], ["2026-01-05T10:01:00+00:00", 0.5, 1.0]]})
    assert points["ratio"].to_list() == [what.FLOOR, what.CEILING, 0.5, 1.0]
    assert charts_rollout.evidence(points, LIGHT).to_dict()["layer"][1]["encoding"]["y"]["scale"]["domain"] == [
        1e-6,
        100,
    ]


def test_what_a_change_costs_the_others() -> None:
    assert EXPECTED is not None
    other = changed(DEMO, "csat_drop", 0.1, 0.4)
    before, after = (all_smallest(policy, EXPECTED) for policy in (DEMO, other))
    rows = what.budget_rows(DEMO, other, before, after, 3)
    assert len(rows) == len(DEMO.triggers), "all others give something up"
    own = next(row for row in rows if row[0] == "CSAT drop")
    assert own[1] == "\u22120.2 points \u2192 \u22120.1 points"
    assert own[2] == "0.100% \u2192 0.200%"
    assert what.budget_rows(DEMO, changed(DEMO, "csat_drop", 0.1, 0.2), before, after, 3)[0][0] == "CSAT drop"
    assert what.budget_rows(DEMO, DEMO, before, before, 3) == []
    assert 'name = "csat_drop"\nlimit = 0.1\nweight = 0.4' in what.snippet(DEMO.triggers[0], 0.1, 0.4)


def backtest(day: int, verdict: str, failing: list[str], policy: str = "aa") -> Backtest:
    rollbacks = {
        "count": 1,
        "replays": 2000,
        "lower95": 0,
        "upper95": 0.004,
        "promised": 0.01,
        "triggers": 6,
        "judged": 5,
    }
    told = {
        "policy_hash": policy,
        "policy": "demo",
        "verdict": verdict,
        "failing": failing,
        "false_rollback": rollbacks,
    }
    return Backtest(
        f"b{day}", NOW - timedelta(days=day), f"/elsewhere/b{day}.html", told | {"history": {"conversations": 7073}}
    )


def test_a_failed_backtest_is_not_undone_by_a_later_one() -> None:
    good, bad, other = backtest(1, "kept", []), backtest(2, "broken", ["too many"]), backtest(0, "kept", [], "bb")
    assert rollout_backtest.of_policy([other, good, bad], "aa") == [good, bad]
    assert rollout_backtest.verdict([good])[2] == "good"
    assert rollout_backtest.verdict([good, bad])[0] == "The policy broke its promise on history."
    assert rollout_backtest.verdict([backtest(1, "not shown", [])])[2] == "wait"
    assert rollout_backtest.verdict([])[0] == "Not backtested yet."
    rows = rollout_backtest.rows([other, good, bad], "aa", NOW)
    assert "another text" in rows[0][1]
    assert rows[1][3:6] == ("1 of 2,000", "0.40%", "1.00%")


def test_a_report_is_read_from_the_workspace_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "reports" / "backtest").mkdir(parents=True)
    (tmp_path / "b9.html").write_text("outside")
    one = Backtest("b9", NOW, str(tmp_path / "b9.html"), {})
    assert rollout_backtest.report(one, home) is None
    inside = home / "reports" / "backtest" / "b9.html"
    inside.write_text("inside")
    assert rollout_backtest.report(one, home) == inside.resolve(), "also in a workspace that was moved"
