"""Charts are pure: valid Vega-Lite, every one with its unit and baseline, colour only for state, times in UTC, nothing from outside."""

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import polars as pl
import pytest

from controlplane.core.metrics import METRICS
from dashboards import charts, frames
from dashboards.live import charts as charts_live
from dashboards.theme import DARK, LIGHT, Palette, css, options, palette

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOURS = [T0 + timedelta(hours=i) for i in range(4)]


def points(**more: Any) -> pl.DataFrame:
    rows = [
        {"start": start, "arm": arm, "value": 0.2, "low": 0.1, "high": 0.3, "n": 50, "run": 0, **more}
        for start, arm in product(HOURS, charts.ARMS)
    ]
    return pl.DataFrame(rows)


def all_charts(colours: Palette) -> dict[str, Any]:
    evidence = pl.DataFrame({"start": HOURS, "ratio": [1e-6, 0.1, 1.5, 2.0], "fired": [False, False, True, True]})
    latency = points(quantile="p95").drop("run")
    volume = pl.DataFrame(
        {"start": HOURS, "until": HOURS, "arm": ["assistant"] * 4, "n": [1] * 4, "bottom": [0] * 4, "top": [1] * 4}
    )
    drift = {
        "column": "c",
        "ratio": 3.0,
        "tone": "bad",
        "verdict": "Drifted",
        "score": 0.3,
        "threshold": 0.1,
        "method": "JS",
    }
    return {
        "trend": charts.trend(points(), METRICS["escalation_rate"], HOURS[1:2], colours),
        "trend without changes": charts.trend(points(), METRICS["csat"], [], colours),
        "evidence": charts.evidence(evidence, colours),
        "latency": charts_live.latency(latency, 4000.0, colours),
        "latency without objective": charts_live.latency(latency, None, colours),
        "rates": charts.rates(points(), 0.05, colours),
        "volume": charts.volume(volume, colours, 5),
        "drift_scores": charts.drift_scores(pl.DataFrame([drift]), colours),
    }


SPECS = {
    (name, colours.name): chart.to_dict() for colours in (LIGHT, DARK) for name, chart in all_charts(colours).items()
}


@pytest.mark.parametrize("key", SPECS, ids=lambda key: "-".join(key))
def test_every_chart_is_valid_and_names_its_unit(key: tuple[str, str]) -> None:
    text = json.dumps(SPECS[key])
    units = (
        "share",
        "points",
        "percent",
        "ms (log scale)",
        "evidence / threshold",
        "conversations",
        "score / threshold",
    )
    assert any(f'"title": "{unit}' in text for unit in units)
    assert "http" not in text.replace("https://vega.github.io/schema", "")


@pytest.mark.parametrize("key", SPECS, ids=lambda key: "-".join(key))
def test_colours_are_ink_greys_and_states_of_the_palette(key: tuple[str, str]) -> None:
    colours = palette(key[1])
    known = {
        colours.ink,
        colours.muted,
        colours.faint,
        colours.paper,
        colours.good,
        colours.wait,
        colours.bad,
        "transparent",
    }
    assert set(_colours(SPECS[key])) <= known


def _colours(node: Any) -> list[str]:
    found: list[str] = []
    if isinstance(node, dict):
        for name, value in node.items():
            if name.lower().endswith("color") or name in ("color", "fill", "stroke", "background"):
                found += [value] if isinstance(value, str) else []
            if name == "range" and isinstance(value, list):
                found += [item for item in value if isinstance(item, str)]
            found += _colours(value)
    if isinstance(node, list):
        found += [colour for item in node for colour in _colours(item)]
    return found


def test_times_are_utc() -> None:
    for key, spec in SPECS.items():
        for scale in _named(spec, "scale"):
            assert scale.get("type") != "time", key
        if key[0] in ("trend", "latency", "rates", "volume", "evidence"):
            assert any(scale.get("type") == "utc" for scale in _named(spec, "scale")), key


def _named(node: Any, name: str) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in _named(item, name)]
    if not isinstance(node, dict):
        return []
    here = [node[name]] if isinstance(node.get(name), dict) else []
    return here + [found for value in node.values() for found in _named(value, name)]


def test_evidence_frame_is_clamped_and_never_negative() -> None:
    rows = pl.DataFrame(
        {
            "trigger": ["t"] * 4,
            "start": HOURS,
            "log_e": [None, -50.0, 7.0, 900.0],
            "log_threshold": [7.0] * 4,
            "fired": [False, False, True, True],
            "n_t": [1] * 4,
            "n_c": [1] * 4,
        }
    )
    assert frames.evidence(rows, "t")["ratio"].to_list() == pytest.approx([1e-6, 1e-6, 1.0, 100.0])


def test_a_line_breaks_where_data_is_missing() -> None:
    starts = [T0, T0 + timedelta(minutes=5), T0 + timedelta(hours=2)]
    rows = {"metric": ["escalation_rate"] * 3, "start": starts, "arm": ["assistant"] * 3, "n": [9] * 3, "x": [1] * 3}
    found = frames.trend(
        pl.DataFrame({**rows, "total": [0.0] * 3, "total_sq": [0.0] * 3}),
        METRICS["escalation_rate"],
        timedelta(minutes=5),
    )
    assert found["run"].to_list() == [0, 0, 1]
    assert (found["low"] < found["value"]).all()


def test_volume_stacks_the_baseline_on_the_assistant() -> None:
    sums = pl.DataFrame(
        {
            "metric": ["traffic_volume"] * 3,
            "start": [T0] * 3,
            "arm": ["baseline", "assistant", "unknown"],
            "n": [80, 20, 5],
        }
    )
    stacked = frames.volume_bins(sums, timedelta(minutes=5))
    assert stacked.select("arm", "bottom", "top").rows() == [("assistant", 0, 20), ("baseline", 20, 100)]


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda colours: colours.name)
def test_text_has_enough_contrast(colours: Palette) -> None:
    pairs = [(colours.ink, colours.paper), (colours.muted, colours.paper), (colours.muted, colours.panel)]
    pairs += [(colours.good, colours.good_soft), (colours.wait, colours.wait_soft), (colours.bad, colours.bad_soft)]
    for front, back in pairs:
        light, dark = sorted((_luminance(front), _luminance(back)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)


def test_the_theme_covers_both_and_asks_nobody() -> None:
    text = " ".join(options()) + css(LIGHT) + css(DARK)
    assert "--theme.light.backgroundColor=#ffffff" in text
    assert "--theme.dark.backgroundColor=#12181f" in text
    assert "http" not in text
    assert "@import" not in text
    assert "url(" not in text
