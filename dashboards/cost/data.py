"""Cached loaders of the cost page: sums of a snapshot, none of which grows with the number of conversations."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import streamlit as st

from dashboards.cost.values import METRIC_NAMES
from dashboards.data import read


def naive(moment: datetime) -> datetime:
    """As the snapshot holds times."""
    return moment.astimezone(UTC).replace(tzinfo=None)


@st.cache_data(max_entries=32, show_spinner=False)
def groups(path: str, key: str, since: datetime, until: datetime, bin_seconds: int) -> pl.DataFrame:
    """Sums per metric and arm, and per release and phase: metric, arm, release, phase, bins, first, n, x, total, total_sq, yy, xx, xy."""
    return read(path, "pages/cost_groups", window(since, until, bin_seconds) | {"metrics": list(METRIC_NAMES)})


@st.cache_data(max_entries=32, show_spinner=False)
def trend(path: str, key: str, since: datetime, until: datetime, bin_seconds: int) -> pl.DataFrame:
    """Sums of the assistant per metric and bin: metric, start, n, x, total, total_sq."""
    return read(path, "pages/cost_trend", window(since, until, bin_seconds) | {"metrics": list(METRIC_NAMES)})


@st.cache_data(max_entries=32, show_spinner=False)
def models(path: str, key: str, since: datetime, until: datetime, bin_seconds: int) -> pl.DataFrame:
    """Per model and bin: requests, calls, errors, unpriced, tokens_in, tokens_cached, tokens_out, cost_usd."""
    return read(path, "pages/cost_models", window(since, until, bin_seconds))


@st.cache_data(max_entries=16, show_spinner=False)
def days(path: str, key: str, since: datetime) -> pl.DataFrame:
    """Model cost per day since a time: day, cost in USD. Days without any traffic are not there."""
    return read(path, "pages/cost_days", {"since": naive(since)})


@st.cache_data(max_entries=16, show_spinner=False)
def costly(path: str, key: str, trigger: str, since: datetime, until: datetime) -> tuple[int, int]:
    """First requests that a trigger counted, and those dearer than its cap: n, x."""
    found = read(path, "pages/cost_costly", {"trigger": trigger, "since": naive(since), "until": naive(until)})
    return int(found["n"][0]), int(found["x"][0])


def window(since: datetime, until: datetime, bin_seconds: int) -> dict[str, object]:
    """Parameters that most of the queries share."""
    return {"since": naive(since), "until": naive(until), "bin_seconds": bin_seconds}
