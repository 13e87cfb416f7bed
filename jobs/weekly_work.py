"""The weekly review as work on the facts (`jobs.work`): arguments and answers are JSON values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from controlplane.core.weekly import Weekly
from jobs import weekly
from jobs.deps import Deps
from jobs.moments import week_bounds


def build(deps: Deps, now: datetime, *, week: str) -> dict[str, Any]:
    """The document of a week (YYYY-Www) as of now, with words, not pinned."""
    found = weekly.with_words(weekly.build(deps, now, *week_bounds(week)))
    return _answer(found)


def pin(deps: Deps, now: datetime, *, week: str, actor: str, corrects: str = "", reason: str = "") -> dict[str, Any]:
    """Pin a week, or a correction of its newest version; a whole week that is pinned is answered as it is."""
    bounds = week_bounds(week)
    if corrects:
        return _answer(weekly.pin(deps, now, *bounds, actor=actor, corrects=corrects, reason=reason))
    found = weekly.pin_whole(deps, now, *bounds, actor=actor)
    return _answer(found)


def rebuild(deps: Deps, now: datetime, *, review_id: str) -> dict[str, Any]:
    """A pinned review made again: `differs` names what is not as it was, empty = identical. `now` is not used: the pin says when."""
    found, differs = weekly.rebuild(deps, review_id)
    return _answer(found) | {"differs": differs, "same": not differs}


def _answer(found: Weekly) -> dict[str, Any]:
    return {"review_id": found.review_id, "document": found.to_dict(), "document_hash": found.document_hash}
