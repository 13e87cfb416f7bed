"""Cached loaders of the Governance page: the record as far as the snapshot has it. No widget in here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import streamlit as st

from dashboards.data import read
from dashboards.governance.values import Checked, checked


@st.cache_data(max_entries=3, show_spinner=False)
def audit(path: str, key: str) -> pl.DataFrame:
    """The audit log's newest rows, oldest first, with `payload` as text and both hashes."""
    return read(path, "pages/governance_audit", {})


@st.cache_data(max_entries=3, show_spinner=False)
def check(path: str, key: str) -> Checked:
    """Whether these rows agree with their hashes, recomputed here."""
    return checked(audit(path, key).to_dicts())


@st.cache_data(max_entries=24, show_spinner=False)
def table(path: str, key: str, name: str) -> pl.DataFrame:
    """One of the tables of the record: runs, datasets, criteria, releases, metrics, policies."""
    return read(path, f"pages/governance_{name}", {})


@st.cache_data(max_entries=4, show_spinner=False)
def in_force(path: str, key: str, now: datetime) -> pl.DataFrame:
    """What is set aside at `now`: kind (override, silence), what, actor, reason, since, ends."""
    params: dict[str, Any] = {"now": now.astimezone(UTC).replace(tzinfo=None)}
    return read(path, "pages/governance_in_force", params)


@st.cache_data(max_entries=4, show_spinner=False)
def pack(path: str, modified_ns: int) -> bytes:
    """An evidence pack's bytes; the time of change keeps the cache honest."""
    with open(path, "rb") as file:
        return file.read()
