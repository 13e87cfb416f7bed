"""Where messages lead: pages of the dashboards with the filters that show what the message is about. The dashboards read the same names."""

from __future__ import annotations

from urllib.parse import urlencode

from alerts.model import Link


def of_incident(base: str | None, incident_id: str) -> tuple[Link, ...]:
    """The incident's own page first (it is what "Open evidence" opens), then what is served now. None without dashboards."""
    if base is None:
        return ()
    return (Link("Incident", _page(base, "incidents", incident=incident_id)), Link("Live", _page(base, "live")))


def of_live(base: str | None) -> tuple[Link, ...]:
    """What is served now, with the evidence of every trigger."""
    return () if base is None else (Link("Live", _page(base, "live")),)


def of_drift(base: str | None, artefact_id: str) -> tuple[Link, ...]:
    """One drift analysis."""
    return () if base is None else (Link("Drift", _page(base, "drift", report=artefact_id)),)


def of_review(base: str | None, week: str) -> tuple[Link, ...]:
    """The review of one week, such as 2026-W02."""
    return () if base is None else (Link("Review", _page(base, "review", week=week)),)


def _page(base: str, page: str, **filters: str) -> str:
    query = f"?{urlencode(filters)}" if filters else ""
    return f"{base}/{page}{query}"
