"""What each trigger cannot see: the plan of a policy at the traffic that was measured, as frames and words. Pure.

The traffic comes from the rollups of the snapshot, not from the facts: eligible conversations a minute in the phases that expose all of them, and
beside them those of a phase for low-risk intents. `controlplane policy plan` measures single conversations instead; the page says which it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import polars as pl

from controlplane.core.forecast import (
    HIGHEST,
    HIGHEST_RATE,
    TREATED,
    USUAL_RATINGS,
    Detection,
    Expected,
    Gate,
    Outlook,
    detection,
    size_of,
)
from controlplane.core.forecast_smallest import Smallest
from controlplane.core.metrics import METRICS
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy import Policy, Stage, Trigger
from dashboards.words import count_text, percent, title_of, trigger_title

TRAFFIC = (
    *("traffic_volume", "csat", "misrouting_rate", "api_error_rate"),
    *("escalation_rate", "contact_rate", "misclassification_rate", "csat_response_rate"),
)
FEWEST_UNITS, FEWEST_MINUTES, FEWEST_RATINGS = 200, 60.0, 50  # as `policy plan` asks before it believes a measurement
CURVE = 14  # sizes of harm in the picture
ACTIONS = {
    Action.ROLLBACK: "rolls back",
    Action.HOLD: "holds the ramp",
    Action.DISABLE_EXECUTION: "stops execution",
    Action.PAGE: "pages",
}
OUTLOOKS = {
    Outlook.WITHIN: "while the stage lasts",
    Outlook.LATER: "later than the stage's least time",
    Outlook.NEVER: "never",
}


def expected(policy: Policy, counts: pl.DataFrame, ratings: Sequence[int]) -> Expected | None:
    """The traffic in `data_rollout.traffic`; None below the least that a forecast may rest on. `ratings`: how often the control gave 1 to 5."""
    rows = counts.to_dicts()
    volume = [row for row in rows if row["metric"] == "traffic_volume" and row["eligible"]]
    spans = {row["phase"]: float(row["minutes"]) for row in volume}
    units, minutes = sum(row["n"] for row in volume), sum(spans.values())
    if units < FEWEST_UNITS or minutes < FEWEST_MINUTES:
        return None
    audience = {phase.name: phase.audience for phase in policy.phases}
    pace = {name: _pace(volume, spans, audience, name) for name in ("eligible", "low_risk")}
    wide = pace["eligible"] or pace["low_risk"] or units / minutes
    narrow = (pace["low_risk"] or wide) / wide
    served = _counted(rows, "traffic_volume", "assistant")[0]

    def per_served(metric: str, otherwise: float) -> float:
        found = _counted(rows, metric, "assistant")[0]
        return found / served if served and found else otherwise

    rated = sum(row["n"] for row in rows if row["metric"] == "csat" and row["eligible"]) / units
    known = sum(ratings)
    return Expected(
        per_minute=_steady(wide),
        rated_share=_steady(rated) or policy.traffic.rated_share,
        audited_share=min(_steady(per_served("misrouting_rate", policy.traffic.audited_share)), 1.0),
        low_risk_share=min(max(_steady(narrow), 1e-3), 1.0),
        calls=_steady(per_served("api_error_rate", 1.0)),
        rates={name: _steady(rate) for name, rate in _rates(rows).items()},
        ratings=tuple(_steady((k + 1) / (known + 5)) for k in ratings) if known >= FEWEST_RATINGS else USUAL_RATINGS,
        source=f"{count_text(units)} eligible conversations of the last 14 days",
    )


def _steady(value: float) -> float:
    """Two digits are all that a forecast is worth, and one that doesn't move with every snapshot need not be made anew."""
    return float(f"{value:.2g}")


def _pace(
    volume: Iterable[dict[str, Any]], spans: dict[str, float], audience: dict[str, str], wanted: str
) -> float | None:
    """Conversations a minute in the phases of that audience; None where none was counted."""
    phases = {name for name in spans if audience.get(name) == wanted}
    minutes = sum(spans[name] for name in phases)
    return sum(row["n"] for row in volume if row["phase"] in phases) / minutes if minutes else None


def _counted(rows: Iterable[dict[str, Any]], metric: str, arm: str) -> tuple[int, int]:
    mine = [row for row in rows if row["metric"] == metric and row["eligible"] and row["arm"] == arm]
    return sum(row["n"] for row in mine), sum(row["x"] for row in mine)


def _rates(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What the baseline does, by metric, where enough of it was seen."""
    found = {name: _counted(rows, name, "baseline") for name in TRAFFIC if METRICS[name].unit == "share"}
    return {name: x / n for name, (n, x) in found.items() if n >= FEWEST_UNITS and x}


def effect_text(trigger: Trigger, effect: float) -> str:
    """The size of a harm: `-0.35 points`, `x2.1`, `+5.8 pp`, `12 %`."""
    if trigger.kind is MetricKind.RATING:
        return f"\u2212{effect:.2g} points"
    if trigger.kind is MetricKind.RATE_RATIO:
        return f"\u00d7{effect:.2g}"
    return f"+{100 * effect:.2g} pp" if trigger.kind is MetricKind.TWO_SAMPLE else f"{100 * effect:.2g} %"


def minutes_text(minutes: float) -> str:
    """A time in one unit: `20 min`, `16 h`, `4.5 days`."""
    if minutes >= 2880:
        return f"{minutes / 1440:.2g} days"
    return f"{minutes / 60:.2g} h" if minutes >= 120 else f"{minutes:.0f} min"


def stages(found: Sequence[Smallest]) -> list[Stage]:
    """The stages of a forecast, in order."""
    return sorted({one.stage for one in found}, key=lambda stage: stage.index)


def blind_cells(policy: Policy, found: Sequence[Smallest]) -> list[Smallest]:
    """Where a trigger finds nothing at all before the gate; the last stage has no gate."""
    last = policy.stages[-1].index
    return [one for one in found if one.found is None and one.stage.index != last]


def headline(policy: Policy, found: Sequence[Smallest]) -> tuple[str, str]:
    """The answer, and its tone."""
    gated = [one for one in found if one.stage.index != policy.stages[-1].index]
    dark = blind_cells(policy, found)
    always = sorted({one.trigger for one in dark if all(not x.found for x in gated if x.trigger == one.trigger)})
    if not gated:
        return "Only employees are exposed before the last stage: nothing to forecast there.", "quiet"
    if not dark:
        return "Every trigger finds some harm before every gate.", "good"
    named = ", ".join(trigger_title(name) for name in always)
    beside = f" {named} {'finds' if len(always) == 1 else 'find'} nothing before any gate." if always else ""
    places = len({one.trigger for one in dark})
    said = f"{places} of {len(policy.triggers)} triggers find no harm at all, however large, before some gate.{beside}"
    return said, "wait"


def matrix(policy: Policy, found: Sequence[Smallest]) -> str:
    """The table as HTML: triggers down, stages across; in each cell the smallest harm found, when, and how many customers by then."""
    shown = stages(found)
    heads = "".join(f"<th>{_stage_head(stage)}</th>" for stage in shown)
    cells = {(one.trigger, one.stage.index): one for one in found}
    rows = "".join(
        f"<tr><td><b>{escape(trigger_title(trigger.name))}</b><br><span class='cp-small'>{escape(limit_text(trigger))};"
        f" {ACTIONS[trigger.action]}</span></td>"
        f"{''.join(_cell(trigger, cells[trigger.name, stage.index]) for stage in shown)}</tr>"
        for trigger in sorted(policy.triggers, key=lambda one: (list(ACTIONS).index(one.action), -one.weight))
    )
    head = f"<tr><th>Trigger and its limit</th>{heads}</tr>"
    return f'<div class="cp-scroll"><table class="cp-lines cp-blind"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _stage_head(stage: Stage) -> str:
    return f"{escape(stage.phase.capitalize())} {percent(stage.share)}"


def _cell(trigger: Trigger, one: Smallest) -> str:
    if one.found is None:
        return f'<td><span class="cp-chip cp-wait">blind</span><br><span class="cp-small">{_never(one.largest)}</span></td>'
    assert one.found.minutes is not None
    assert one.found.exposed is not None
    when = f"{minutes_text(one.found.minutes)} \u00b7 {count_text(round(one.found.exposed))} customers"
    return f"<td><b>{escape(effect_text(trigger, one.found.effect))}</b><br><span class='cp-small'>{when}</span></td>"


def _never(largest: Detection) -> str:
    """What becomes of the largest harm that there is."""
    return "never" if largest.minutes is None else f"first after {minutes_text(largest.minutes)}"


def limit_text(trigger: Trigger) -> str:
    """What the trigger tolerates: `Escalation rate: +3 pp`."""
    what = title_of(trigger.metric)
    if trigger.slo_ms:
        what = f"Answers slower than {trigger.slo_ms / 1000:g} s"
    elif trigger.cap_usd:
        what = f"First answers above ${trigger.cap_usd:g}"
    return f"{what}: {effect_text(trigger, trigger.limit)}"


def curve(policy: Policy, traffic: Expected, trigger: Trigger) -> pl.DataFrame:
    """effect, harm, stage, minutes, found, within: time to detect per size of harm and stage, from just above the limit to the largest there is."""
    top = HIGHEST.get(trigger.kind, HIGHEST_RATE) / size_of(trigger)
    top = min(top, 12.0)
    multiples = [1.1 * (top / 1.1) ** (k / (CURVE - 1)) for k in range(CURVE)] if top > 1.1 else [top]
    rows: list[dict[str, Any]] = []
    for stage in (one for one in policy.stages if one.audience != "employees"):
        cells = [detection(policy, traffic, trigger, stage, multiple) for multiple in multiples]
        known = [cell for cell in cells if cell.minutes is not None]
        rows += [
            {
                "effect": cell.effect,
                "harm": effect_text(trigger, cell.effect),
                "stage": f"{stage.phase} {percent(stage.share)}",
                "minutes": cell.minutes,
                "found": OUTLOOKS[cell.outlook],
                "within": cell.outlook is Outlook.WITHIN,
            }
            for cell in known
        ]
    schema: dict[str, Any] = {"effect": pl.Float64, "harm": pl.String, "stage": pl.String, "minutes": pl.Float64}
    return pl.DataFrame(rows, schema=schema | {"found": pl.String, "within": pl.Boolean})


def gate_rows(gates: Sequence[Gate]) -> list[tuple[str, str, str, str, str]]:
    """What each gate asks that takes customers: gate, what, there after, customers or units, what it means."""
    rows = []
    for gate in gates:
        asks = "Customers treated" if gate.asks == TREATED else f"{trigger_title(gate.asks)} certificate"
        if gate.minutes is None or gate.treated is None:
            means = '<span class="cp-chip cp-bad">stays shut</span>'
            rows.append((_stage_head(gate.stage), escape(asks), "never at this traffic", "\u2013", means))
            continue
        late = gate.minutes - gate.min_minutes
        word = ("in time", "good") if gate.within else (f"{minutes_text(late)} longer than asked", "wait")
        chip = f'<span class="cp-chip cp-{word[1]}">{word[0]}</span>'
        when = minutes_text(gate.minutes)
        rows.append((_stage_head(gate.stage), escape(asks), when, count_text(round(gate.treated)), chip))
    return rows
