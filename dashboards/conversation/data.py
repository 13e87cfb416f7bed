"""Cached loaders of the conversation page: counts of a snapshot. Single conversations are not in any snapshot; the page asks for them."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import streamlit as st

from dashboards.data import read


@st.cache_data(max_entries=16, show_spinner=False)
def counts(path: str, key: str, arm: str, since: datetime) -> pl.DataFrame:
    """Sums per metric since a time, of one arm or ("") both: metric, n, x."""
    return read(path, "pages/conversation_counts", {"arm": arm, "since": since.astimezone(UTC).replace(tzinfo=None)})
