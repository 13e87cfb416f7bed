"""A trigger with another limit on what was recorded: the control process's answer as frames and words, and what it does to the error budget. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import polars as pl

from controlplane.core.forecast_smallest import Smallest
from controlplane.core.model import MetricKind
from controlplane.core.policy import Policy, Trigger
from controlplane.store.state_rows import from_text
from dashboards.rollout.blind import effect_text, minutes_text
from dashboards.words import clock, duration, percent, trigger_title

FLOOR, CEILING = 1e-6, 100.0
TODAY, OTHER = "as it is", "what if"
SCHEMA: dict[str, Any] = {"start": pl.Datetime("us", "UTC"), "which": pl.String, "ratio": pl.Float64}
ACTED = {"rollback": "was rolled back", "hold": "was held", "disable_execution": "had its execution switched off"}
PERCENT = 100.0


def shown(trigger: Trigger, limit: float) -> float:
    """The limit as people type it: a share in percent (points for a difference), rating points and ratios as they are."""
    return limit if trigger.kind in (MetricKind.RATING, MetricKind.RATE_RATIO) else limit * PERCENT


def typed(trigger: Trigger, value: float) -> float:
    """The limit of a typed value; the opposite of `shown`."""
    return value if trigger.kind in (MetricKind.RATING, MetricKind.RATE_RATIO) else value / PERCENT


def unit(trigger: Trigger) -> str:
    """The unit of the typed limit."""
    match trigger.kind:
        case MetricKind.RATING:
            return "rating points lost"
        case MetricKind.RATE_RATIO:
            return "times the baseline's rate"
        case MetricKind.TWO_SAMPLE:
            return "percentage points above the baseline"
    return "percent"


def points(rollout: Mapping[str, Any]) -> pl.DataFrame:
    """start, which (TODAY, OTHER), ratio (evidence over its threshold, within the chart's range)."""
    rows = [
        {"start": from_text(moment), "which": which, "ratio": min(max(value, FLOOR), CEILING)}
        for moment, *values in rollout["points"]
        for which, value in zip((TODAY, OTHER), values, strict=True)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def told(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rollouts that could be walked."""
    return [one for one in answer["rollouts"] if "left_out" not in one]


def same(answer: Mapping[str, Any]) -> bool:
    """Whether nothing was changed in the question."""
    return all(answer["now"][name] == answer["then"][name] for name in ("limit", "weight"))


def verdict(rollout: Mapping[str, Any]) -> tuple[str, str, str]:
    """What the other limit would have done on one rollout: a sentence, a word for all of it, and its tone.

    Whether an alarm less is a loss or a false alarm spared, the ledger does not know: that is for a person to judge, so it is never red or green.
    """
    today, then = (_moment(rollout[side]) for side in ("now", "then"))
    if today is None and then is None:
        return "No alarm either way.", "No alarm", "quiet"
    if today is None and then is not None:
        return f"A new alarm, at {then:%H:%M} UTC on {then.day} {then:%b}.", "New alarm", "wait"
    if today is not None and then is None:
        return "It would have stayed silent.", "Silent", "wait"
    assert today is not None
    assert then is not None
    if today == then:
        return _same_heartbeat(rollout)
    if then < today:
        return f"The alarm comes {duration(today - then)} sooner.", "Sooner", "good"
    return f"The alarm comes {duration(then - today)} later.", "Later", "wait"


def _same_heartbeat(rollout: Mapping[str, Any]) -> tuple[str, str, str]:
    """Blocks that close in one heartbeat are judged at the same moment: an earlier block brings nothing then."""
    today, then = (from_text(rollout[side]["block_start"]) for side in ("now", "then"))
    if today == then:
        return "The alarm comes at the same time.", "Same time", "quiet"
    word = "earlier" if then < today else "later"
    return f"The same heartbeat finds it, in data {duration(abs(today - then))} {word}.", "Same time", "quiet"


def _moment(alarm: Mapping[str, Any] | None) -> datetime | None:
    return None if alarm is None else from_text(alarm["closed_at"])


def summary(answer: Mapping[str, Any], trigger: Trigger) -> tuple[str, str, str]:
    """The answer over all rollouts: a sentence, a word, and the tone of what matters most."""
    found = told(answer)
    if not found:
        return "Nothing was recorded for this trigger yet.", "No data", "quiet"
    title = trigger_title(trigger.name)
    if same(answer):
        alarms = [str(one["release"]) for one in found if one["now"] is not None]
        word = f"raised an alarm on {', '.join(alarms)}" if alarms else "raised no alarm"
        said = f"As it is, {title} {word}, of {len(found)} recorded rollout{'' if len(found) == 1 else 's'}."
        return said, "As it is", "quiet"
    verdicts = [verdict(one) for one in found]
    texts = [
        f"{one['release']}: {said[:1].lower()}{said[1:].rstrip('.')}"
        for one, (said, _, _) in zip(found, verdicts, strict=True)
    ]
    order = ("Silent", "Later", "New alarm", "Sooner", "Same time", "No alarm")
    _, word, tone = min(verdicts, key=lambda one: order.index(one[1]))
    return f"{title} with {_changes(answer, trigger)}: {'; '.join(texts[:4])}.", word, tone


def _changes(answer: Mapping[str, Any], trigger: Trigger) -> str:
    """What was asked: another limit, another part of the error budget, or both."""
    now, then = answer["now"], answer["then"]
    parts = []
    if then["limit"] != now["limit"]:
        parts.append(f"{effect_text(trigger, then['limit'])} instead of {effect_text(trigger, now['limit'])}")
    if then["weight"] != now["weight"]:
        parts.append(f"{percent(then['weight'])} of the error budget instead of {percent(now['weight'])}")
    return " and ".join(parts)


def rows(answer: Mapping[str, Any], now: datetime) -> list[tuple[str, ...]]:
    """Rollout, blocks, what happened, alarm as it is, alarm with the change, verdict. Cells are HTML."""
    shown_rows: list[tuple[str, ...]] = []
    for one in answer["rollouts"]:
        if "left_out" in one:
            why = escape(one["left_out"])
            shown_rows.append(
                (escape(one["release"]), f"{one['blocks']:,}", f"not replayed: {why}", "\u2013", "\u2013", "\u2013")
            )
            continue
        acted = (
            "ran on"
            if one["acted"] is None
            else f"{ACTED.get(one['acted']['event'], 'was stopped')} at {_clock(one['acted']['at'], now)}"
        )
        said, _, tone = verdict(one)
        chip = f'<span class="cp-chip cp-{tone}">{escape(said.rstrip("."))}</span>'
        alarms = [_alarm(one[side], now) for side in ("now", "then")]
        cells = (f'<span class="cp-nowrap">{cell}</span>' for cell in (escape(acted), *alarms))
        shown_rows.append((escape(one["release"]), f"{one['blocks']:,}", *cells, chip))
    return shown_rows


def _clock(text: str, now: datetime) -> str:
    return clock(from_text(text), now)


def _alarm(alarm: Mapping[str, Any] | None, now: datetime) -> str:
    if alarm is None:
        return "no alarm"
    where = "" if alarm["segment"] == "all" else f" in {alarm['segment']}"
    return escape(f"{_clock(alarm['closed_at'], now)}{where}, after {alarm['units']:,} counted")


def exact(answer: Mapping[str, Any]) -> str:
    """Whether the replay of the limit as it is gives what was recorded: what the rest can be trusted for."""
    found = told(answer)
    blocks = sum(one["blocks"] for one in found)
    off = [one["release"] for one in found if not one["exact"]]
    if off:
        return (
            f"The replay as it is does not give the recorded evidence of {', '.join(off)} exactly, so another policy was in force then or the"
            " record does not fit; `controlplane evidence replay` tells which. Both lines are replays under the policy of now."
        )
    return f"Checked: with the limit as it is, the replay gives the recorded evidence of all {blocks:,} blocks again."


def budget_rows(
    policy: Policy, other: Policy, before: Sequence[Smallest], after: Sequence[Smallest], stage: int
) -> list[tuple[str, ...]]:
    """Per trigger: its part of the error budget and the smallest harm found at a stage, before and after. Those that change; cells are HTML."""
    found = []
    cells = [{one.trigger: one for one in side if one.stage.index == stage} for side in (before, after)]
    pairs = list(zip(policy.triggers, other.triggers, strict=True))
    most = max((abs(new.weight - old.weight) for old, new in pairs), default=0.0)
    moved = {old.name for old, new in pairs if old.limit != new.limit or abs(new.weight - old.weight) == most}
    for old, new in sorted(
        pairs, key=lambda pair: pair[0].name not in moved
    ):  # the one that was asked about comes first
        alphas = [p.alpha(t, "all") for p, t in ((policy, old), (other, new))]
        if (old.limit, old.weight) == (new.limit, new.weight):
            continue
        sees = [_sees(t, side.get(t.name)) for t, side in zip((old, new), cells, strict=True)]
        found.append(
            (
                escape(trigger_title(old.name)),
                f"{effect_text(old, old.limit)} \u2192 {effect_text(new, new.limit)}"
                if old.limit != new.limit
                else effect_text(old, old.limit),
                f"{alphas[0]:.3%} \u2192 {alphas[1]:.3%}",
                *sees,
            )
        )
    return found


def _sees(trigger: Trigger, one: Smallest | None) -> str:
    if one is None:
        return "\u2013"
    if one.found is None or one.found.minutes is None:
        return "blind"
    return f"{escape(effect_text(trigger, one.found.effect))} <span class='cp-small'>in {minutes_text(one.found.minutes)}</span>"


def snippet(trigger: Trigger, limit: float, weight: float) -> str:
    """What to write in the policy file, where somebody decides to."""
    return f'[[triggers]]\nname = "{trigger.name}"\nlimit = {limit:.6g}\nweight = {weight:.6g}\n'
