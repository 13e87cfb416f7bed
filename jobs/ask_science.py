"""What the pages of the data scientists ask of the control process: a rollout as an experiment, unit by unit, and a drift analysis with progress.

Answers are bounded, whatever the facts hold: a table of segments has at most `MOST_LEVELS` rows, those with the most units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jobs.deps import Deps
from jobs.drift_work import run_windows
from jobs.experiment_analyze_rollout import MEASURES, SEGMENTS, measure

Progress = Callable[[float, str], None]

MOST_LEVELS = 40
QUANTILES = (0.5, 0.75, 0.9, 0.95)
WITH_QUANTILES = "resolution_time"


def experiment(
    deps: Deps,
    now: datetime,
    *,
    rollout: str = "",
    stage: str = "",
    metrics: Sequence[str] = (),
    progress: Progress = lambda _part, _text: None,
) -> Mapping[str, Any]:
    """Both arms from the conversations themselves, with what was to be expected of each taken out, by segment, and quantiles stage by stage.

    Intervals and p-values hold at any look. Raises SettingsError for what cannot be analysed.
    """
    chosen = tuple(metrics) or MEASURES
    progress(0.05, "collecting the conversations of both arms")
    found = measure(
        deps,
        now,
        rollout=rollout,
        stage=stage,
        metrics=chosen,
        segments=SEGMENTS,
        judged={"anytime": True},
        cuped=True,
        quantiles={WITH_QUANTILES: QUANTILES} if WITH_QUANTILES in chosen else None,
    )
    progress(0.95, "putting the tables together")
    kept = {name: value for name, value in found.items() if name != "over_time"}
    return {**kept, "segments": [_bounded(table) for table in found["segments"]]}


def _bounded(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with the levels that have the most units, in their order; `levels_left_out` says how many more there are."""
    rows = table["rows"]
    sizes = sorted((row["n_treated"] + row["n_control"] for row in rows), reverse=True)
    least = sizes[MOST_LEVELS - 1] if len(sizes) > MOST_LEVELS else 0
    kept = [row for row in rows if row["n_treated"] + row["n_control"] >= least][:MOST_LEVELS]
    return {**table, "rows": kept, "levels_left_out": len(rows) - len(kept)}


def drift_run(
    deps: Deps,
    now: datetime,
    *,
    hours: float | None = None,
    days: float | None = None,
    since: str | None = None,
    until: str | None = None,
    reference: str | None = None,
    release: str | None = None,
    against: str | None = None,
    arm: str | None = None,
    against_arm: str | None = None,
    report: bool = True,
    progress: Progress = lambda _part, _text: None,
) -> Mapping[str, Any]:
    """An analysis of two windows, see `jobs.drift_work.run_windows`, that says how far it is."""
    span = {"hours": hours, "days": days, "since": since, "until": until}
    sides = {"reference": reference, "release": release, "against": against, "arm": arm, "against_arm": against_arm}
    return run_windows(deps, now, progress=progress, **span, **sides, report=report)
