"""Certificates on their way: how sure it is by now that the assistant is not worse than the margin, and what the gates ahead will ask. Pure.

A certificate's evidence is a product of bets and decides; the interval beside it is the anytime one of STATISTICS section 3 on the same conversations
and only shows where that evidence comes from. Both begin anew with each stage, deploy and change of the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from math import exp, inf
from typing import Any

import polars as pl

from controlplane.core.estimates import Interval, Sums, confidence_sequence
from controlplane.core.forecast import Gate, Plan
from controlplane.core.metrics import METRICS, Direction
from controlplane.core.policy import Certificate, Policy, Stage
from controlplane.core.triggers import CertificateStanding
from controlplane.store.state_rows import CHANGES
from dashboards import answers
from dashboards.measures import ALPHA, RATES
from dashboards.rollout.blind import minutes_text
from dashboards.values import State
from dashboards.words import count_text, difference_text, percent, title_of

UTC_TIME = pl.Datetime("us", "UTC")
PATH: dict[str, Any] = {
    "start": UTC_TIME,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_t": pl.Int64,
    "n_c": pl.Int64,
}


@dataclass(frozen=True)
class Progress:
    """A certificate in the current stage. `path`: the interval over time; `last`: the newest one, None while it is unknown."""

    certificate: Certificate
    standing: CertificateStanding | None
    path: pl.DataFrame
    last: Interval | None

    @property
    def certified(self) -> bool:
        """Whether the gate counts it as shown."""
        return self.standing is not None and self.standing.blocks > 0 and self.standing.certified

    @property
    def part(self) -> float:
        """How much of the evidence there is, on a log scale, 0 to 1."""
        if self.standing is None or self.standing.log_threshold <= 0:
            return 0.0
        return min(max(self.standing.log_e / self.standing.log_threshold, 0.0), 1.0)

    @property
    def bound(self) -> float:
        """The margin as a difference: on the side that is worse."""
        worse = -1.0 if METRICS[self.certificate.metric].direction is Direction.HIGHER else 1.0
        return worse * self.certificate.margin


def since(state: State) -> datetime | None:
    """When the certificates of the stage began: its start, or the newest deploy or change of the policy in it."""
    rollout = state.rollout
    if rollout is None:
        return None
    mine = [row.started_at for row in state.stages if row.rollout_id == rollout.rollout_id and row.event in CHANGES]
    return max([rollout.stage_started_at, *mine])


def named(state: State) -> tuple[Certificate, ...]:
    """The certificates that the current gate asks for."""
    if state.policy is None or state.rollout is None:
        return ()
    wanted = state.policy.phase(state.rollout.phase).certificates
    return tuple(item for item in state.policy.certificates if item.name in wanted)


def progress(state: State, item: Certificate, sums: pl.DataFrame, width: timedelta) -> Progress:
    """Where a certificate stands. sums: `data.trend` of its metric since `since`, in bins of `width`; only bins whose labels are final count."""
    known = state.meta.watermark or state.meta.now
    mature = known - timedelta(minutes=item.maturity_minutes)
    final = sums.filter((pl.col("metric") == item.metric) & (pl.col("start") + width <= mature))
    path, last = cumulative(final, item.metric, width)
    standing = answers.standings(state, answers.stage_version(state)).get(item.name)
    return Progress(item, standing, path, last)


def cumulative(sums: pl.DataFrame, metric: str, width: timedelta) -> tuple[pl.DataFrame, Interval | None]:
    """Difference assistant minus baseline of all bins up to each, with its anytime interval; frame of PATH, `start` the end of the bin."""
    totals = {"assistant": Sums(), "baseline": Sums()}
    rows: list[dict[str, Any]] = []
    last: Interval | None = None
    for (start,), group in sums.sort("start").group_by("start", maintain_order=True):
        for row in group.to_dicts():
            if row["arm"] in totals:
                totals[row["arm"]] += _sums(metric, row)
        treated, control = totals["assistant"], totals["baseline"]
        last = confidence_sequence(treated, control, ALPHA)
        if last is not None and isinstance(start, datetime):
            ends = {"value": last.estimate, "low": last.low, "high": last.high}
            rows.append({"start": start + width, **ends, "n_t": int(treated.n), "n_c": int(control.n)})
    return pl.DataFrame(rows, schema=PATH), last


def _sums(metric: str, row: Mapping[str, float]) -> Sums:
    if METRICS[metric].kind in RATES:
        return Sums.of_rate(row["n"], row["x"])
    return Sums(row["n"], row["total"], row["total_sq"])


def evidence_text(found: Progress) -> str:
    """`evidence 3.1 of 20`, or that there is none yet."""
    if found.standing is None or found.standing.blocks == 0:
        return "no comparable data yet"
    have, need = exp(min(found.standing.log_e, 700.0)), exp(found.standing.log_threshold)
    shown = f"{have:.2g}" if have < 10 else f"{have:.0f}" if have < 1e4 else "over 10,000"
    return f"evidence {shown} of {need:.0f}"


def interval_text(found: Progress) -> str:
    """The difference with its interval and counts, or why it is not known."""
    if found.last is None or found.path.is_empty():
        return "too few final labels for an interval"
    metric = METRICS[found.certificate.metric]
    low, high = (difference_text(metric, end) for end in (found.last.low, found.last.high))
    newest = found.path.row(-1, named=True)
    counts = f"n {count_text(newest['n_t'])} vs {count_text(newest['n_c'])}"
    return f"{difference_text(metric, found.last.estimate)} [{low}, {high}], {counts}"


def ahead(policy: Policy, plan: Plan | None, stage: int) -> dict[str, Gate]:
    """What the plan says of a stage's gate, by what is asked; empty without a plan."""
    return {} if plan is None else {gate.asks: gate for gate in plan.gates if gate.stage.index == stage}


def likely(gate: Gate | None) -> str:
    """When a certificate is there if the arms are alike, counted from the start of its stage."""
    if gate is None:
        return ""
    if gate.minutes is None:
        return "Cannot be shown at this traffic"
    return f"If both are alike: about {minutes_text(gate.minutes)} after the stage began"


def gate_row(policy: Policy, stage: Stage, following: Stage, slow: float | None) -> tuple[str, ...]:
    """One gate as a row of cells (HTML): from, to, least time, customers, certificates, answers reviewed, approvals, and when it is likely open.

    slow: minutes until the last of what takes customers is there, inf where it never is, None without a forecast.
    """
    phase = policy.phase(stage.phase)
    names = ", ".join(title_of(item.metric) for item in policy.certificates if item.name in phase.certificates)
    opens = "\u2013"
    if slow is not None:
        opens = "never at this traffic" if slow == inf else minutes_text(max(slow, phase.min_minutes))
    elif stage.audience == "employees":
        opens = minutes_text(phase.min_minutes)
    reviewed = f"{policy.review.min_labelled:,}" if phase.name in policy.review.phases else "\u2013"
    return (
        f"{escape(stage.phase.capitalize())} {percent(stage.share)}",
        f"{escape(following.phase.capitalize())} {percent(following.share)}",
        minutes_text(phase.min_minutes) if phase.min_minutes else "\u2013",
        f"{phase.min_treated:,}" if phase.min_treated else "\u2013",
        escape(names) or "\u2013",
        reviewed,
        f"{phase.approvals}" if phase.approvals else "\u2013",
        opens,
    )
