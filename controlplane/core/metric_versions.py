"""Versions of metric definitions: what a number means, as a text with a hash, so that a change of it cannot pass unnoticed. Pure.

Rules
- A definition is every field of the catalogue entry and the sha256 of each query that counts it: the one that sums it up, the one that counts it
  for decisions, the one that reads it. Comments and blank ends of lines in a query do not count; any other change does.
- A query counts several metrics, so a change of it changes the hash of each of them. Which numbers really move is shown by the impact: last
  month's numbers under the old and under the new definition.
- The hash of the catalogue is that of all hashes by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.metric_model import Direction, DisplayKind, Family, Metric
from controlplane.core.model import MetricKind

Definition = dict[str, Any]
Sql = Callable[[str], str]

_COUNTED: Mapping[Family, tuple[str, ...]] = {
    Family.CONVERSATION: ("rollups/conversations_insert",),
    Family.REQUEST: ("rollups/requests_insert",),
    Family.CALL: ("rollups/calls_insert",),
    Family.EVALUATION: (
        "rollups/evaluations_insert",
        "migrations/012_targeted",
    ),  # the newest text of the view `judgements`
}
_DECIDED: Mapping[Family, str] = {
    Family.CONVERSATION: "rollups/count_conversations",
    Family.REQUEST: "rollups/count_requests",
    Family.CALL: "rollups/count_calls",
    Family.EVALUATION: "rollups/count_evaluations",
}
_OF_VIEW: Mapping[str, tuple[str, ...]] = {
    "views/latency_quantiles": ("rollups/latency_insert",),
    "views/slow_share": ("rollups/latency_insert",),
    "views/costly_share": (),
    "views/model_usage": ("rollups/model_insert",),
}


def queries_of(metric: Metric) -> tuple[str, ...]:
    """Names of the queries that count a metric, sorted."""
    counted = _OF_VIEW.get(metric.sql, _COUNTED[metric.family])
    decided = (_DECIDED[metric.family],) if metric.decides else ()
    return tuple(sorted({*counted, *decided, metric.sql}))


def definition(metric: Metric, sql: Sql) -> Definition:
    """The definition of a metric as plain values; `sql` gives the text of a query by its name. Its `hash` is over everything else in it."""
    plain: Definition = {field.name: _plain(getattr(metric, field.name)) for field in fields(Metric)}
    plain["queries"] = {name: sha256_text(counting_text(sql(name))) for name in queries_of(metric)}
    return plain | {"hash": definition_hash_of(plain)}


def definition_hash(metric: Metric, sql: Sql) -> str:
    """Hash of a metric's definition: what a figure refers to."""
    return str(definition(metric, sql)["hash"])


def definition_hash_of(plain: Mapping[str, Any]) -> str:
    """Hash of a definition's values, without the hash that it may carry."""
    return sha256_text(canonical({name: value for name, value in plain.items() if name != "hash"}))


def catalogue(metrics: Iterable[Metric], sql: Sql) -> dict[str, Definition]:
    """Every definition by the name of its metric, sorted by name."""
    found = {metric.name: definition(metric, sql) for metric in metrics}
    return dict(sorted(found.items()))


def catalogue_hash(definitions: Mapping[str, Definition]) -> str:
    """Hash of a whole catalogue."""
    return sha256_text(canonical({name: one["hash"] for name, one in definitions.items()}))


def counting_text(text: str) -> str:
    """A query without its comment lines and without blanks at the ends of lines."""
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("--"))


@dataclass(frozen=True, slots=True)
class Change:
    """How a metric's definition changed. `kind`: added, removed or changed; `fields`: old and new value by the name of what differs."""

    name: str
    kind: str
    fields: Mapping[str, tuple[Any, Any]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "kind": self.kind, "fields": {key: list(pair) for key, pair in self.fields.items()}}


def changes(before: Mapping[str, Definition], after: Mapping[str, Definition]) -> list[Change]:
    """What differs between two catalogues, by name; a query that differs is named as `query NAME`."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            found.append(Change(name, "added" if old is None else "removed", {}))
        elif old["hash"] != new["hash"]:
            found.append(Change(name, "changed", _differing(old, new)))
    return found


def _differing(old: Definition, new: Definition) -> dict[str, tuple[Any, Any]]:
    aside = ("hash", "queries")
    names = sorted((old.keys() | new.keys()) - set(aside))
    found = {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
    before, after = old.get("queries", {}), new.get("queries", {})
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            found[f"query {name}"] = (before.get(name), after.get(name))
    return found


def metric_of(plain: Mapping[str, Any]) -> Metric:
    """The metric of a definition, so that a number of then can be computed as it was; fields that came later have their default.

    Raises KeyError, TypeError or ValueError for a definition that is incomplete.
    """
    values = {field.name: plain[field.name] for field in fields(Metric) if field.name in plain}
    kind = values["kind"]
    kinds: type[MetricKind] | type[DisplayKind] = MetricKind if kind in set(MetricKind) else DisplayKind
    return Metric(
        **values
        | {
            "kind": kinds(kind),
            "family": Family(values["family"]),
            "direction": Direction(values["direction"]),
            "maturity": timedelta(seconds=values["maturity"]),
        }
    )


def last_full_month(now: datetime) -> tuple[datetime, datetime]:
    """The calendar month before the one of `now`, as [since, until) in the time zone of `now`."""
    until = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (until - timedelta(days=1)).replace(day=1), until


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, str) else value
