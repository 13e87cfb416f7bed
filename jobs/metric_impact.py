"""What last month's numbers were under an old definition of a metric, and are under a new one.

The old number is the one that is kept: counted as the records came, by the definition of then. The new one is counted from the same month's facts by
the new queries. Where a number depends on more than the definition (a limit of the policy, shares of a whole) it is unknown, and why is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from controlplane.core.metric_model import CONTACT_WINDOW, DisplayKind, Metric
from controlplane.core.metric_versions import Change, Definition, last_full_month, metric_of
from controlplane.store.metric_recount import Sql, WindowNumbers, kept, recounted
from controlplane.store.queries import load
from controlplane.store.warehouse import Warehouse

SUMMED = "views/window"
Value = dict[str, Any]


def impact(
    warehouse: Warehouse,
    before: Mapping[str, Definition],
    metrics: Mapping[str, Metric],
    found: Sequence[Change],
    now: datetime,
    sql: Sql = load,
) -> dict[str, Any]:
    """Of each change: `then` and `now` by arm ({"value", "n"}), over the last full month; `unknown` says why there is none.

    `before`: the old definitions; `metrics`: the new ones by name; `sql`: the new queries by name.
    """
    since, until = last_full_month(now)
    month = {"since": since.isoformat(), "until": until.isoformat()}
    if not found:
        return {"month": month, "metrics": {}}
    contact = metrics.get("contact_rate")
    window = CONTACT_WINDOW if contact is None else contact.maturity
    with kept(warehouse, since, until) as old, recounted(warehouse, since, until, sql, window) as new:
        told = {change.name: _of(change.name, before, metrics, old, new) for change in found}
    return {"month": month, "metrics": told}


def _of(
    name: str, before: Mapping[str, Definition], metrics: Mapping[str, Metric], old: WindowNumbers, new: WindowNumbers
) -> dict[str, Any]:
    then = values(metric_of(before[name]), old) if name in before else {}
    now = values(metrics[name], new) if name in metrics else {}
    reasons = [one for one in (then, now) if isinstance(one, str)]
    if reasons:
        return {"unknown": reasons[0]}
    assert isinstance(then, dict)
    assert isinstance(now, dict)
    if not then and not now:
        return {"unknown": "the month has no data of it"}
    return {"arms": {arm: {"then": then.get(arm), "now": now.get(arm)} for arm in sorted(then.keys() | now.keys())}}


def values(metric: Metric, numbers: WindowNumbers) -> dict[str, Value] | str:
    """The metric by arm, or why it cannot be told."""
    if metric.kind is DisplayKind.QUANTILE:
        share = int(metric.name.rpartition("_p")[2]) / 100
        return {arm: {"value": value, "n": n} for arm, (n, value) in numbers.quantile(metric.sql, share).items()}
    if metric.kind is DisplayKind.DISTRIBUTION:
        return "it is shares of a whole, not one number: compare `controlplane sql` over rollup_model"
    if metric.sql != SUMMED:
        return "it depends on a limit that the policy sets"
    rows = [row for row in numbers.sums(metric.sql) if row.metric == metric.name]
    return {row.arm: {"value": metric.value(row.n, row.x, row.total), "n": row.n} for row in rows}


def lines(told: Mapping[str, Any]) -> Iterable[str]:
    """The impact for people."""
    for name, one in told["metrics"].items():
        if "unknown" in one:
            yield f"  {name}: unknown, {one['unknown']}"
            continue
        for arm, both in one["arms"].items():
            pair = [_number(both[when]) for when in ("then", "now")]
            same = " (the same)" if pair[0] == pair[1] else ""
            yield f"  {name}, {arm}: was {pair[0]}, is {pair[1]} by the new definition{same}"


def _number(found: Value | None) -> str:
    if found is None or found["value"] is None:
        return "unknown"
    return f"{found['value']:.6g} (n {found['n']:,})"
