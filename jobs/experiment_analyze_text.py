"""What `controlplane experiment analyze` says in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controlplane.analysis.experiment_words import (
    amount,
    chance,
    difference,
    ends,
    novelty_words,
    power_words,
    share,
)

Value = Mapping[str, Any]


def analysis_text(value: Value) -> str:
    """The answer first, then a table of metrics, segments, quantiles and time."""
    parts = [_head(value), _metrics(value)]
    parts += [_segment(table, value) for table in value["segments"]]
    parts += [_quantiles(value), _time(value), _foot(value)]
    return "\n\n".join(part for part in parts if part)


def _head(value: Value) -> str:
    arms = ", ".join(f"{name} {n:,}" for name, n in value["arms"].items())
    lines = [f"{value['units']:,} units: {arms}; control is {value['control']} ({value['control_is']})"]
    ratio = value["sample_ratio"]
    split = "as it should be" if not ratio["mismatch"] else "BROKEN"
    lines.append(
        f"split {split}: p {chance(ratio['p'])}, at any look {chance(ratio['anytime_p'])} (shares {ratio['shares_are']})"
    )
    lines += [f"NOT TO BE TRUSTED: {reason}" for reason in value["not_trusted_because"]]
    if value["several_rows_a_unit"]:
        lines.append(f"{value['rows']:,} rows, several of one unit: {value['several_rows_a_unit']}")
    left = {name.replace("_", " "): n for name, n in value["excluded"].items() if n}
    if left:
        lines.append("left out: " + ", ".join(f"{n:,} {name}" for name, n in left.items()))
    lines += value.get("notes", [])
    return "\n".join(lines)


def _metrics(value: Value) -> str:
    rows, more = [], []
    for name, metric in value["metrics"].items():
        rate = metric["kind"] == "rate"
        for arm, row in metric["arms"].items():
            rows.append(
                (
                    name,
                    arm,
                    amount(row["mean_control"], rate),
                    amount(row["mean_treated"], rate),
                    _estimate(row["difference"], rate),
                    ends(row["difference"], rate),
                    ends(row["anytime"], rate),
                    share(row["relative"]),
                    chance(row["corrected_p"]),
                    row["verdict"],
                )
            )
            more += [f"{name}, {arm}: {words}" for words in _remarks(metric, row, rate)]
    head = (
        "metric",
        "arm",
        "control",
        "treated",
        "difference",
        "one look",
        "any look",
        "relative",
        "corrected p",
        "verdict",
    )
    return "\n".join((*_table(head, rows), *more))


def _estimate(found: Value | None, rate: bool) -> str:
    return difference(None if found is None else found["estimate"], rate)


def _remarks(metric: Value, row: Value, rate: bool) -> Iterator[str]:
    if row.get("reason"):
        yield f"unknown: {row['reason']}"
    else:
        yield power_words(row, rate)
    if row.get("note"):
        yield row["note"]
    if "cuped" in row:
        past = row["cuped"]
        yield f"CUPED with {past['before']} took out {past['variance_removed']:.0%} of the variance"
    missing = sum(metric["missing"].values())
    if missing:
        yield f"{missing:,} units have no value"


def _segment(table: Value, value: Value) -> str:
    rate = value["metrics"][table["metric"]]["kind"] == "rate"
    rows = [
        (
            str(row["rank"]),
            row["level"],
            f"{row['n_treated']:,}",
            f"{row['n_control']:,}",
            _estimate(row["difference"], rate),
            ends(row["difference"], rate),
            _estimate(row.get("shrunk"), rate),
            chance(row["corrected_p"]),
            chance(row["corrected_differs"]),
            row["verdict"],
        )
        for row in table["rows"]
    ]
    found = table["heterogeneity"]
    told = "no two segments can be judged" if found is None else f"segments differ: p {chance(found['p'])}"
    head = (
        "rank",
        table["segment"],
        "treated",
        "control",
        "difference",
        "interval",
        "shrunk",
        "corrected p",
        "differs p",
        "verdict",
    )
    return "\n".join((f"{table['metric']} of {table['arm']} by {table['segment']} ({told})", *_table(head, rows)))


def _quantiles(value: Value) -> str:
    rows = []
    for row in value["quantiles"]:
        control, treated = (None if row[name] is None else row[name]["estimate"] for name in ("control", "treated"))
        found = row["difference"]
        words = (amount(control), amount(treated), _estimate(found, False), ends(found), row["verdict"])
        rows.append((row["metric"], row["arm"], f"{row['quantile']:g}", *words))
    head = ("metric", "arm", "quantile", "control", "treated", "difference", "interval", "verdict")
    return "\n".join(_table(head, rows)) if rows else ""


def _time(value: Value) -> str:
    found = value["over_time"]
    if found is None:
        return ""
    days = "1 day" if found["days"] == 1 else f"{found['days']} days"
    lines = [
        f"over {days} {'since a unit was first seen' if found['view'] == 'tenure' else 'on which units came in (cohorts)'}:"
    ]
    for item in found["effects"]:
        rate = value["metrics"][item["metric"]]["kind"] == "rate"
        p = item["weekdays_differ_p"]
        differ = "" if p is None else f"; weekdays differ: p {chance(p)}"
        lines.append(f"  {item['metric']}, {item['arm']}: {novelty_words(item['novelty'], rate)}{differ}")
    return "\n".join(lines)


def _foot(value: Value) -> str:
    judged = value["judged"]
    basis = "the interval for any look" if judged["verdict_by"] == "anytime_p" else "the interval for one look"
    return (
        f"Verdicts by {basis} at {judged['alpha']:g}, over all metrics and arms corrected by {judged['correction']}. "
        "Who looks more than once reads the column `any look` (--anytime)."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their longest entry."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
