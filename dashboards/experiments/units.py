"""What the control process answers about a rollout's conversations one by one, as frames and rows of tables: CUPED, segments, quantiles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from controlplane.core.metrics import METRICS, Metric
from dashboards.answers import BAD, GOOD, QUIET
from dashboards.words import difference_text, duration, percent, value_text

Answer = Mapping[str, Any]
TONES = {"better": GOOD, "worse": BAD, "not to be trusted": BAD}
FOREST = {
    "name": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "tone": pl.String,
    "n": pl.Int64,
    "verdict": pl.String,
}


def tone(verdict: str) -> str:
    """The tone of a verdict of the analysis."""
    return TONES.get(verdict, QUIET)


def comparisons(answer: Answer) -> list[tuple[Metric, Answer]]:
    """(metric, the assistant against the baseline), in the answer's order."""
    return [(METRICS[name], found["arms"]["assistant"]) for name, found in answer["metrics"].items()]


def interval_of(row: Answer, cuped: bool) -> Answer | None:
    """The anytime interval with what was to be expected taken out, or without."""
    if cuped or not row.get("cuped"):
        found: Answer | None = row.get("anytime")
        return found
    raw: Answer | None = row["cuped"]["without"].get("anytime")
    return raw


def narrower(row: Answer) -> float | None:
    """By how much the interval is narrower with CUPED, as a share; None where it was not possible."""
    with_, without = interval_of(row, True), interval_of(row, False)
    if not row.get("cuped") or not _closed(with_) or not _closed(without):
        return None
    assert with_ is not None
    assert without is not None
    width = without["high"] - without["low"]
    return 1.0 - (with_["high"] - with_["low"]) / width if width else None


def gain_text(gain: float | None) -> str:
    """`4 %`, or that it is longer: CUPED need not narrow every interval."""
    if gain is None:
        return "\u2013"
    if abs(gain) < 0.0005:
        return "0 %"
    return percent(gain) if gain > 0.0 else f"{percent(-gain)} longer"


def _closed(found: Answer | None) -> bool:
    return found is not None and None not in (found["low"], found["high"])


def span_text(metric: Metric, found: Answer | None) -> str:
    """A difference with its interval."""
    if found is None:
        return "too little data"
    ends = ["unbounded" if found[end] is None else difference_text(metric, found[end]) for end in ("low", "high")]
    return f"{difference_text(metric, found['estimate'])} [{ends[0]}, {ends[1]}]"


def most_gained(answer: Answer) -> tuple[Metric, float] | None:
    """The measure whose interval CUPED narrows most."""
    found = [(metric, gain) for metric, row in comparisons(answer) if (gain := narrower(row)) is not None]
    return max(found, key=lambda pair: pair[1], default=None)


def cuped_sentence(answer: Answer) -> str:
    """What CUPED does here, with the figure."""
    best = most_gained(answer)
    if best is None:
        return "No measure has enough final values yet for anything to be taken out."
    metric, gain = best
    if gain < 0.005:
        return "Nothing that was known beforehand tells these outcomes: taking it out makes no interval narrower."
    more = percent(1 / (1 - gain) ** 2 - 1)
    said = f"It narrows {metric.title} most: its interval is {percent(gain)} shorter"
    return f"{said}, as if there were {more} more conversations."


def table_of(answer: Answer, segment: str, metric: str) -> Answer | None:
    """The table of one column and measure."""
    found = (one for one in answer["segments"] if one["segment"] == segment and one["metric"] == metric)
    return next(found, None)


def forest_frame(table: Answer, cuped: bool) -> pl.DataFrame:
    """Rows of a table that have an interval, ranked as the analysis does: name, estimate, low, high, tone, n, verdict."""
    rows = []
    for row in table["rows"]:
        found = interval_of(row, cuped)
        if not _closed(found):
            continue
        assert found is not None
        n = row["n_treated"] + row["n_control"]
        name = f"{row['level'].replace('_', ' ')} ({n:,})"
        rows.append((name, found["estimate"], found["low"], found["high"], tone(row["verdict"]), n, row["verdict"]))
    return pl.DataFrame(rows, schema=FOREST, orient="row")


def quantile_rows(answer: Answer) -> list[tuple[str, ...]]:
    """stage, quantile, assistant, baseline, difference with interval, verdict; only what is known."""
    made = []
    for row in answer["quantiles"] or ():
        if row["difference"] is None:
            continue
        metric = METRICS[row["metric"]]
        values = [value_text(metric, row[side]["estimate"]) for side in ("treated", "control")]
        made.append(
            (
                stage_words(row["stage"]),
                f"p{100 * row['quantile']:g}",
                *values,
                span_text(metric, row["difference"]),
                row["verdict"],
            )
        )
    return made


def stage_words(name: str) -> str:
    """`ROLLOUT/4 at 50.0 %` -> `at 50 %`."""
    share = name.partition(" at ")[2].removesuffix(" %")
    return f"at {float(share):g} %" if share else "at no stated share"


def not_final(answer: Answer, metric: str) -> str:
    """After how long a value of a measure is final."""
    return duration(timedelta(seconds=float(answer["maturity_seconds"][metric])))


def flat(answer: Answer) -> pl.DataFrame:
    """All comparisons as one frame for taking along: metric, segment column and level ("" = all), n, means, differences, p, verdict."""
    rows = [_flat_row(name, "", "", found["arms"]["assistant"]) for name, found in answer["metrics"].items()]
    for table in answer["segments"]:
        rows += [_flat_row(table["metric"], table["segment"], row["level"], row) for row in table["rows"]]
    return pl.DataFrame(rows, infer_schema_length=None)


def _flat_row(metric: str, segment: str, level: str, row: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"metric": metric, "segment": segment, "level": level}
    told |= {name: row.get(name) for name in ("n_treated", "n_control", "mean_treated", "mean_control")}
    for ending, cuped in (("", True), ("_without_cuped", False)):
        found = interval_of(row, cuped) or {}
        told |= {f"{name}{ending}": _number(found.get(name)) for name in ("estimate", "low", "high")}
    return told | {"corrected_p": _number(row.get("corrected_p")), "verdict": row["verdict"]}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def notes(answer: Answer) -> Sequence[str]:
    """Why it is not to be trusted, if so, and how it was counted."""
    return (*answer["not_trusted_because"], *answer["notes"])
