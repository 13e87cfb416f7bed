"""The Monday job: pin last week's review and tell people, once, over all processes and restarts.

The message is an alert of severity info without an incident, so it goes where reviews go (`alerts/wiring.py`: SLACK_REVIEW_CHANNEL, else the
webhook, else the console). Its id is the review's id: a repeat adds nothing to the outbox, a correction is a message of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.model import Alert, Severity
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import Commit, NewMessage
from controlplane.store.utc import to_naive
from jobs import links, weekly
from jobs.deps import Deps
from jobs.moments import week_of
from jobs.weekly_facts import rows_of
from jobs.weekly_record import is_served
from jobs.weekly_sign import find, page_path

log = logging.getLogger("controlplane.jobs")

ACTOR = "weekly review"
MARKS = {"improved": "\u25b2", "not worse": "\u25cf", "worse": "\u25bc", "unknown": "?"}
CHANGES_TOLD = 6


def last_full_week(now: datetime) -> tuple[datetime, datetime]:
    """Monday to Monday (UTC) of the newest ISO week that has ended."""
    moment = now.astimezone(UTC)
    monday = (moment - timedelta(days=moment.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    return monday - timedelta(days=7), monday


def monday(deps: Deps, now: datetime, due: datetime) -> str:
    """Pin the week that had ended at `due`, however late this runs, and put its summary into the outbox; the review's id.

    A workspace that is not in use (nothing rolled out is in front of customers, and no conversation began in the week or the one before) gets no
    review that could only say so; the answer says that. A release without traffic is in use: that nothing is known of it is news.
    """
    since, until = last_full_week(due)
    if not in_use(deps, since, until):
        said = f"no review of {week_of(since)}: no release is served, and no conversation began in that week or the one before"
        log.info(said)
        return said
    found = weekly.pin_whole(deps, now, since, until, actor=ACTOR)
    kept = find(deps.state, found.review_id)
    path = page_path(deps.reports, found.review_id)
    tell(deps.state, kept.document, path.relative_to(deps.home).as_posix(), now, deps.dashboard_url)
    return found.review_id


def in_use(deps: Deps, since: datetime, until: datetime) -> bool:
    """Whether a release is served, or a conversation began in the week `[since, until)` or the one before."""
    if is_served(deps.state.rollout()):
        return True
    values = {"before": to_naive(since - weekly.WEEK), "until": to_naive(until)}
    return bool(rows_of(deps.warehouse, "review/began", values)[0]["n"])


def tell(
    state: StateWriter, document: Mapping[str, Any], path: str, now: datetime, dashboard_url: str | None = None
) -> bool:
    """Put the summary of a pinned review into the outbox; False when it is there already."""
    said = message(document, path, now, dashboard_url)
    if state.has_message(said.outbox_id):
        return False
    state.commit(Commit(messages=[said]), now)
    return True


def message(document: Mapping[str, Any], path: str, now: datetime, dashboard_url: str | None = None) -> NewMessage:
    """Headline, the five measures, may-we-grow and the top changes of a review, and where to read on (`path`: of the page, in the workspace)."""
    said, rollout = document["words"], document.get("rollout") or {}
    review_id = str(document["review_id"])
    labels = {"alertname": "review", "category": "review", "week": str(document["week"]), "review": review_id}
    labels |= {name: str(rollout[name]) for name in ("release", "phase") if rollout.get(name)}
    corrects = f", corrects {document['corrects']}" if document.get("corrects") else ""
    more = [f"and {len(said['changes']) - CHANGES_TOLD + said['left_out']} more in the review"]
    changes = [item["sentence"] for item in said["changes"][:CHANGES_TOLD]]
    changes += more if len(said["changes"]) + said["left_out"] > CHANGES_TOLD else []
    annotations = {
        "title": f"Weekly review {document['week']}{corrects}",
        "summary": str(said["headline"]),
        "answer": str(said["answer"]),
        "success": "\n".join(f"{MARKS.get(item['movement'], '?')} {item['sentence']}" for item in said["success"]),
        "changes": "\n".join(changes),
        "read_on": f"{path} in the workspace; controlplane review show {review_id}; sign it with controlplane review sign {review_id}",
    }
    alert = Alert(
        alert_id=f"review:{review_id}",
        labels=labels,
        annotations=annotations,
        severity=Severity.INFO,
        starts_at=now,
        links=links.of_review(dashboard_url, str(document["week"])),
    )
    return NewMessage(alert.alert_id, "review", alert.to_dict())
