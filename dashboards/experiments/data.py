"""Cached loaders of the Experiments page: sums of both arms from the rollups of a snapshot. Their cost follows time, not conversations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import streamlit as st

from dashboards import data

SUMS, TRACE = "pages/experiments_sums", "pages/experiments_trace"
Spans = tuple[tuple[datetime, datetime], ...]


@st.cache_data(max_entries=32, show_spinner=False)
def sums(path: str, key: str, spans: Spans, mature_until: tuple[tuple[str, datetime], ...]) -> pl.DataFrame:
    """Sums per metric, stage (index of `spans`), segment and arm: n, x, total, total_sq of what is mature, and of all with `_all`."""
    return data.read(path, SUMS, sums_params(spans, mature_until))


@st.cache_data(max_entries=64, show_spinner=False)
def trace(
    path: str, key: str, spans: Spans, metric: str, mature_until: datetime, segment: str | None, bin_seconds: int
) -> pl.DataFrame:
    """Mature sums of one metric per bin, stage and arm: span, start, arm, n, x, total, total_sq."""
    return data.read(path, TRACE, trace_params(spans, metric, mature_until, segment, bin_seconds))


def sums_params(spans: Spans, mature_until: tuple[tuple[str, datetime], ...]) -> Mapping[str, Any]:
    """Parameters of the query behind `sums`, for somebody who wants to run it."""
    names = {"metrics": [name for name, _ in mature_until], "mature_until": [naive(at) for _, at in mature_until]}
    return {**_bounds(spans), **names}


def trace_params(
    spans: Spans, metric: str, mature_until: datetime, segment: str | None, bin_seconds: int
) -> Mapping[str, Any]:
    """Parameters of the query behind `trace`."""
    more = {"metric": metric, "mature_until": naive(mature_until), "segment": segment, "bin_seconds": bin_seconds}
    return {**_bounds(spans), **more}


def _bounds(spans: Spans) -> dict[str, Any]:
    return {"starts": [naive(since) for since, _ in spans], "ends": [naive(until) for _, until in spans]}


def naive(moment: datetime) -> datetime:
    """As snapshots hold times: UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
