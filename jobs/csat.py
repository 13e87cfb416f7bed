"""CSAT of a window of the workspace's facts: counts by SQL, what they say by `core.csat`, the model of the silent beside it, and the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.csat import PLAUSIBLE
from controlplane.core.metrics import METRICS
from controlplane.core.policy import Policy
from controlplane.settings import SettingsError
from controlplane.store.queries import load
from controlplane.store.utc import to_aware, to_naive
from jobs.artefacts import keep
from jobs.compose import open_state, workspace_settings
from jobs.deps import Deps
from jobs.refused import Refused

KIND = "csat"
EVENT = "csat_recorded"
MOST_UNITS = 200_000  # of the model: 2 x 5 fits on as many take seconds and a hundred megabytes
GROUPS = ("segment", "intent", "channel", "region", "phase")
QUERIES = ("units_create", "counts", "coverage", "delays", "features", "window")
TEXTS = ("intent", "segment", "region", "channel", "phase")
NUMBERS = ("turns", "escalated", "returned", "resolved", "hour", "latency", "failed", "timed_out")

Plain = dict[str, Any]


def measure(
    deps: Deps,
    now: datetime,
    *,
    since: str | None = None,
    until: str | None = None,
    days: float | None = None,
    release: str = "",
    rollout: str = "",
    segment: str = "",
    model: bool = True,
    plausible: float = PLAUSIBLE,
) -> Plain:
    """The report of a window, JSON-ready. `since`, `until`: ISO-8601 times; `days`: that many before the newest record.

    Ratings known by `as_of` count, the newest record or `now`, whichever is earlier: what is not ingested yet is not silence. Raises SettingsError
    for a window that ends before it begins, and for a grouping there is not.
    """
    if segment and segment not in GROUPS:
        raise SettingsError(f"--segment {segment!r} is no column to split by; give one of {', '.join(GROUPS)}")
    cursor = deps.warehouse.cursor()
    try:
        names = {"release": release, "rollout": rollout}
        first, newest = _rows(cursor, "window", names)[0]
        as_of = min(now, to_aware(newest)) if newest is not None else now
        window = _window(since, until, days, as_of, None if first is None else to_aware(first))
        maturity = maturity_of(deps.policy)
        asked = {"since": to_naive(window[0]), "until": to_naive(window[1]), "as_of": to_naive(as_of)}
        cursor.execute(load("csat/units_create"), {**asked, **names, "maturity": int(maturity.total_seconds())})
        found = _answers(cursor, deps.policy, maturity, (segment,) if segment else GROUPS[:3], plausible)
        silent = _modelled(cursor, asked["since"], found["level"]) if model else not_asked()
    finally:
        cursor.close()
    question = {
        "since": window[0].isoformat(),
        "until": window[1].isoformat(),
        "as_of": as_of.isoformat(),
        "maturity_seconds": maturity.total_seconds(),
        **names,
        "policy_hash": deps.policy.hash,
        "queries": {f"csat/{name}": sha256_text(load(f"csat/{name}")) for name in QUERIES},
    }
    answer: Plain = rounded({"question": question, **found, "model": silent})
    return answer


def rounded(value: Any) -> Any:
    """Floats to 10 digits: the last ones depend on the order of adding, and a recorded report must come out the same again."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def maturity_of(policy: Policy) -> timedelta:
    """How long a rating is waited for: the longest that the policy waits, else the catalogue's 24 hours."""
    said = [trigger.maturity_minutes for trigger in policy.triggers if trigger.metric == "csat"]
    said += [certificate.maturity_minutes for certificate in policy.certificates if certificate.metric == "csat"]
    return timedelta(minutes=max(said)) if said else METRICS["csat"].maturity


def record(home: str | None, found: Mapping[str, Any], actor: str, path: str, now: datetime) -> str:
    """Keep a report as an artefact and say so in the audit log with its hash; its id. The same one twice is refused."""
    settings = workspace_settings(home, must_exist=True)
    summary = {key: value for key, value in found.items() if key != "report"}
    name = f"csat-{sha256_text(canonical(summary))[:12]}"
    with open_state(settings, now) as state:
        if any(row.artefact_id == name for row in state.artefacts(KIND)):
            raise Refused(f"{name} is recorded already")
        said = {"movement": found["csat"]["movement"], "verdict": found["csat"]["verdict"]}
        keep(state, (name, KIND, path), summary, (EVENT, actor, found["csat"]["reason"]), said, now)
    return name


def _rows(cursor: duckdb.DuckDBPyConnection, name: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return cursor.execute(load(f"csat/{name}"), dict(parameters)).fetchall()


def _window(
    since: str | None, until: str | None, days: float | None, as_of: datetime, first: datetime | None
) -> tuple[datetime, datetime]:
    """As asked; else from the first conversation with the assistant to the newest record."""
    end = datetime.fromisoformat(until) if until else as_of + timedelta(microseconds=1)
    if since is not None:
        start = datetime.fromisoformat(since)
    elif days is not None:
        start = end - timedelta(days=days)
    else:
        start = min(first or end - timedelta(hours=1), end - timedelta(microseconds=1))
    if end <= start:
        raise SettingsError(f"the window ends at {end.isoformat()}, not after its begin {start.isoformat()}")
    return start, end


def _answers(
    cursor: duckdb.DuckDBPyConnection, policy: Policy, maturity: timedelta, by: Sequence[str], plausible: float
) -> Plain:
    """Everything that comes from counts."""
    from controlplane.analysis import csat

    level, margin = policy.programme.level, policy.programme.csat_margin
    answer = csat.overall(_rows(cursor, "counts", {"by": "all"}), level, margin, plausible)
    seconds = maturity.total_seconds()
    names = ("arm", "eligible", "repeats", "alone", "counted", "young", "early", "late", "late_mean")
    left = [dict(zip(names, row, strict=True)) for row in _rows(cursor, "coverage", {})]
    answer["csat"]["notes"] += csat.coverage_notes(left)
    weeks = csat.groups(_rows(cursor, "counts", {"by": "week"}), level, margin, plausible, shared=False)
    return {
        "level": level,
        "margin": margin,
        **answer,
        "coverage": left,
        "weeks": weeks,
        "groups": {name: csat.groups(_rows(cursor, "counts", {"by": name}), level, margin, plausible) for name in by},
        "delays": csat.delays(_rows(cursor, "delays", {"maturity": seconds}), seconds, level),
    }


def not_asked() -> Plain:
    from controlplane.analysis.csat_model import LABEL

    return {"status": "not asked for", "label": LABEL, "reasons": []}


def _modelled(cursor: duckdb.DuckDBPyConnection, since: datetime, level: float) -> Plain:
    from controlplane.analysis.csat_model import Units, modelled, stage_weights

    parameters = {"since": since, "most": MOST_UNITS}
    columns = cursor.execute(load("csat/features"), parameters).fetchnumpy()
    arms = columns["arm"].astype(str)
    ready: dict[str, np.ndarray] = {name: _numbers(columns[name]) for name in NUMBERS}
    ready |= {name: columns[name].astype(object) for name in TEXTS}
    rating = _numbers(columns["rating"])
    weight = stage_weights(columns["stratum"], arms == "assistant")
    treated, control = (
        Units(rating[mine], {name: values[mine] for name, values in ready.items()}, weight[mine])
        for mine in (arms == "assistant", arms == "baseline")
    )
    answer = modelled(treated, control, level, ("assistant", "baseline"))
    return answer | {"units": len(rating)}


def _numbers(column: Any) -> np.ndarray:
    """Floats with NaN for NULL."""
    values = np.asarray(np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan))
    return values
