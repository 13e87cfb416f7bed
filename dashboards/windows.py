"""The windows that people choose on a page, as times. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from dashboards.answers import Span, history
from dashboards.values import State

STAGE, RELEASE, DAY, WEEK = "This stage", "This release", "Last 24 h", "Last 7 days"
REVIEW = (WEEK, DAY, RELEASE, STAGE)
RECENT = timedelta(days=2)
LIVE = {"1 h": timedelta(hours=1), "6 h": timedelta(hours=6), "24 h": timedelta(hours=24), "48 h": timedelta(hours=48)}


def review_window(state: State, choice: str) -> tuple[datetime, datetime]:
    """Since when and until when, for a choice of REVIEW. Without a rollout a release means the last seven days."""
    now = state.meta.now
    spans = history(state)
    if choice == DAY:
        return now - timedelta(days=1), now
    if choice == WEEK or not spans:
        return now - timedelta(days=7), now
    shown = _shown_release(spans)
    chosen = shown[-1:] if choice == STAGE else shown
    return chosen[0].since, chosen[-1].until


def _shown_release(spans: tuple[Span, ...]) -> list[Span]:
    """Exposed spans of the newest release that was exposed at all, since its last start."""
    exposed = [span for span in spans if span.exposed]
    if not exposed:
        return [spans[-1]]
    newest = exposed[-1]
    found = [newest]
    for span in reversed(exposed[:-1]):
        if (span.rollout_id, span.release) != (newest.rollout_id, newest.release) or span.stage >= found[0].stage:
            break
        found.insert(0, span)
    return found
