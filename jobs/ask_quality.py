"""What the Quality page asks of the control process: who reached a person, examples of answers, and one answer at a time to label.

- A reviewer sees question, answer and sources of an answer, and nothing that anybody or any machine said about it, until their label is given
  (`jobs.review_work`). What is settled goes back to the landing folder at once, as from the command line.
- Lists are bounded, texts leave as they were stored (masked), and whoever reads a customer's words is written into the audit log: once for a set
  of conversations, day and person. Labelling is in the audit log by itself. A list of conversations without words leaves no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb

from controlplane.core.review_queue import OUT_OF_SCOPE, Opinion
from controlplane.store.queries import load
from controlplane.store.state_rows import AuditEntry, Commit
from controlplane.store.utc import to_aware, to_naive
from jobs import review_draw, review_work, topics
from jobs.deps import Deps
from jobs.refused import Refused
from jobs.review_return import return_settled

READ = "answers_read"
MOST_ROWS = 5_000  # conversations of a proof list
MOST_EXAMPLES = 25
MOST_DAYS = 400
ARMS = ("", "assistant", "baseline")
VERDICTS = ("grounded", "ungrounded")


def routed(
    deps: Deps,
    now: datetime,
    since: str,
    categories: Sequence[str],
    arm: str = "",
    release: str = "",
    missed: bool = False,
    most: int = 50,
    skip: int = 0,
) -> Mapping[str, Any]:
    """The proof list: conversations that the safety screen sent to a person, newest first, and whether a person got them.

    `since`: ISO time. `rows`: at most `most` after `skip`; `among`: how many there are. Raises ValueError for a value outside its bounds.
    """
    if not 0 < most <= MOST_ROWS or skip < 0:
        raise ValueError(f"most: 1 to {MOST_ROWS}, and skip: 0 or more")
    params = _window(since, now, release, arm) | {"categories": list(categories), "missed": missed}
    return _list(deps, "ask/quality_routed", params | {"most": most, "skip": skip})


def misrouted(deps: Deps, now: datetime, since: str, arm: str = "", release: str = "") -> Mapping[str, Any]:
    """The exceptions: answers that a person called misrouted, with what became of the conversation. As `routed`."""
    return _list(deps, "ask/quality_misrouted", _window(since, now, release, arm) | {"most": MOST_ROWS})


def judged(
    deps: Deps, now: datetime, actor: str, since: str, label: str, release: str = "", most: int = 5
) -> Mapping[str, Any]:
    """Newest answers of that verdict on their sources ("grounded", "ungrounded"): question, answer, sources, score, who judged."""
    if label not in VERDICTS:
        raise ValueError(f"label: {label!r} is not known; there are {', '.join(VERDICTS)}")
    params = _window(since, now, release) | {"label": label, "most": _few(most)}
    return _read(deps, now, actor, f"groundedness: {label}", _list(deps, "ask/quality_judged", params))


def confused(
    deps: Deps, now: datetime, actor: str, since: str, predicted: str, truth: str, release: str = "", most: int = 5
) -> Mapping[str, Any]:
    """Newest messages that were taken for `predicted` and are `truth`: the question and the classifier's confidence."""
    params = _window(since, now, release) | {"predicted": predicted, "truth": truth, "most": _few(most)}
    found = _list(deps, "ask/quality_confused", params)
    return _read(deps, now, actor, f"intent: {truth} taken for {predicted}"[:200], found)


def examples(deps: Deps, now: datetime, actor: str, artefact_id: str) -> Mapping[str, Any]:
    """What customers said of each topic of an analysis, word for word (masked): `examples` by topic id. Snapshots hold none of it.

    Raises ValueError for an analysis that is not there.
    """
    row = next((one for one in deps.state.artefacts(topics.KIND) if one.artefact_id == artefact_id), None)
    if row is None:
        raise ValueError(f"artefact_id: there is no analysis of topics {artefact_id[:100]!r}")
    said = {"reader": actor, "day": now.date().isoformat()}
    if said not in deps.state.vouched(READ, artefact_id):
        entry = AuditEntry(actor, READ, artefact_id, "examples of topics read on the dashboards", said)
        deps.state.commit(Commit(audit=(entry,)), now)
    return {"examples": {str(topic["topic_id"]): list(topic.get("examples") or ()) for topic in row.summary["topics"]}}


def draw(deps: Deps, now: datetime, actor: str, per_day: float) -> Mapping[str, Any]:
    """Draw answers for people to look at, as `controlplane review queue`; `drawn` of `frame`. Raises Refused where there is none."""
    if not 0.0 < per_day <= 10_000.0:
        raise ValueError("per_day: above 0 and at most 10,000 answers")
    return review_draw.draw(deps, now, per_day, actor)


def find_topics(deps: Deps, now: datetime, actor: str, progress: Callable[[float, str], None]) -> Mapping[str, Any]:
    """Group the questions of the last seven days that the assistant did not deal with; the artefact's id and how many topics."""
    progress(0.1, "reading and grouping the open questions")
    found = topics.run(deps, now, actor=actor)
    return {"artefact_id": found["artefact_id"], "clusters": found["clusters"], "questions": found["questions"]}


def take(deps: Deps, now: datetime, actor: str, skip: Sequence[str] = ()) -> Mapping[str, Any]:
    """The next answer for this reviewer: `item` (None: nothing is left, `reason` says why), `waiting`, and the `subjects` to choose from."""
    return {**_next(deps, now, actor, skip), "subjects": _subjects(deps)}


def submit(
    deps: Deps,
    now: datetime,
    actor: str,
    item_id: str,
    label: str,
    intent: str | None = None,
    grounded: bool | None = None,
    severity: int | None = None,
    note: str = "",
    skip: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Record this reviewer's label; `status` of the item, how many `evaluations` went back to the facts, and the next item as `take` gives it."""
    opinion = _opinion(actor, label, now, intent, grounded, severity, note)
    found = review_work.submit(deps.state, item_id, opinion)
    landed = return_settled(deps.settings, deps.state, now)
    return {"status": found.status, "evaluations": landed, **_next(deps, now, actor, skip)}


def disputes(deps: Deps, now: datetime, actor: str, skip: Sequence[str] = ()) -> Mapping[str, Any]:
    """The next answer on which two people differ, with what both said: `item` or None, and how many are `open`."""
    found = review_work.disputes(deps, now, 1 + len(skip))
    item = next((one for one in found["items"] if one["item_id"] not in skip), None)
    mine = item is not None and actor in {one["reviewer"] for one in item["opinions"]}
    return {"item": item, "open": found["open"], "mine": mine, "subjects": _subjects(deps)}


def adjudicate(
    deps: Deps,
    now: datetime,
    actor: str,
    item_id: str,
    label: str,
    intent: str | None = None,
    grounded: bool | None = None,
    severity: int | None = None,
    note: str = "",
    skip: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Decide between two people; the next dispute as `disputes` gives it."""
    opinion = _opinion(actor, label, now, intent, grounded, severity, note)
    found = review_work.adjudicate(deps.state, item_id, opinion, deps.policy.owner)
    landed = return_settled(deps.settings, deps.state, now)
    return {"status": found.status, "evaluations": landed, **disputes(deps, now, actor, skip)}


def _subjects(deps: Deps) -> list[str]:
    with deps.warehouse.cursor() as cursor:
        known = [str(row[0]) for row in cursor.execute(load("ask/quality_subjects")).fetchall()]
    return sorted({*known, OUT_OF_SCOPE})


def _next(deps: Deps, now: datetime, actor: str, skip: Sequence[str]) -> dict[str, Any]:
    """As many as are skipped and one more are taken, so that a skipped answer stays this reviewer's and comes again another day."""
    try:
        found = review_work.take(deps, now, actor, 1 + len(skip))
    except Refused as error:
        return {"item": None, "waiting": 0, "reason": str(error)}
    items = [item for item in found["items"] if item["item_id"] not in skip]
    reason = "" if items else "every answer that is left was skipped"
    return {"item": items[0] if items else None, "waiting": found["waiting"], "reason": reason}


def _opinion(
    actor: str, label: str, now: datetime, intent: str | None, grounded: bool | None, severity: int | None, note: str
) -> Opinion:
    return review_work.opinion_of(
        actor, label, now, intent=intent or None, grounded=grounded, severity=severity, note=note[:2000]
    )


def _window(since: str, now: datetime, release: str, arm: str | None = None) -> dict[str, Any]:
    start = datetime.fromisoformat(since)
    if start.tzinfo is None or now - start > timedelta(days=MOST_DAYS):
        raise ValueError(f"since: {since!r} needs a time zone and lies at most {MOST_DAYS} days back")
    if arm is not None and arm not in ARMS:
        raise ValueError(f"arm: {arm!r} is not known; there are assistant, baseline, and '' for both")
    found = {"since": to_naive(start), "until": to_naive(now + timedelta(hours=1)), "release": release}
    return found | ({"arm": arm} if arm is not None else {})


def _few(most: int) -> int:
    if not 0 < most <= MOST_EXAMPLES:
        raise ValueError(f"most: 1 to {MOST_EXAMPLES}")
    return most


def _list(deps: Deps, query: str, params: Mapping[str, Any]) -> dict[str, Any]:
    with deps.warehouse.cursor() as cursor:
        rows = _rows(cursor, query, params)
    among = int(rows[0]["among"]) if rows else 0
    return {"rows": [{key: value for key, value in row.items() if key != "among"} for row in rows], "among": among}


def _rows(cursor: duckdb.DuckDBPyConnection, query: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = cursor.execute(load(query), dict(params))
    names = [item[0] for item in found.description or []]
    return [dict(zip(names, map(_aware, row), strict=True)) for row in found.fetchall()]


def _aware(value: Any) -> Any:
    return to_aware(value) if isinstance(value, datetime) else value


def _read(deps: Deps, now: datetime, actor: str, what: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, once it is in the audit log who read which conversations' words."""
    ids = sorted({str(row["conversation_id"]) for row in found["rows"]})
    said = {"reader": actor, "day": now.date().isoformat(), "conversations": ids}
    if ids and said not in deps.state.vouched(READ, what):
        deps.state.commit(Commit(audit=(AuditEntry(actor, READ, what, "examples read on the dashboards", said),)), now)
    return found
