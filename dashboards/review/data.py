"""Cached loaders of the Review page: the traffic of a stage, the pinned reviews with their signatures, topics and trade-offs. No widget in here."""

from __future__ import annotations

from datetime import datetime, timedelta
from json import loads
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.metrics import METRICS
from dashboards import data
from dashboards.review.outlook import Traffic
from dashboards.review.values import Pinned, Signature

SIGNED = "review_signed"
FEWEST = 50  # conversations before a share of them is believed
LOOK_BACK = timedelta(days=7)
WHOLE = 86_400  # seconds of a bin: a stage is a few of them, added up
RATES = tuple(name for name, metric in METRICS.items() if metric.comparable and metric.unit == "share")


@st.cache_data(max_entries=16, show_spinner=False)
def traffic(
    path: str, key: str, since: datetime, until: datetime, mature_until: tuple[tuple[str, datetime], ...]
) -> Traffic | None:
    """Eligible conversations a minute of the stage that began at `since`; what was final of the last week: the share that rates, the baseline's
    rates. `mature_until` as `measures.maturities`. None for too few conversations."""
    volume = data.trend(path, key, ("traffic_volume",), since, until, WHOLE)
    seen, minutes = int(volume["n"].sum()), (until - since).total_seconds() / 60
    if seen < FEWEST or minutes <= 0:
        return None
    times = dict(mature_until)
    asked = [(name, times[name]) for name in RATES] + [("csat", times["csat"]), ("traffic_volume", times["csat"])]
    sums = data.measures(path, key, ((until - LOOK_BACK, until),), tuple(asked))
    counted = {(row["metric"], row["arm"]): (int(row["n"]), int(row["x"])) for row in sums.to_dicts()}
    both = {
        name: sum(n for (metric, _), (n, _) in counted.items() if metric == name) for name in ("csat", "traffic_volume")
    }
    rates = {name: counted[name, "baseline"] for name in RATES if counted.get((name, "baseline"), (0, 0))[0] >= FEWEST}
    rated = both["csat"] / both["traffic_volume"] if both["traffic_volume"] >= FEWEST else 0.0
    return Traffic(seen / minutes, rated, {name: x / n for name, (n, x) in rates.items()})


@st.cache_data(max_entries=8, show_spinner=False)
def pinned(path: str, key: str) -> tuple[Pinned, ...]:
    """Every pinned weekly review that the audit log vouches for, newest week and version first, with the newest signature of each person."""
    rows = data.read(path, "pages/review_pinned", {}).to_dicts()
    signed: dict[str, dict[str, Signature]] = {}
    for row in data.read(path, "pages/review_signatures", {}).to_dicts():
        said = loads(row["payload"])
        mine = signed.setdefault(row["subject"], {})
        mine.pop(row["actor"], None)
        verdict, signed_hash = str(said.get("verdict", "agree")), str(said.get("document_hash", ""))
        mine[row["actor"]] = Signature(row["at"], row["actor"], verdict, row["reason"], signed_hash)
    corrected = {row["corrects"]: row["review_id"] for row in rows if row["corrects"]}
    return tuple(
        Pinned(
            review_id=row["review_id"],
            week=row["week"],
            version=row["version"],
            headline=row["headline"],
            vouched=row["vouched"] or "",
            created_at=row["created_at"],
            signatures=tuple(signed.get(row["review_id"], {}).values()),
            corrected_by=corrected.get(row["review_id"], ""),
        )
        for row in rows
    )


@st.cache_data(max_entries=8, show_spinner=False)
def document(path: str, key: str, review_id: str) -> dict[str, Any]:
    """The document of a pinned review (`Weekly.to_dict`); empty for one that is not there."""
    rows = data.read(path, "pages/review_document", {"review_id": review_id}).to_dicts()
    return dict(loads(rows[0]["summary"])) if rows else {}


@st.cache_data(max_entries=8, show_spinner=False)
def page(path: str, key: str, review: Pinned, other: str = "html") -> bytes:
    """The review as one HTML file (`html`) or as a PDF (`pdf`), made of its document and signatures."""
    found = document(path, key, review.review_id)
    signed = [one.to_dict() for one in review.signatures]
    document_hash = sha256_text(canonical(found))
    if other == "pdf":
        from controlplane.analysis.weekly_pdf import render as render_pdf

        return render_pdf(found, signed, document_hash, corrected_by=review.corrected_by)
    from controlplane.analysis.weekly_html import render

    return render(found, signed, document_hash, corrected_by=review.corrected_by).encode()


@st.cache_data(max_entries=8, show_spinner=False)
def newest(path: str, key: str, kind: str) -> dict[str, Any]:
    """The newest artefact of a kind, its summary with `id` and `created_at`; empty where there is none."""
    rows = data.read(path, "pages/review_artefact", {"kind": kind}).to_dicts()
    if not rows:
        return {}
    return {**loads(rows[0]["summary"]), "id": rows[0]["artefact_id"], "created_at": rows[0]["created_at"]}


@st.cache_data(max_entries=32, show_spinner=False)
def daily_cost(path: str, key: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Model cost of the assistant per day (UTC) over [since, until): day, cost_usd, requests, unpriced."""
    params = {"since": data._naive(since), "until": data._naive(until)}
    return data.read(path, "pages/review_daily_cost", params)
