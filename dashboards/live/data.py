"""Cached loaders of the Live page: requests and dependencies with their latencies, evidence with what was counted, what is in force, the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from json import loads

import polars as pl
import streamlit as st

from controlplane.store.state_rows import from_text
from dashboards.data import read
from dashboards.live.values import Queue, Quiet


@st.cache_data(max_entries=16, show_spinner=False)
def services(path: str, key: str, since: datetime, until: datetime, bin_seconds: int) -> pl.DataFrame:
    """Requests per arm and calls per dependency and bin: kind, name, arm, start, calls, failed, timed_out, timed, total_ms, buckets, counts."""
    params = {"since": naive(since), "until": naive(until), "bin_seconds": bin_seconds}
    return read(path, "pages/live_services", params)


@st.cache_data(max_entries=16, show_spinner=False)
def evidence(
    path: str, key: str, rollout_id: str, since: datetime, counted_from: datetime, bin_seconds: int
) -> pl.DataFrame:
    """Evidence per trigger and bin (as `data.evidence`), and the counts of the blocks since `counted_from`."""
    params = {"rollout_id": rollout_id, "since": naive(since), "counted_from": naive(counted_from)}
    return read(path, "pages/live_evidence", {**params, "bin_seconds": bin_seconds})


@st.cache_data(max_entries=4, show_spinner=False)
def quiet(path: str, key: str, rollout_id: str) -> tuple[Quiet, ...]:
    """Silences and overrides that nobody has ended, newest first; whether they are in force is a question of the time."""
    silences = read(path, "pages/live_silences", {}).to_dicts()
    overrides = read(path, "pages/live_overrides", {"rollout_id": rollout_id}).to_dicts()
    found = [
        Quiet(
            "silence",
            row["silence_id"],
            labels(loads(row["matchers"])),
            row["actor"],
            row["reason"],
            from_text(row["starts_at"]),
            from_text(row["expires_at"]),
        )
        for row in silences
        if row["ended_at"] is None
    ]
    found += [
        Quiet(
            "override",
            row["override_id"],
            row["trigger"],
            row["actor"],
            row["reason"],
            from_text(row["at"]),
            from_text(row["until"]),
        )
        for row in overrides
        if row["ended_at"] is None
    ]
    return tuple(found)


@st.cache_data(max_entries=4, show_spinner=False)
def queue(path: str, key: str) -> Queue:
    """What waits to be told to people, and what could not be."""
    rows = {row["status"]: row for row in read(path, "pages/live_queue", {}).to_dicts()}
    waiting = [rows[name] for name in ("pending", "sending") if name in rows]
    dead = rows.get("dead", {})
    return Queue(
        pending=sum(int(row["messages"]) for row in waiting),
        oldest=min((from_text(row["oldest"]) for row in waiting), default=None),
        dead=int(dead.get("messages", 0)),
        error=str(dead.get("error") or ""),
    )


def labels(matchers: Mapping[str, list[str]]) -> str:
    """Labels of a silence in words: `metric csat; severity warning or error`."""
    return "; ".join(f"{name} {' or '.join(values)}" for name, values in matchers.items())


def naive(moment: datetime) -> datetime:
    """The time as the snapshot has it: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
