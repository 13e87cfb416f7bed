"""`controlplane topics`, and weekly: topics of questions that the assistant did not deal with, kept as an artefact of kind "topics".

    reports/topics/<id>.json   the summary, and per topic the weights of its terms and the ids of its answers; no text but the masked examples

Sentence embeddings where the extra is installed, else TF-IDF. Ids follow from the topics of the last `REMEMBERED` analyses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from controlplane.analysis.topics import FLAGS, Found, Question, Served, Vectors, find_topics
from controlplane.core.audit import canonical, sha256_text
from controlplane.store.queries import load
from controlplane.store.utc import to_aware, to_naive
from jobs.artefacts import keep
from jobs.deps import Deps
from jobs.files import write_whole
from jobs.refused import Refused

KIND, EVENT = "topics", "topics_found"
MOST = 20_000  # questions of one span; of more a stable sample
REMEMBERED = 8
WEEK = timedelta(days=7)
MACHINE = "controlplane"
WEEKLY = "0 4 * * mon"  # UTC, an hour before the weekly review


def run(
    deps: Deps,
    now: datetime,
    since: str | None = None,
    until: str | None = None,
    days: float = 7.0,
    confidence: float = 0.5,
    alpha: float = 0.05,
    seed: int = 7,
    trigger: str = "person",
    actor: str = MACHINE,
) -> dict[str, Any]:
    """The topics of [since, until) against the span of the same length before; recorded. Default: the `days` up to the newest conversation.

    Raises Refused without a conversation, or for a span that ends before it begins.
    """
    start, end = _span(deps, since, until, days)
    before = start - (end - start)
    with deps.warehouse.cursor() as cursor:
        here = _questions(cursor, start, end, confidence, True)
        there = _questions(cursor, before, start, confidence, False)
        asked, asked_before = _asked(cursor, start, end), _asked(cursor, before, start)
    questions = [*here, *there]
    vectors, method = _vectors([question.text for question in questions])
    served = Served(asked[0], asked_before[0])
    found = find_topics(questions, served, _known(deps), seed, alpha, vectors)
    summary = {
        "since": _iso(start),
        "until": _iso(end),
        "before_since": _iso(before),
        "trigger": trigger,
        "questions": len(here),
        "before_questions": len(there),
        "asked": asked[1],
        "before_asked": asked_before[1],
        "sampled": max(len(here), len(there)) == MOST,
        "method": method,
        "alpha": alpha,
        "seed": seed,
        "clusters": len(found.topics),
        "unclustered": found.unclustered,
        "reason": found.reason,
        "topics": [topic.to_dict() for topic in found.topics],
    }
    return record(deps, now, summary, found, actor)


def weekly(deps: Deps, now: datetime) -> str:
    """The weekly analysis: the seven days before its due time against the seven before those, however late it runs; the artefact's id,
    or why there is nothing to analyse."""
    from jobs.scheduler import last_due

    due = last_due(WEEKLY, now) or now
    try:
        return str(run(deps, now, _iso(due - WEEK), _iso(due), trigger="weekly")["artefact_id"])
    except Refused as error:  # the assistant has served nobody yet
        return str(error)


def record(deps: Deps, now: datetime, summary: dict[str, Any], found: Found, actor: str) -> dict[str, Any]:
    """Write the file, keep the artefact, and vouch for both; the same analysis at the same time is kept once."""
    inside = [
        {"topic_id": topic.topic_id, "centroid": topic.centroid, "members": list(topic.members)}
        for topic in found.topics
    ]
    text = json.dumps({"summary": summary, "topics": inside}, indent=1, sort_keys=True, ensure_ascii=False)
    summary = {**summary, "content_hash": sha256_text(text)}
    name = f"topics-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{sha256_text(canonical(summary))[:8]}"
    path = Path("reports") / "topics" / f"{name}.json"
    if all(row.artefact_id != name for row in deps.state.artefacts(KIND)):
        write_whole(deps.home / path, text)
        new = sum(topic["new"] for topic in summary["topics"])
        said = {"content_hash": summary["content_hash"]}
        reason = f"{summary['clusters']} topics in {summary['questions']} open questions, {new} new"
        keep(deps.state, (name, KIND, path.as_posix()), summary, (EVENT, actor, reason), said, now)
    return {"artefact_id": name, "path": path.as_posix(), **summary}


def topics_text(value: Mapping[str, Any]) -> str:
    """Topics for people, by customers affected: what to write into the knowledge base next."""
    head = f"{value['questions']} open questions in {value['asked']} conversations, {value['since']} to {value['until']} ({value['method']})"
    if value["reason"]:
        return f"{head}\n{value['reason']}"
    lines = [head, "customers  questions  before  topic"]
    for topic in value["topics"]:
        mark = "  NEW" if topic["new"] else f"  {topic['change']}" if topic["change"] == "grown" else ""
        lines.append(
            f"{topic['customers']:9}  {topic['n']:9}  {topic['before_n']:6}  {topic['topic_id']} {', '.join(topic['terms'])}{mark}"
        )
        lines += [f"{'':30}“{text}”" for text in topic["examples"][:2]]
    return "\n".join([*lines, f"{value['unclustered']} questions are in no topic"])


def _span(deps: Deps, since: str | None, until: str | None, days: float) -> tuple[datetime, datetime]:
    with deps.warehouse.cursor() as cursor:
        row = cursor.execute(load("topics/newest")).fetchone()
    if row is None or row[0] is None:
        raise Refused("the assistant has had no conversation yet: ingest logs first")
    end = datetime.fromisoformat(until) if until else to_aware(row[0]) + timedelta(seconds=1)
    start = datetime.fromisoformat(since) if since else end - timedelta(days=days)
    if start >= end:
        raise Refused(f"the span ends at {_iso(end)}, not after its begin {_iso(start)}: change --since or --until")
    return start, end


def _questions(
    cursor: duckdb.DuckDBPyConnection, since: datetime, until: datetime, confidence: float, current: bool
) -> list[Question]:
    span = {"since": to_naive(since), "until": to_naive(until)}
    rows = cursor.execute(load("topics/questions"), {**span, "confidence": confidence, "limit": MOST}).fetchall()
    return [
        Question(
            key=str(row[0]),
            text=str(row[1]),
            customer=str(row[2]),
            at=to_aware(row[3]),
            current=current,
            flags=frozenset(flag for flag, value in zip(_ORDER, row[4:], strict=True) if value),
        )
        for row in rows
    ]


_ORDER = FLAGS  # of the columns of sql/topics/questions


def _asked(cursor: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> tuple[int, int]:
    row = cursor.execute(load("topics/asked"), {"since": to_naive(since), "until": to_naive(until)}).fetchone()
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def _vectors(texts: list[str]) -> tuple[Vectors | None, str]:
    from controlplane.assistant.embedding import EmbeddingsMissing, open_encoder

    try:
        encoder = open_encoder()
    except EmbeddingsMissing:
        return None, "tfidf"
    return (encoder.encode(texts) if texts else None), f"embeddings {encoder.version[:12]}"


def _known(deps: Deps) -> dict[str, dict[str, float]]:
    """Term weights by id of the topics of the last analyses; the newest weights of an id count."""
    found: dict[str, dict[str, float]] = {}
    for row in deps.state.artefacts(KIND)[-REMEMBERED:]:
        path = deps.home / row.path
        if path.is_file():
            for topic in json.loads(path.read_text(encoding="utf-8"))["topics"]:
                found[topic["topic_id"]] = topic["centroid"]
    return found


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
