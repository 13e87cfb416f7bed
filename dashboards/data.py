"""Cached, read-only loaders: snapshot file and window in, typed values and frames out. No widget in here.

Every loader is keyed by the snapshot's path and key (`SnapshotRef`), so a new snapshot is a new entry and an old one is never
mistaken for it. A loader opens the file, reads and closes it; times come back as aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from json import loads
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.policy import PolicyError, parse
from controlplane.store.queries import load
from controlplane.store.snapshot import NoSnapshot, SnapshotReader, SnapshotRef, open_file
from controlplane.store.state_rows import (
    CHANGES,
    from_text,
    incident_from_row,
    optional_time,
    rollout_from_row,
    stage_from_row,
)
from dashboards.values import DriftReport, Log, Message, Meta, PinnedReview, Source, State

TABLES = (
    "rollouts",
    "stages",
    "incidents",
    "policies",
    "approvals",
    "releases",
    "audit",
    "outbox",
    "artefacts",
    "review_labels",
)


def find(folder: Path) -> SnapshotRef | NoSnapshot:
    """The snapshot to show now, or why there is none."""
    try:
        return SnapshotReader(folder).current()
    except NoSnapshot as error:
        return error


@st.cache_resource(max_entries=4, show_spinner=False)  # shared, not copied: every value in it is frozen
def state(path: str, key: str) -> State:
    """The tables of the state, the snapshot's own description, and the newest reading of every trigger."""
    with open_file(Path(path)) as connection:
        rows = {name: _rows(connection.table(name)) for name in (*TABLES, "lanes", "unit_counts", "sources", "meta")}
        quarantine = _rows(connection.table("quarantine_counts"))
        first = connection.execute(load("pages/first")).fetchall()[0][0]
        active = next((row for row in rows["rollouts"] if row["active"]), None)
        query = load("pages/triggers_now")
        found = connection.sql(query, params={"rollout_id": active["rollout_id"] if active else ""})
        triggers = _aware(pl.DataFrame(found.to_arrow_table()))
    return replace(_state(rows, active, triggers, quarantine), first=_utc(first))


@st.cache_data(max_entries=32, show_spinner=False)
def measures(
    path: str, key: str, spans: tuple[tuple[datetime, datetime], ...], mature_until: tuple[tuple[str, datetime], ...]
) -> pl.DataFrame:
    """Sums per metric, span and arm: metric, span (index), arm, n, x, total, total_sq (mature), n_all."""
    return read(path, "pages/measures", measure_params(spans, mature_until))


def measure_params(
    spans: tuple[tuple[datetime, datetime], ...], mature_until: tuple[tuple[str, datetime], ...]
) -> dict[str, Any]:
    """The parameters of `pages/measures`."""
    return {
        "starts": [_naive(since) for since, _ in spans],
        "ends": [_naive(until) for _, until in spans],
        "metrics": [name for name, _ in mature_until],
        "mature_until": [_naive(moment) for _, moment in mature_until],
    }


@st.cache_data(max_entries=64, show_spinner=False)
def trend(
    path: str, key: str, metrics: tuple[str, ...], since: datetime, until: datetime, bin_seconds: int
) -> pl.DataFrame:
    """Sums per metric, bin and arm: metric, start, arm, n, x, total, total_sq."""
    params = {"metrics": list(metrics), "since": _naive(since), "until": _naive(until), "bin_seconds": bin_seconds}
    return read(path, "pages/trend", params)


@st.cache_data(max_entries=32, show_spinner=False)
def volume(path: str, key: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Conversations per arm and eligibility: arm, eligible, n."""
    return read(path, "pages/volume", {"since": _naive(since), "until": _naive(until)})


@st.cache_data(max_entries=32, show_spinner=False)
def model_usage(path: str, key: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Requests, calls, errors, tokens and cost per model."""
    return read(path, "pages/model_usage", {"since": _naive(since), "until": _naive(until)})


@st.cache_data(max_entries=32, show_spinner=False)
def evidence(
    path: str, key: str, rollout_id: str, since: datetime, bin_seconds: int, segment: str = "all"
) -> pl.DataFrame:
    """Evidence per trigger and bin, of all traffic or one segment: trigger, start, log_e, log_threshold, fired, n_t, n_c."""
    params = {"rollout_id": rollout_id, "since": _naive(since), "bin_seconds": bin_seconds, "segment": segment}
    return read(path, "pages/evidence", params)


@st.cache_data(max_entries=8, show_spinner=False)
def report_html(path: str, modified_ns: int) -> str:
    """Text of a stored report; the time of change keeps the cache honest."""
    return Path(path).read_text(encoding="utf-8")


def read(path: str, query: str, params: Mapping[str, Any]) -> pl.DataFrame:
    """One query of `sql/` on a snapshot file, as a frame with aware UTC times. For loaders, which cache it under the snapshot's key."""
    with open_file(Path(path)) as connection:
        return _aware(pl.DataFrame(connection.sql(load(query), params=dict(params)).to_arrow_table()))


def _aware(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Datetime).dt.replace_time_zone("UTC"))


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _rows(relation: Any) -> list[dict[str, Any]]:
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def _utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


def _state(
    rows: Mapping[str, Sequence[dict[str, Any]]],
    active: dict[str, Any] | None,
    triggers: pl.DataFrame,
    quarantine: Sequence[dict[str, Any]],
) -> State:
    texts = {row["policy_hash"]: row["text"] for row in rows["policies"]}
    policy, policy_error = None, None
    if active is not None:
        try:
            policy = parse(texts[active["policy_hash"]], f"policy {active['policy_hash'][:12]}", in_force=True)
        except KeyError:
            policy_error = f"policy {active['policy_hash'][:12]} is not registered"
        except PolicyError as error:
            policy_error = str(error)
    return State(
        meta=_meta(rows["meta"][0]),
        rollout=rollout_from_row(SimpleNamespace(**active)) if active else None,
        cut_verified_at=optional_time(active["cut_verified_at"]) if active else None,
        policy=policy,
        policy_error=policy_error,
        stages=tuple(stage_from_row(SimpleNamespace(**row)) for row in sorted(rows["stages"], key=_by("seq"))),
        incidents=tuple(
            incident_from_row(SimpleNamespace(**row)) for row in sorted(rows["incidents"], key=_by("detected_at"))
        ),
        approvers=_approvers(rows["approvals"], rows["stages"], active),
        authors={row["release_hash"]: row["author"] for row in rows["releases"]},
        lanes=tuple((row["rollout_id"], loads(row["standing"])) for row in rows["lanes"]),
        units={(row["stage_key"], row["arm"]): int(row["units"]) for row in rows["unit_counts"]},
        log=tuple(_log(row) for row in sorted(rows["audit"], key=_by("seq"), reverse=True)),
        messages=tuple(_message(row) for row in sorted(rows["outbox"], key=_by("created_at"), reverse=True)),
        drift=tuple(
            _drift(row)
            for row in sorted(rows["artefacts"], key=_by("created_at"), reverse=True)
            if row["kind"] == "drift"
        ),
        reviews=tuple(
            _review(row)
            for row in sorted(rows["artefacts"], key=_by("created_at"), reverse=True)
            if row["kind"] == "review"
        ),
        sources=tuple(
            Source(row["source"], bool(row["live"]), _utc(row["last_ts"]), _utc(row["last_seen"]))
            for row in rows["sources"]
        ),
        quarantine={row["reason"]: int(row["records"]) for row in quarantine},
        triggers=triggers,
        labels=_labels(rows["review_labels"]),
    )


def _labels(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, int], dict[str, str]]:
    """The newest label of each reviewed answer, by rollout and the version at which its stage began."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for row in sorted(rows, key=_by("seq")):
        found.setdefault((row["rollout_id"], int(row["stage_version"])), {})[row["interaction_id"]] = row["label"]
    return found


def _by(name: str) -> Any:
    return lambda row: row[name]


def _approvers(
    approvals: Sequence[Mapping[str, Any]], stages: Sequence[Mapping[str, Any]], active: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """As `StateReader.approvals`: of this stage and release, and not from before its newest deploy or change of policy."""
    if active is None:
        return ()
    mine = [
        row["started_at"] for row in stages if row["rollout_id"] == active["rollout_id"] and row["event"] in CHANGES
    ]
    since = max([active["stage_started_at"], *mine])
    same = ("rollout_id", "stage", "release_hash")
    found = (row for row in approvals if all(row[key] == active[key] for key in same) and row["approved_at"] >= since)
    return tuple(sorted({row["approver"] for row in found}))


def _meta(row: Mapping[str, Any]) -> Meta:
    plain = {key: row[key] for key in ("version", "kind", "app_version", "records_read", "stored", "duplicates")}
    published = row["published_at"].replace(tzinfo=UTC)
    return Meta(
        **plain,
        quarantined=row["quarantined"],
        now=published,
        watermark=_utc(row["watermark"]),
        slowest=_utc(row["slowest"]),
        newest=_utc(row["newest"]),
        minute_from=row["minute_from"].replace(tzinfo=UTC),
    )


def _log(row: Mapping[str, Any]) -> Log:
    return Log(from_text(row["at"]), row["actor"], row["event"], row["subject"], row["reason"])


def _message(row: Mapping[str, Any]) -> Message:
    payload = loads(row["payload"])
    return Message(
        created_at=from_text(row["created_at"]),
        kind=row["kind"],
        title=str(payload.get("annotations", {}).get("title") or row["kind"]),
        severity=str(payload.get("severity", "info")),
        resolved=payload.get("status") == "resolved",
        incident_id=row["incident_id"],
        status=row["status"],
        receiver=row["receiver"],
        sent_at=optional_time(row["sent_at"]),
        error=row["error"],
    )


def _drift(row: Mapping[str, Any]) -> DriftReport:
    return DriftReport(row["artefact_id"], from_text(row["created_at"]), row["path"], loads(row["summary"]))


def _review(row: Mapping[str, Any]) -> PinnedReview:
    words = loads(row["summary"]).get("words") or {}
    page = str(row["path"]).removesuffix(".json") + ".html"
    return PinnedReview(row["artefact_id"], str(words.get("headline") or ""), from_text(row["created_at"]), page)


def bin_for(span: timedelta, bins: int = 90) -> int:
    """Width of a bin in seconds, from a short list, so that a span has at most about that many."""
    widths = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
    return next((width for width in widths if span.total_seconds() / width <= bins), widths[-1])
