"""Cached loaders of the Rollout page: approvals, policies, backtests, and what the traffic was like. No widget in here."""

from __future__ import annotations

from datetime import datetime, timedelta
from json import loads

import polars as pl
import streamlit as st

from controlplane.core.audit import sha256_text
from controlplane.core.forecast import Expected, Plan, plan
from controlplane.core.forecast_smallest import Smallest, all_smallest
from controlplane.core.policy import Policy, PolicyError, parse
from dashboards import data
from dashboards.rollout.blind import TRAFFIC, expected
from dashboards.rollout.values import Backtest, Registered
from dashboards.shell import View

LOOK_BACK = timedelta(days=14)


@st.cache_data(max_entries=8, show_spinner=False)
def approvals(path: str, key: str) -> pl.DataFrame:
    """Who approved leaving which stage: rollout_id, stage, approver, note, approved_at."""
    return data.read(path, "pages/rollout_approvals", {})


@st.cache_resource(max_entries=4, show_spinner=False)  # shared, not copied: every value in it is frozen
def policies(path: str, key: str) -> tuple[Registered, ...]:
    """Every registered policy, newest first; `policy` None for a text that this version cannot read."""
    rows = data.read(path, "pages/rollout_policies", {}).to_dicts()
    return tuple(
        Registered(
            row["policy_hash"],
            row["name"],
            row["registered_at"],
            row["text"],
            _parsed(row["text"], row["policy_hash"]),
            tuple(row["releases"]),
            bool(row["in_force"]),
        )
        for row in reversed(rows)
    )


def _parsed(text: str, policy_hash: str) -> Policy | None:
    try:
        return parse(text, f"policy {policy_hash[:12]}", in_force=True)
    except PolicyError:
        return None


@st.cache_data(max_entries=8, show_spinner=False)
def backtests(path: str, key: str) -> tuple[Backtest, ...]:
    """Recorded backtests, newest first."""
    rows = data.read(path, "pages/rollout_backtests", {}).to_dicts()
    return tuple(Backtest(row["artefact_id"], row["created_at"], row["path"], loads(row["summary"])) for row in rows)


def traffic_params(until: datetime) -> dict[str, object]:
    """What the query of the traffic is asked with: the two weeks before `until`."""
    naive = until.replace(tzinfo=None)
    return {"metrics": list(TRAFFIC), "since": naive - LOOK_BACK, "until": naive}


@st.cache_data(max_entries=8, show_spinner=False)
def traffic(path: str, key: str, until: datetime) -> pl.DataFrame:
    """Counts of the last two weeks: metric, phase, eligible, arm, n, x, minutes of the phase."""
    return data.read(path, "pages/rollout_traffic", traffic_params(until))


@st.cache_resource(max_entries=8, show_spinner=False)
def measured(path: str, key: str, policy_hash: str, _policy: Policy, until: datetime) -> Expected | None:
    """The traffic to forecast for, from the snapshot; None where there is too little."""
    ratings = data.read(path, "pages/rollout_ratings", {}).row(0)
    return expected(_policy, traffic(path, key, until), ratings)


@st.cache_resource(max_entries=16, show_spinner=False)
def _plan(mark: str, asked: str, _policy: Policy, _expected: Expected) -> Plan:
    """The plan; `mark` (of the policy's values) and `asked` (of the traffic) are the key."""
    return plan(_policy, _expected)


@st.cache_resource(max_entries=16, show_spinner=False)
def _smallest(mark: str, asked: str, _policy: Policy, _expected: Expected) -> tuple[Smallest, ...]:
    return all_smallest(_policy, _expected)


def known_traffic(now: View, policy: Policy) -> Expected | None:
    """The traffic that the snapshot shows, else what the policy says; None where nothing is known of it."""
    return measured(*now.at, policy.hash, policy, now.state.meta.now) or stated(policy)


def forecast(policy: Policy, traffic_now: Expected | None) -> Plan | None:
    """The plan of a policy at that traffic; None without any."""
    return None if traffic_now is None else _plan(_mark(policy), repr(traffic_now), policy, traffic_now)


def smallest(policy: Policy, traffic_now: Expected | None) -> tuple[Smallest, ...]:
    """The smallest harm that each trigger finds at each stage at that traffic; empty without any."""
    return () if traffic_now is None else _smallest(_mark(policy), repr(traffic_now), policy, traffic_now)


def _mark(policy: Policy) -> str:
    """What a forecast depends on: a what-if has the hash of the text that it came from."""
    return sha256_text(repr((policy.hash, policy.triggers)))


def stated(policy: Policy) -> Expected | None:
    """What the policy itself expects of the traffic; None where it says nothing."""
    said = policy.traffic
    if said.per_minute <= 0:
        return None
    return Expected(
        per_minute=said.per_minute,
        rated_share=said.rated_share,
        audited_share=said.audited_share,
        source="what the policy expects: too little was measured yet",
    )
