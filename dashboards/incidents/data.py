"""Cached loaders of the Incidents page: what is to be done, what is on record beside an incident, its reports. No widget in here."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import streamlit as st

from dashboards.data import read


@st.cache_data(max_entries=4, show_spinner=False)
def actions(path: str, key: str) -> pl.DataFrame:
    """Action items: action_id, incident_id, kind, text, owner, due_at, opened_by, opened_at, outcome, evidence, closed_by, closed_at."""
    return read(path, "pages/incidents_actions", {})


@st.cache_data(max_entries=4, show_spinner=False)
def reports(path: str, key: str) -> pl.DataFrame:
    """Reports and disagreements: artefact_id, kind, created_at, path, summary (JSON), incident_id; newest first."""
    return read(path, "pages/incidents_reports", {})


@st.cache_data(max_entries=16, show_spinner=False)
def about(path: str, key: str, incident_id: str, rollout_id: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Audit rows about an incident, and about its rollout from its detection to its end: at, actor, event, subject, reason."""
    span = {"since": since.astimezone(UTC).replace(tzinfo=None), "until": until.astimezone(UTC).replace(tzinfo=None)}
    return read(path, "pages/incidents_about", {"incident": incident_id, "rollout": rollout_id, **span})
