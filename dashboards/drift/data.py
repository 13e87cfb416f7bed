"""Cached loaders of the Drift page beyond the state: the columns of an analysis as a frame, and the named reference windows."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards import data

COLUMNS = "pages/drift_columns"


@st.cache_data(max_entries=16, show_spinner=False)
def columns(path: str, key: str, artefact_id: str) -> pl.DataFrame:
    """One row per column of a stored analysis; empty when the snapshot does not have it."""
    return data.read(path, COLUMNS, {"artefact": artefact_id})


@st.cache_data(max_entries=8, show_spinner=False)
def references(path: str, key: str) -> tuple[str, ...]:
    """Names of the reference windows that people keep."""
    return tuple(data.read(path, "pages/drift_references", {})["name"].to_list())
