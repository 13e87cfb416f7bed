"""Cached, read-only loaders of the Quality page. Empty where the snapshot was written before it held these tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import polars as pl
import streamlit as st

from controlplane.core.agreement import Agreement, agreement
from controlplane.core.review import LABELS
from controlplane.store.state_rows import from_text, to_text
from dashboards import data
from dashboards.quality.values import Queue, Topics

INTENTS = {
    "predicted": pl.String,
    "truth": pl.String,
    "basis": pl.String,
    "bin": pl.Int64,
    "mature": pl.Boolean,
    "n": pl.Int64,
    **dict.fromkeys(("confidence", "weight", "weight_sq", "weighted_confidence"), pl.Float64),
}
SAFETY = {
    **dict.fromkeys(("basis", "screened", "named", "reached"), pl.String),
    "n": pl.Int64,
    "weight": pl.Float64,
    "weight_sq": pl.Float64,
}


@st.cache_data(max_entries=32, show_spinner=False)
def intents(path: str, key: str, since: datetime, release: str, mature_until: datetime) -> pl.DataFrame:
    """Answers of the assistant by predicted and true intent: the columns of INTENTS."""
    return _or_empty(path, "pages/quality_intents", intents_params(since, release, mature_until), INTENTS)


def intents_params(since: datetime, release: str, mature_until: datetime) -> dict[str, Any]:
    """As the query takes them."""
    return {"since": _naive(since), "release": release, "mature_until": _naive(mature_until)}


@st.cache_data(max_entries=32, show_spinner=False)
def safety(path: str, key: str, since: datetime, arm: str, release: str) -> pl.DataFrame:
    """Who had to have a person, and who got one: the columns of SAFETY."""
    return _or_empty(path, "pages/quality_safety", safety_params(since, arm, release), SAFETY)


def safety_params(since: datetime, arm: str, release: str) -> dict[str, Any]:
    """As the query takes them."""
    return {"since": _naive(since), "arm": arm, "release": release}


@st.cache_data(max_entries=4, show_spinner=False)
def releases(path: str, key: str) -> tuple[str, ...]:
    """Releases of the assistant, newest first."""
    schema = {"release": pl.String, "newest": pl.Datetime("us", "UTC")}
    return tuple(_or_empty(path, "pages/quality_releases", {}, schema)["release"])


@st.cache_data(max_entries=4, show_spinner=False)
def queue(path: str, key: str, midnight: datetime) -> Queue:
    """Where the drawn answers stand, who labelled how many since midnight, and how far two people agree."""
    statuses = data.read(path, "pages/quality_queue", {})
    people = data.read(path, "pages/quality_people", {"midnight": to_text(midnight)})
    draws = data.read(path, "pages/quality_draw", {}).to_dicts()
    settings = json.loads(draws[0]["design"]).get("settings", {}) if draws else {}
    return Queue(
        status={str(row["status"]): int(row["items"]) for row in statuses.to_dicts()},
        random=int(statuses["random"].sum()) if not statuses.is_empty() else 0,
        people={str(row["reviewer"]): (int(row["today"]), int(row["labelled"])) for row in people.to_dicts()},
        per_day=float(settings["per_day"]) if "per_day" in settings else None,
        drawn_at=from_text(draws[0]["drawn_at"]) if draws else None,
        agreement=_agreement(data.read(path, "pages/quality_pairs", {})),
    )


@st.cache_data(max_entries=4, show_spinner=False)
def topics(path: str, key: str) -> Topics | None:
    """The newest analysis of open questions."""
    rows = data.read(path, "pages/quality_topics", {}).to_dicts()
    if not rows:
        return None
    summary = json.loads(rows[0]["summary"])
    return Topics(str(rows[0]["artefact_id"]), from_text(rows[0]["created_at"]), summary)


def _agreement(pairs: pl.DataFrame) -> Agreement:
    known = [(str(row["first"]), str(row["second"])) for row in pairs.to_dicts() for _ in range(row["n"])]
    return agreement(known, categories=LABELS)


def _or_empty(path: str, query: str, params: Mapping[str, Any], schema: Mapping[str, Any]) -> pl.DataFrame:
    try:
        return data.read(path, query, params)
    except duckdb.CatalogException:  # the control process that wrote it is older than this page
        return pl.DataFrame(schema=dict(schema))


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
